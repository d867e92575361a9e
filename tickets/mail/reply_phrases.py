"""The words by which mail programs introduce a quote, head it, forward it and sign.

Those of 13 languages come from mail-parser-reply; what it lacks stands here. Every expression is
matched against one short line, and none of them can backtrack far.
"""

from __future__ import annotations

import re

from mailparser_reply.constants import MAIL_LANGUAGES
from mailparser_reply.parser import EmailMessage

_languages = [language for language in MAIL_LANGUAGES if language != "david"]

# --- Introductions: "On 3 March 2025 at 10:00, Maya <maya@shop.example> wrote:" -----------------

# Quadratic in the length of what it is shown, so it is asked last and about few characters.
LIBRARY = EmailMessage(text="", languages=list(_languages)).HEADER_REGEX

_wrote = (  # the colon follows
    "wrote|writes|schreef|schreibt|geschreven|geschrieben|écrit|ecrit|escribió|escribio|escreveu"
    "|scritto|skrev|skriver|napisał|napisała|pisze|napsal|napsala|píše|píse|napísal|napísala"
    "|napisao|napisala|napisao je|napisala je|napisao/la|kirjoitti|írta|yazdı|yazdi|yazmış|a scris"
    "|написал|написала|пишет|пише|написав|έγραψε|viết|menulis"
    "|写道|寫道|作成|のメール|のメッセージ|작성|작성하였습니다|작성했습니다|쓴 글|כתב|כתבה|كتب"
    "|เขียน|เขียนว่า|rašė|parašė|kirjutas"
)
WROTE_LAST = tuple(_wrote.split("|"))
_WROTE_FIRST = "wrote,? on|schrieb|skrev|schreef|geschreven|пишет|kirjoitti|írta|viết|napisał|yazdı"
_WE = "ich|wir|ihnen|dir|euch|jag|jeg|vi|ik|we|я|мы|вам|minä|me"  # "Am 3. März schrieb ich:"
WROTE_LAST_CHARS = 30
WROTE_FIRST = re.compile(rf"\b(?:{_WROTE_FIRST})\b(?P<ours> (?:{_WE})\b)?.{{1,120}}$", re.I)
_OR_SHE = re.compile(r"\((?:a|la|а|ла)\)$")
WROTE_ALONE = re.compile(
    r"^(?:>\s?)?[\s>]{0,3}(?:a |ha |hat |het volgende |님이 |đã |şunu )?"
    rf"(?:{'|'.join(map(re.escape, WROTE_LAST))})(?:\([aа]\))?\s?$",
    re.I,
)
OURS = re.compile(  # "as I wrote:"
    r"(?:^|\W)(?:I|we|ich|wir|jag|jeg|ik|j'ai|nous avons|ho|abbiamo|he|hemos)"
    r"(?: have| had| already)?\s?$",
    re.I,
)
NO_NAME = re.compile(  # "On Monday at 10:00 my husband wrote:"; mail programs name somebody
    r"\b(?:[Mm]y|[Oo]ur|[Yy]our|[Hh]is|[Hh]er|[Tt]heir|the|he|she|they|you|someone|somebody"
    r"|[Mm]eine?|[Uu]nsere?|[Ii]hre?|er|sie|jemand|mon|ma|notre|votre|elle|quelqu'un|on m'a"
    r"|mi|nuestr[oa]|alguien|mio|mia|nostr[oa]|qualcuno|mijn|onze|uw|iemand)\b"
)
OPENER = re.compile(
    r"^[\s>*_\-]{0,12}(?:(?:on|am|le|el|il|op|den|em|dnia|w dniu|dne|dňa|vào|på|pe|în|στις|в|от"
    r"|kl|quoting|zitat|citando|pada|dana)\b|\d|在|于)",
    re.I,
)
DATE = re.compile(r"\b[12]\d{3}\b|\d[:.h]\d\d|\b\d{1,2}[/.-]\d{1,2}[/.-]\d\d|[12]\d{3} ?[年년]")
TIME = re.compile(r"\d[:.h]\d\d")
ADDRESS_LAST = re.compile(r"[<(\[]\s*(?:mailto:)?[^\s<>()]+@[^\s<>()]+\s*[>)\]]\W{0,3}$")
ADDRESS_THEN_WROTE = re.compile(
    r"<[^\s<>@]{1,100}@[^\s<>@]{1,100}> ?(?:wrote|schrieb|a écrit|escribió|ha scritto) ?:\s"
)
DATE_THEN_ADDRESS = re.compile(r"^[12]\d{3}[/.-]\d\d?[/.-]\d\d?\b.{1,100}<\s?\S+@\S+>$")
# Where an introduction goes on from somebody's own words on the same line.
MIDDLE = re.compile(
    r"(?P<rule>\s?-{2,}\s?|\s)(?:On|Am|Le|El|Il|Op|Den|Em) (?:[^\W\d]{2,10}[.,]{0,2} ){0,3}\d"
)

