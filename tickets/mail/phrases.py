"""What mail servers and programs write: one regular expression a line, `#` begins a remark.

Case does not matter. A word in angle brackets stands for what SHORT says. No expression repeats
without limit within a repetition, so that each reads a text once.
"""

from __future__ import annotations

import re

SHORT = {
    "<who>": r"(?:user|recipient|mail ?box|account|address|alias|addressee|e-?mail)(?:\(?s\)?)?",
    "<mail>": r"(?:e-?mail|mail|message)s?",
    "<is>": r"(?:(?:is|was|are|has|have|been|currently|temporarily|permanently) ){0,3}",
    "<cannot>": r"(?:can ?not|can't|could ?n[o']t|unable to|not able to|n't able to)",
    "<does not>": r"(?:does|do|did) ?n[o']t",
    "<some>": r"(?: [\w@<>'\"():.-]{1,80}){0,3}",  # words between
}


def any_of(lines: str, *, before: str = "", after: str = "") -> re.Pattern[str]:
    """One pattern out of a list, with what must stand before and after it."""
    kept = [line for line in lines.splitlines() if line and not line.startswith("#")]
    pattern = "|".join(kept)
    for short, meaning in SHORT.items():
        pattern = pattern.replace(short, meaning)
    return re.compile(f"{before}(?:{pattern}){after}", re.I | re.M)


# --- Why a mail was not delivered ---------------------------------------------------------------

