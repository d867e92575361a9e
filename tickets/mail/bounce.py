"""Mail that machines wrote: delivery reports and automatic answers.

Reports follow RFC 3464 where the sender knows it; the rest is recognised by who sent it and what
the text says. Automatic answers follow RFC 3834, with the older marks that are still in use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tickets.mail.headers import decoded

SEARCHED_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Bounce:
    hard: bool  # nothing sent to this address will ever arrive
    status: str  # RFC 3463, such as 5.1.1; "" if the report names none
    recipient: str
    reason: str
    is_standard: bool  # told by a message/delivery-status part, not guessed from prose


STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
REPLY_CODE = re.compile(r"(?:^|[\s:'\"(<\[])([45]\d\d)[\s-](?:\d\.\d\.\d|[A-Za-z#<])")
ADDRESS = re.compile(r"[\w.+=/-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
MAILER = re.compile(
    r"mailer-?daemon|postmaster|mail[ _-]?delivery|^bounces?[@+-]|mta@|mdaemon|delivery subsystem",
    re.I,
)
REPORT_SUBJECT = re.compile(
    r"undeliver|returned mail|delivery (?:status )?(?:notification|failure|report|has failed)"
    r"|(?:mail|message) (?:delivery|system) (?:fail|error)|failure notice|delivery fail"
    r"|could ?n[o']t be delivered|not delivered|non.?deliver|mail delivery|delayed mail"
    r"|message (?:bounced|status)|unzustellbar|unable to deliver|user unknown|rejected"
    r"|mail ?could not|warning: (?:message|could not)|nondelivery|mail failure|\bDSN\b",
    re.I,
)
SOFT = re.compile(
    r"over ?quota|quota (?:exceed|full)|mailbox (?:is )?full|full mailbox|insufficient (?:system )?"
    r"storage|out of storage|too (?:large|big)|exceeds? (?:size|max)|try again|temporar|timed? ?out"
    r"|will (?:keep trying|retry)|still (?:being )?(?:retried|trying)|delayed|deferred|greylist"
    r"|spam|blocked|blacklist|black list|reputation|policy|denied|refused|too many",
    re.I,
)
UNKNOWN_USER = re.compile(
    r"user unknown|unknown user|no such (?:user|address|mailbox|recipient|person)"
    r"|does ?n[o']t exist|not found|unrouteable|mailbox unavailable"
    r"|invalid (?:recipient|mailbox|user|address)"
    r"|unknown (?:address|recipient|local|mailbox)|host unknown|no longer|disabled|inactive"
    r"|recipient.{0,40}(?:rejected|unknown)|domain .{0,60}not exist|name or service",
    re.I,
)
FAILURE_WORDS = re.compile(
    r"\b(?:could not be delivered|was not delivered|wasn't delivered|delivery failed|undeliver"
    r"|permanent(?:ly)? (?:fatal )?(?:error|fail)|failed permanently|unable to deliver|returned to"
    r"|has been (?:delayed|rejected)|cannot be delivered|delivery (?:attempt|error|fail)"
    r"|user unknown|could not deliver|not be able to deliver|did not reach|did not receive"
    r"|message was rejected)",
    re.I,
)
AUTO_SUBJECT = re.compile(
    r"^\s*(?:re: *)?(?:\[?auto(?:matic)?[- ]?(?:reply|response|answer|matische antwort|submitted)"
    r"|auto:|out of (?:the )?office|vacation|away from|abwesen|automatisch|r[ée]ponse automatique"
    r"|respuesta autom|risposta automatica|ooo\b|autoreply|autosvar|automatisk)",
    re.I,
)


def report_blocks(text: str) -> list[dict[str, str]]:
    """The groups of fields in a message/delivery-status part, names in lower case."""
    blocks: list[dict[str, str]] = []
    for chunk in re.split(r"\n[ \t]*\n", text[:SEARCHED_CHARS]):
        fields: dict[str, str] = {}
        name = ""
        for line in chunk.splitlines():
            if line[:1] in {" ", "\t"} and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            blocks.append(fields)
    return blocks


def from_report(text: str) -> Bounce | None:
    """What a delivery-status part says; None for news of success."""
    blocks = report_blocks(text)
    for fields in blocks:
        action = fields.get("action", "").split(" ")[0].strip(";").lower()
        status = _first(STATUS, fields.get("status", ""))
        recipient = fields.get("final-recipient") or fields.get("original-recipient") or ""
        if not (action or status or recipient):
            continue
        if action in {"delivered", "relayed", "expanded"} or status.startswith("2."):
            continue
        reason = decoded(fields.get("diagnostic-code", "")) or f"{action} {status}".strip()
        told = _first(STATUS, reason)
        if told and (not status or status.endswith(".0.0")):
            status = told
        hard = action != "delayed" and _is_hard(status, reason)
        return Bounce(hard, status, _recipient(recipient), reason, is_standard=True)
    return None


def from_words(*, sender: str, subject: str, text: str, null_sender: bool) -> Bounce | None:
    """A report in prose: a mailer wrote it, and both its subject or its text say what failed."""
    if not null_sender and not MAILER.search(sender):
        return None
    text = text[:SEARCHED_CHARS]
    if not REPORT_SUBJECT.search(subject) and not FAILURE_WORDS.search(text):
        return None
    if AUTO_SUBJECT.search(subject):
        return None
    if subject.lower().startswith("re:") and not null_sender:
        return None  # a postmaster who answers
    status = _first(STATUS, text)
    if not status and (code := _first(REPLY_CODE, text)):
        status = f"{code[0]}.0.0"
    recipient = next((a for a in ADDRESS.findall(text) if not MAILER.search(a)), "")
    line = next((one.strip() for one in text.splitlines() if UNKNOWN_USER.search(one)), "")
    line = line or next((one.strip() for one in text.splitlines() if STATUS.search(one)), "")
    reason = (line or subject)[:500]
    return Bounce(_is_hard(status, text), status, recipient, reason, is_standard=False)


def _is_hard(status: str, reason: str) -> bool:
    """Only an address or a host that is gone for good; a full or picky mailbox may recover."""
    if status.startswith("4."):
        return False
    if re.match(r"5\.1\.[1236]$|5\.1\.10$|5\.4\.4$", status):
        return True
    if UNKNOWN_USER.search(reason):
        return True
    return status.startswith("5.") and not SOFT.search(reason) and not status.startswith("5.7")


def _recipient(value: str) -> str:
    value = value.partition(";")[2] or value
    return _first(re.compile(f"({ADDRESS.pattern})"), value) or value.strip(" <>")[:200]


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def is_automatic(fields: dict[str, str], subject: str) -> bool:
    """Whether a machine sent this: an answer to it would reach nobody, or start a loop.

    `fields` are the raw header fields by lower-case name.
    """
    auto = fields.get("auto-submitted", "").strip().lower()
    if auto:
        return not auto.startswith("no")
    if any(name in fields for name in ("x-autoreply", "x-autorespond", "x-autoresponder")):
        return True
    precedence = fields.get("precedence", "").strip().lower()
    if precedence in {"auto_reply", "auto-reply", "bulk", "junk", "list"}:
        return True
    if fields.get("x-precedence", "").strip().lower() in {"auto_reply", "bulk"}:
        return True
    if "list-id" in fields or "feedback-id" in fields or "x-auto-response-suppress" in fields:
        return fields.get("x-auto-response-suppress", "all").strip().lower() != "none"
    return bool(AUTO_SUBJECT.search(subject))