# --- Headers: "From: … Sent: … To: … Subject: …" -------------------------------------------------

_PLACES = ("from", "sent", "to", "subject")  # the order in which mail-parser-reply has them
_DATE_WORD = re.compile("dat|fecha", re.I)
_WORDS = {
    "from": "Feladó|Kimden|Gönderen|От кого|От|Від|Lähettäjä|Avsender|De la|Από|差出人|送信者"
    "|寄件者|寄件人|Expéditeur|Mittente|Remitente",
    "sent": "Küldve|Elküldve|Gönderildi|Gönderilme tarihi|Отправлено|Надіслано|Lähetetty|Sendt"
    "|Trimis|Εστάλη|送信日時|寄件日期|傳送時間|Enviado|Enviada|Enviado em|Enviada em|Enviado el"
    "|Envoyé le|Odoslané|Poslano|Verzonden op|Gesendet am|Inviato il|보낸 시간",
    "to": "Címzett|Kime|Alıcı|Кому|Vastaanottaja|Către|Προς|宛先|收件者|Pre|Destinataire"
    "|Destinatario",
    "subject": "Tárgy|Konu|Тема|Aihe|Emne|Subiect|Θέμα|件名|主旨|Sujet|Assunto|Predmet|Onderwerp",
    "date": "Dátum|Tarih|Дата|Päiväys|Päivämäärä|Dato|Data|Ημερομηνία|日付|日時|日期|Message du"
    "|Date d'envoi|날짜",
    "other": "Cc|Bcc|Reply-To|Antwort an|Kopie|Copie à|Copia|Másolatot kap|Bilgi|Копия|Копія"
    "|Kopio|抄送|副本|Importance|Attachment|Attachments|Anlage|Anlagen",
}
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")  # r"Envoy\u00e9"
_ANY_OF_TWO = re.compile(r"\[(.)(.)\]")  # "[Ff]ra"


def _roles() -> dict[str, str]:
    found: dict[str, str] = {}
    for language in _languages:
        header = MAIL_LANGUAGES[language]["from_header"]
        for words in re.findall(r"\[\* \]\*\(\?:(.*?)\):\[ \*\]", header):
            for place, word in enumerate(filter(None, map(str.strip, words.split("|")))):
                role = _PLACES[place] if place < len(_PLACES) else "other"
                plain = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), word)
                plain = _ANY_OF_TWO.sub(r"\2", plain.replace(r"\s?", ""))
                found.setdefault(_key(plain), "date" if _DATE_WORD.match(plain) else role)
    for role, words in _WORDS.items():
        found |= {_key(word): role for word in words.split("|")}
    return found


def _key(word: str) -> str:
    return "".join(word.lower().split())


ROLES = _roles()  # "betreff": "subject"
FIELD_MAX_CHARS = 28
_inside = "|".join(re.escape(word) for word in sorted(ROLES, key=len, reverse=True))
FIELD_INSIDE = re.compile(rf"(?<=[\s*])({_inside})\s?\*?[:：]", re.I)
ANY_FIELD = re.compile(r"^[\s>*_]{0,9}[^\W\d_][^:：<>]{0,24}[:：]")


def wrote_at(words: str) -> int:
    """Where the word for writing stands that these end with; -1 if they do not."""
    lower = words[-WROTE_LAST_CHARS:].lower()
    if lower.endswith(")"):
        lower = _OR_SHE.sub("", lower)
    lower = lower.rstrip(" *_\"')>")
    if not lower.endswith(WROTE_LAST):
        return -1
    longest = max((one for one in WROTE_LAST if lower.endswith(one)), key=len)
    return max(len(words) - WROTE_LAST_CHARS, 0) + lower.rindex(longest)


def role_of(line: str) -> str:
    """What the field says that a line begins with: from, sent, date, to, subject or other."""
    colon = line.find(":", 0, FIELD_MAX_CHARS)
    if colon < 0:
        colon = line.find("：", 0, FIELD_MAX_CHARS)
    return ROLES.get(_key(line[:colon].strip(" >*_\t\xa0")), "") if colon > 0 else ""


def roles_inside(line: str) -> list[str]:
    """The same of the fields further on in the line."""
    return [ROLES.get(_key(one[1]), "") for one in FIELD_INSIDE.finditer(line, 3)]


# --- Separators: "-----Original Message-----" --------------------------------------------------