# A program that delivers on their side broke; what it says about users is about its own.
PROGRAM_BROKE = r"""
<cannot> (?:create|open|lock|append|write)
"""
SENDER_REFUSED = r"""
sender (?:e-?mail )?(?:address )?<is>(?:rejected|denied|refused|block|banned|unknown|invalid)
sender (?:e-?mail )?(?:address )?<is>not (?:allowed|permitted|accept|verif|authori)
sender verif\w{1,9} fail
(?:domain of|verify) (?:the )?sender
sender(?:'s)? (?:domain|address|host)
(?:sending|sender) (?:domain|ip)\b
envelope sender
(?:in reply to|after) mail from
purported responsible
\b(?:spf|dkim|dmarc)\b
unauthenticated
not (?:been )?(?:authenticated|authori[sz]ed)
authenticat\w{0,5} (?:is )?(?:required|fail)
(?:enable|turn on|use) (?:smtp )?auth
smtp auth|authrequired
relay(?:ing)? (?:access |attempt )?(?:is |was )?(?:denied|blocked|not|prohibited)
(?:allowed|permitted|able|cannot|not) to relay
<does not> relay
black[ -]?list|block[ -]?list|deny ?list|blocked using
\b(?:rbl|dnsbl|sorbs)\b|spamhaus|spamcop|barracudacentral
banned (?:sending|ip|host|sender)
reputation
(?<!not )listed (?:in|by|at|on)\b
(?:ip|host|client|network|server)(?: address)?(?: [\d.\[\]:a-f]{3,45})? <is>(?:not allowed|blocked)
(?:ip|host|client|network|server)(?: address)?(?: [\d.\[\]:a-f]{3,45})? <is>(?:banned|denied)
blocked ip
(?:rate|frequency|connection|traffic|volume|mail) limit
rate[ -]?limit|throttl
too many (?:connection|message|e?-?mail|recipient|concurrent|session|error|invalid)
sent to too many
too (?:fast|frequent)
(?:hourly|daily|sending|message) (?:quota|limit)
per (?:hour|day|minute)\b|this hour\b|max emails|unusual rate
reverse (?:dns|lookup)|\bptr\b|\brdns\b
\b(?:helo|ehlo)\b
gr[ea]y-?list
not a member|members only|restrictedto|resolver\.rst
not (?:allowed|permitted|able) to (?:send|post)
only accepts? <mail> from|(?:<does not> accept|not accepting) (?:any )?<mail> from
verification fail|<cannot> find your host
"""
MAILBOX_FULL = r"""
over ?quota|quotaexceeded
(?:over|exceed\w{0,3}|above|beyond|out of|reached)[^.]{0,40} quota
quota[^.]{0,20}(?:exceed|full|reached|violat)
exceeds? allowed size|maximum (?:allowed )?mail ?box
(?:mail ?box|mail ?folder|inbox|maildir|account|user|storage)[^.]{0,30} (?:over-?|too )?full\b
full mail ?box
mail ?box (?:has )?(?:size |been )?(?:limit|space|exceed)
out of storage
(?:exceed|no|not enough|insufficient|lack)\w{0,3} (?:[a-z']{1,20} ){0,3}mail(?:box)? (?:stor|space)
messages in (?:the )?(?:recipient|mailbox|user)
storage (?:allocation|limit)
postfach[^.]{0,20} voll|speicherplatz
bo[iî]te[^.]{0,30} pleine
buz[oó]n[^.]{0,20} llen
casella[^.]{0,20} piena
caixa[^.]{0,20} (?:cheia|lotada)
postvak[^.]{0,10} vol
skrzynka[^.]{0,20} pełna
переполнен|ящик полон|превышен\w{0,3} квот
(?:邮箱|郵箱|空间|容量).{0,10}(?:满|滿|不足)
(?:メールボックス|受信箱|容量).{0,20}(?:一杯|いっぱい|超え|超過|オーバー)
편지함.{0,10}(?:가득|초과)
"""
TOO_LARGE = r"""
(?:message|mail|file|attachment|content|data)(?: \w{1,20})? (?:is |was )?too (?:large|big|long)
too (?:large|big) (?:a )?(?:message|mail)
(?:size|length)[^.]{0,30} exceed
exceed\w{0,3} [^.]{0,40}(?:message|mail|maximum|size|length)[^.]{0,12}(?:size|limit|length)
exceeds? (?:the )?(?:maximum )?(?:size|length)
size limit|message size
larger than [^.]{0,20}(?:limit|allowed|permit|maximum)
zu gro(?:ß|ss)\b
trop (?:gros|volumineu)
demasiado grande|troppo grande|muito grande
слишком большо
サイズ.{0,12}(?:超|大き)
"""
CONTENT_REFUSED = r"""
\bspam(?!haus|cop)|\bu[bc]e\b|unsolicited|bulk e?-?mail|junk
phish|virus|malware|infected|trojan|\bworm\b
banned (?:content|file|attach|name)
header error|bad header|malformed|mime (?:error|violat)|bare (?:lf|cr)|rfc ?(?:5322|2822)
(?:content|attachment|executable|file type)s?(?: \w{1,20}){0,2} (?:reject|refus|block|prohib|deni)
<mail>(?: \w{1,20}){0,2} (?:rejected|refused|blocked|not accepted|prohibited|denied)
mail rejete
content (?:filter|violat|reject)|message filter
(?:policy|content) (?:reasons?|violation|reject|restrict)
violat\w{1,5} [^.]{0,30}polic
"""
FILTERED = r"""
recipient(?:'s)? (?:preference|filter|rule|setting|polic|white|allow)
(?:rejected|refused|blocked) by (?:the )?(?:recipient|user|addressee)
(?:recipient|user) has (?:rejected|refused|blocked)\b
<does not> want
recipient address rejected: (?:access|policy|blocked|not allowed)
"""
MAILBOX_DISABLED = r"""
(?:<who>|domain)<some> <is>(?:disabled|suspended|de-?activated|inactive|locked|discontinued|expired)
(?:<who>|domain)<some> <is>(?:closed|terminated|frozen|on hold|limited|restricted)
(?:<who>|domain)<some> <is>not (?:active|enabl)
(?:disabled|suspended|inactive|de-?activated|locked|expired|closed|blocked) <who>
not accepting (?:any )?<mail>\b(?! from)
deaktiviert|gesperrt|aufgelöst
désactivé|suspendid[oa]|desactivad[oa]|disabilitat[oa]
заблокирован|отключен|停用|禁用|停止されて
"""
ADDRESS_MOVED = r"""
<who>(?: [\w@<>-]{1,80})? (?:has |was |is )?(?:moved|changed)
new (?:e-?mail )?address|neue (?:e-?mail-?)?adresse|nouvelle adresse|nueva direcci
no longer (?:on|at|with|works|employed|here)\b
has left (?:the )?(?:company|organi)
user not local
"""
ACCEPTS_NO_MAIL = r"""
null ?mx
<does not> (?:accept|receive) (?:any )?<mail>\b(?! from)
no longer accepts? (?:any )?<mail>
accepts? no <mail>
"""
HOST_UNKNOWN = r"""
host unknown|domain unknown|unknown (?:mail )?(?:host|domain)|no such (?:host|domain)
host (?:or domain )?(?:name )?not found(?!.{0,200} try)|no address associated
(?:domain|host)(?: name)?(?: [\w.@'\"-]{1,255})? <cannot>(?: be)? (?:found|find|resolve)
domain(?: name)?(?: [\w.@'\"-]{1,255})? (?:<does not> exist|not exist)
domain(?: name)?(?: [\w.@'\"-]{1,255})? not found(?!.{0,200} try)
domain(?: name)?(?: [\w.@'\"-]{1,255})? is (?:not valid|invalid|unknown)
bad destination (?:host|system|domain)
name or service not known|find any host|nxdomain|unresolvable|illegal host
unrouteable mail domain|non-?existent (?:host|domain)
no mx (?:found|record)|no mail hosts?
(?:domain|domäne|host)[^.]{0,40} (?:nicht gefunden|existiert nicht|unbekannt)
(?:domaine|dominio|domínio)[^.]{0,40} (?:n'existe pas|introuvable|no existe|non esiste|não existe)
домен[^.]{0,30} не (?:най|сущ)
(?:域名|ドメイン).{0,20}(?:不存在|存在しません|見つかりません)
"""
ADDRESS_UNKNOWN = r"""
user ?(?:name )?unknown
unknown (?:or illegal|local|<who>|destination|virtual)(?! error)
no ?such ?(?:local |e-?mail )?(?:<who>|person|customer|name|id|part)|addressunknown
<who> (?:is )?unknown
(?:<who>|person|group|name|tried to reach)<some> (?:<does not>|not) exist
<does not> exist
(?:doesn't|does not) have an?\b
<who>[^.]{0,60} (?:not|n't|<cannot>)(?: be)? (?:found|find|recogni[sz]ed|located|known|identified)
name is not recogni[sz]ed
recip(?:ient)?notfound|not found by smtp
not listed in|not in (?:our|the) (?:list|directory|database)
(?:was|were) ?n[o']t found (?:at|in) the
invalid (?:<who>|final delivery|local|destination|name)
<who> (?:name )?(?:is |are )?(?:invalid|not (?:a )?valid)
not an? (?:\w{1,20} ){0,2}<who>
no (?:mail ?box|account|user|recipient|one|person)s?(?: here)? (?:by|with|for|named|of)\b
no valid recipients|recipient (?:is )?not available|marked as invalid
unrouteable address|undeliverable address
mail ?box (?:is )?unavailable|mail ?box name not allowed
bad (?:destination )?<who>
not (?:our|a) customer
no longer (?:a )?(?:valid|available|in use|active|exists?|in service|used)
5\d\d[ -](?:#?[\d.]{5,9} )?(?:<?@>?[.:]{0,3} ?(?:address )?|address )rejected
illegal (?:alias|user|recipient)
recipient (?:address )?(?:rejected|refused|not accepted|not allowed)|rejected recipient
000c05a6
unbekannt|existiert nicht|nicht (?:gefunden|bekannt|vorhanden)|ung[uü]ltige (?:adress|e-?mail)
utilisateur inconnu|destinataire (?:invalide|inconnu)|n'existe (?:pas|plus)|introuvable
(?:adresse|bo[iî]te)[^.]{0,30} (?:invalide|inconnue|introuvable)
(?:usuario|destinatario|direcci[oó]n|buz[oó]n)[^.]{0,40} (?:desconocid|no existe|no v[aá]l|inexist)
no se (?:encontr|ha encontrado)
usu[aá]rio (?:desconhecido|inexistente)|n[aã]o (?:existe|encontrado)
utente (?:sconosciuto|inesistente)|non esiste
(?:destinatario|indirizzo)[^.]{0,20} (?:sconosciuto|inesistente|non valido)
onbekend|bestaat niet|niet gevonden
finns inte|findes ikke|finnes ikke|ei löydy
nie istnieje|nieznany|neexistuje|bulunamad|ge[cç]ersiz
не существует|не найден|неизвестн|нет такого|несуществующ|недействител
ディレクトリ.{0,40}ありません|リストにありません|見つかりません|存在しません|不明なユーザ|宛先が?不明
不存在|无此用户|查无此人|找不到|无效的?(?:收件|地址|用户)
존재하지 않|없는 (?:사용자|계정|메일)|찾을 수 없
"""
NETWORK = r"""
time[d-]?[ -]?out
connection <is>(?:refused|reset|lost|dropped|closed|failed|broken|died)
lost connection|smtp connection
<cannot> (?:to )?(?:connect|reach|establish|contact)
no route to|network error|best-preference mx|unreachable|host is down
not responding|no answer|no response
\bloop|too many (?:hops|received)|hop count|forwarded more than
retry time|expired|in the queue|too old|too long|giving up|given up|deferred
dns (?:error|lookup|fail|hard|soft)|servfail|name service error|mx (?:lookup|record)
\btls\b|starttls|certificate
find a gateway
(?:for|within|after|past) [\d.]{1,5} (?:hour|day|minute)|\d (?:delivery )?attempts
"""
# Said where nothing better is known.
CONTENT_VAGUE = r"""
polic(?:y|ies)
<mail> (?:was )?(?:rejected|refused|not accepted)|rejet[eé]
"""
SENDER_VAGUE = r"""
not permitted|not allowed|prohibit|denied|blocked|rejected|refused|unacceptable
"""
SYSTEM = r"""
(?:service|system|server|resources?) <is>(?:not available|unavailable|busy|overload)
(?:local|system|internal|configuration|server|i/o) (?:\w{1,20} )?(?:error|fail|problem|fault)
(?:processing|recipient|temporary|transient|software) (?:\w{1,20} )?(?:error|fail|problem|fault)
(?:protocol|syntax) (?:error|fail)
insufficient|disk (?:is )?full|no space|out of memory
out of order|(?:improper|bad) sequence|not (?:implemented|recogni[sz]ed)
misconfigur|command (?:died|fail|not)|unexpected|technical
try (?:again|later)
"""

# --- Reports in prose ---------------------------------------------------------------------------

REPORT_SUBJECT = r"""
undeliver|non-?deliver|not (?:be )?deliver
deliver\w{0,3} (?:status|notification|failure|report|fail|has failed|delay|error)
returned (?:e?-?mail|message|to sender)
failure notice|delayed mail
(?:mail|message|permanent|system)(?: system)? (?:deliver|fail|error|bounced|status)
(?:fail\w{0,4}|error)[^\n]{0,20} (?:deliver|send)
could ?n[o']t be (?:deliver|sent)|unable to deliver|mail ?could not
warning: (?:message|could not)
user unknown|unknown user|rejected|blocked by|\bDSN\b
unzustellbar|nicht zugestellt|zustellung
non remis|[ée]chec (?:de (?:la )?)?(?:remise|distribution|livraison)
no se (?:puede|ha podido) entregar|no entregad
non recapit|mancat[oa] (?:recapito|consegna)
não entregue|falha na entrega
onbestelbaar|niet (?:te )?bezorg
kan inte levereras|kunne ikke leveres
niedostarcz|nie dostarczono|nedoručiteln
iletilemedi|teslim edil
недоставлен|не доставлен
配信不能|配信エラー|配送(?:不能|エラー|できません)|送信エラー|送信でき
退信|投递失败|无法(?:投递|送达)|未送达
전송 실패|배달(?:되지|할 수)
"""
REPORT_WORDS = r"""
(?:could|was|can|has|were|been) ?n[o']t (?:be )?(?:been )?(?:deliver|relay|sent)
undeliver|not (?:be )?(?:deliver|sent)
(?:unable|n't able) to deliver|could not deliver|failed to (?:deliver|send)
delivery (?:attempt|error|fail|to the following|has failed|of your message|status notification)
delivery problems|error delivering|trouble delivering
permanent(?:ly)? (?:fatal |delivery )?(?:error|fail)|failed permanently
returned to|has been (?:delayed|rejected)|did not (?:reach|receive)|message was rejected
user unknown|unknown user|no valid recipients
had (?:delivery|permanent|transient)\b|transcript of session
"""
KEEPS_TRYING = r"""
will (?:be re-?tried|keep (?:on )?trying|continue|retry|try again|attempt)
still (?:being |be )?(?:retri|trying)
(?:need|have) to (?:do anything|resend|re-send)
no action is required
(?:has|have|been|is|was|mail) delayed
warning message only|not yet (?:been )?deliver
notification about a delay|delay in the delivery
"""
GAVE_UP = r"""
permanent|given up|giving up|will not|no further|not going to try|was aborted
"""
# Of programs for mailing lists that did not pass a mail on.
LIST_ALERT = r"""
loop alert|loop back warning|warning: unix from loop|security alert
fml system error|not member article|ignored not member|reject mail
you .{1,80} are not member
"""
# The line under which the returned mail stands: nothing below it says why it came back.
RETURNED = r"""
(?:the )?(?:header of the )?(?:original|returned|unsent|bounced) (?:message|mail) (?:headers?|is)
(?:the )?(?:header of the )?(?:original|returned|unsent|bounced) (?:message|mail) (?:as )?follows
(?:original|returned|unsent|undelivered|bounced) (?:message|mail)[ \t:.-]*$
(?:below this line|this|included|below) is a copy|copy of (?:the|your) (?:original )?message
message headers? follow|end of message
(?:received|return-path|reporting-mta):[ \t]
ursprüngliche (?:nachricht|kopf)|message d'origine|mensaje original
"""