RULE_CHARS = " \t\xa0-‐‑–—_=*~"
SEPARATES = frozenset("-‐‑–—_=*~#[")
IN_DASHES = re.compile(r"[-‐‑–—_=*~]{2,}+(.{3,100}?)([-‐‑–—_=*~]*)\W{0,3}$")
ORIGINAL = re.compile(
    r"origin|urspr|oorspronk|oprindelig|opprinnelig|alkuper|původní|pôvodn|eredeti|orijinal"
    r"|исходн|оригинал|початков|原始|原邮件|元の|원본|αρχικ|מקורית|الأصلية|izvorna|reply message"
    r"|wiadomo|previous (?:message|repl)|vorherige|précédent|anterior",
    re.I,
)
FORWARDED = re.compile(
    r"forward|weitergeleitet|transf[ée]r|réexpédi|reenvi|rispedit|inoltrat|doorgestuurd|videresend"
    r"|vidarebefordra|пересыл|пересл|przekaz|przesłan|転送|转发|轉寄|전달|iletilen|yönlendirilen"
    r"|välitetty|továbbít|přeposlan|preposlan|encaminhad|redirig",
    re.I,
)
FORWARDS = re.compile(  # the same without dashes
    r"^(?:begin forwarded|anfang der weitergeleiteten|début du message (?:réexp|transf)"
    r"|inicio del mensaje reenviado|inizio messaggio inoltrato|begin doorgestuurd"
    r"|início da mensagem (?:reen|enca)|vidarebefordrat brev|videresendt (?:besked|melding)"
    r"|początek przekazywanej|начало пересылаемого|下面是被转发的邮件|転送されたメッセージ"
    r"|전달된 메시지).{0,40}$",
    re.I,
)
SEPARATOR = re.compile(
    r"^\[?original message processed by\b.{0,60}$"
    r"|^\*{1,2}previous (?:replies|messages?)\*{1,2}$"
    r"|^[#*\s_=\[-]{0,20}(?:please )?(?:type |enter |write )?(?:your )?(?:reply|write|respond)"
    r" above this line.{0,40}$"
    r"|^[#*\s_=\[-]{0,20}.{0,30}(?:(?:ober|über)halb dieser (?:linie|zeile)"
    r"|au-dessus de cette ligne|encima de esta línea|sopra (?:a )?questa (?:riga|linea)"
    r"|boven deze (?:regel|lijn)).{0,60}$",
    re.I,
)

# --- What a phone or a mail program signs with -------------------------------------------------

_device = (
    r"iphone|ipad|ipod|ios|android|mobile?|mobil\w*|phone|handy|smartphone|telefon\w*|téléphone"
    r"|móvil|cell(?:ular\w*)?|blackberry|samsung|galaxy|huawei|xiaomi|nokia|htc|pixel|motorola"
    r"|oneplus|sony|xperia|tablet|mac(?:book)?|outlook|(?!e-?mail)[\w-]+mail|mail\w+|yahoo|gmx|web\.de"
    r"|proton\w*"
    r"|windows|thunderbird|spark|sparrow|typeapp|aquamail|bluemail|front|airmail|mailbox|nine|ti-\d+"
)
_sent_from = "|".join(filter(None, (MAIL_LANGUAGES[one].get("sent_from") for one in _languages)))
_SENT = (
    rf"(?:{_sent_from})|sent (?:from|via|with|by|using)(?: \[?mail\b)?"
    r"|envoy[ée] (?:de|depuis|avec|à partir)|enviad[oa] (?:desde|do|da|pelo|a partir)"
    r"|inviat[oa] (?:da|dal|con)|(?:verzonden|verstuurd) (?:met|vanaf|via)|gesendet (?:von|mit)"
    r"|von meinem|von mobil|diese nachricht wurde (?:von|mit)|skickat från|sendt fra"
    r"|wysłan[eo] z|odesláno z|lähetetty|отправлено (?:из|с)|надіслано з|trimis (?:de|din)"
)
_GET = r"get|hent|download|télécharge\w*|obtenir|obtener|obtén|scarica|holen sie(?: sich)?|hämta"
MOBILE = re.compile(
    rf"^[\s<(*_>\-]{{0,6}}(?:{_SENT})\b.{{0,80}}?(?<![^\W_])(?:{_device})(?![^\W_]).{{0,120}}$"
    rf"|^(?:{_GET}) \[?(?:{_device})(?![^\W_]).{{0,120}}$"
    r"|^sent from my(?: [\w-]+){1,4}$"
    rf"|^(?:\w+ )?from (?:my )?(?:mobile|phone|{_device})\b[\w ]{{0,20}}$"
    r"|^從我的 ?.{1,30}傳送$|^(?:发自|來自|来自)我的.{1,30}$|^从我的.{1,30}发送$"
    r"|^.{1,30}から送信$|^(?:나의|내) .{1,30}(?:에서 보냄|보냄)$"
    r"|^.{1,20}(?:'?umdan|'?ımdan|'?imden|dan|den) gönderildi\.?$"
    r"|^.{0,12}iphone\S{0,10} (?:küldve|elküldve)\.?$",
    re.I,
)
_EXCUSE = "excuse|typo|brevity|pardon|sorry|short|kürze|tippfehler|faute|bref"
# "Sent from my desk, which is easier" goes on; "Sent from my phone, excuse typos" does not.
MOBILE_GOES_ON = re.compile(rf"[,;.!?] (?!.*(?:{_EXCUSE}))(?=.*[^\W\d_]{{2}})", re.I)