# --- Automatic answers --------------------------------------------------------------------------

# How programs begin the subject of an answer that nobody wrote.
VACATION = r"""
auto(?:matic|mated)?[ -]?(?:reply|response|responder|answer)|auto(?=:)
out[ -]of[ -](?:the[ -])?office(?: auto[ -]?(?:reply|response))?|ooo
away from my mail|on vacation|vacation (?:reply|response|message|notice)
i am (?:currently )?out of (?:the )?office
# German, French, Spanish, Italian, Portuguese, Dutch
automatische antwort|autoantwort|abwesenheit(?:s\w{1,20})?|abwesend
r[ée]ponse automatique|absence du bureau|message d'absence|absente? du bureau
respuesta autom[áa]tica|fuera de (?:la )?oficina|ausente de la oficina
risposta automatica|fuori (?:sede|ufficio)
resposta autom[áa]tica|fora do escrit[óo]rio|aus[êe]ncia (?:do escrit[óo]rio|tempor[áa]ria)
automatische? (?:antwoord|bericht)|afwezig(?:heid\w{0,20})?|niet aanwezig
# Swedish, Danish, Norwegian, Finnish
autosvar|automatiskt? svar|fr[åa]nvaro\w{0,15}|frav[æe]r\w{0,15}|ikke (?:til stede|på kontoret)
automaattinen vastaus|poissaolo\w{0,15}|poissa toimistosta
# Polish, Czech and Slovak, Hungarian, Romanian, Croatian, Slovene, Turkish
automatyczna odpowied[źz]|odpowied[źz] automatyczna|autoodpowied[źz]
poza biurem|nieobecno[śs][ćc](?: w biurze)?
automatick[áa] odpov[ěe][ďd]|mimo kancel[áa][řr]
automatikus v[áa]lasz|h[áa]zon k[íi]v[üu]l
r[ăa]spuns automat|automatski odgovor|samodejni odgovor
otomatik (?:yan[ıi]t|cevap)|ofis d[ıi][şs][ıi]nda
# Russian, Ukrainian, Bulgarian, Greek
автоматическ(?:ий|ое) (?:ответ|уведомление)|автоответ(?:чик)?|нет на месте
автоматична відповідь|автовідповідь|автоматичен отговор
αυτόματη απάντηση|εκτός γραφείου
# Japanese, Chinese, Korean, Vietnamese, Indonesian, Thai, Hebrew, Arabic
自動(?:応答|返信)(?:メール)?|不在(?:通知|返信|のお知らせ|連絡)
自动(?:回复|答复|回覆)|自動(?:回覆|回復|答覆)|不在办公室
자동 ?(?:회신|응답|답장)|부재 ?중
trả lời tự động|balasan otomatis|ตอบกลับอัตโนมัติ
תשובה אוטומטית|מענה אוטומטי|رد تلقائي|الرد التلقائي
"""
