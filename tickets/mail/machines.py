"""What sort of sender a mail has: a person, or which kind of machine. Pure.

RFC 3834 for automatic mail, with the older marks that are still in use; RFC 3464 and RFC 8098 for
reports, RFC 5965 for complaints, RFC 2919 and RFC 2369 for lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from tickets.mail import phrases
from tickets.mail.bounce import Bounce, bounce_of, may_report, returned_ids
from tickets.mail.charsets import to_text
from tickets.mail.headers import decoded
from tickets.mail.phrases import any_of
from tickets.mail.reasons import ADDRESS

COMPLAINT_CHARS = 20_000


class Nature(StrEnum):
    PERSON = "person"
    VACATION = "vacation"  # an automatic answer: a fact to show, no word of a person
    GENERATED = "generated"  # by a program: a contact form, a notification
    REPORT = "report"  # what became of a mail: bounced, delayed, delivered, read
    COMPLAINT = "complaint"  # a mail of ours was marked as spam, or failed authentication
    LIST = "list"  # came through a mailing list, or is a newsletter


@dataclass(frozen=True, slots=True)
class Complaint:
    type: str  # RFC 5965: abuse, fraud, virus, not-spam, auth-failure, …
    recipient: str  # whose mailbox it was in; many reporters leave it out

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to know of a mail that a machine may have sent."""

    nature: Nature
    may_be_answered: bool  # by a program, unasked; staff may always write
    bounce: Bounce | None = None
    complaint: Complaint | None = None
    returned_ids: tuple[str, ...] = ()  # Message-IDs of the mail that a report is about

    @property
    def is_automatic(self) -> bool:
        """Whether no person wrote this for us. Behind a list there is mostly one."""
        return self.nature is not Nature.PERSON and self.nature is not Nature.LIST


def machine(
    fields: dict[str, str],
    *,
    sender: str,
    reply_to: str,
    subject: str,
    text: str,
    own: Sequence[str] = (),
    parts: Sequence[tuple[str, bytes]] = (),
    raw: bytes = b"",
) -> Machine:
    """The nature of a mail, and what it reports.

    `fields` are the raw header fields by lower-case name, `sender` and `reply_to` addresses or "",
    `own` the addresses it went to, `parts` the type and content of what hangs on it, `raw` all of
    it.
    """
    is_null = "<>" in fields.get("return-path", "")
    kinds = {kind for kind, _ in parts}
    if "message/feedback-report" in kinds or (
        "message/rfc822" in kinds and COMPLAINT_SUBJECT.match(subject)
    ):
        return _about_mail(Nature.COMPLAINT, parts, text, raw, complaint=_complaint(parts))
    if "message/disposition-notification" in kinds or RECEIPT.search(
        fields.get("content-type", "")
    ):
        return _about_mail(Nature.REPORT, parts, text, raw)
    is_report = "message/delivery-status" in kinds
    author = fields.get("from", "")
    if is_report or (
        (is_null or "x-failed-recipients" in fields or may_report(author))
        and not VACATION_SUBJECT.match(subject)
    ):
        bounce = bounce_of(
            sender=decoded(author),
            subject=subject,
            text=text,
            is_null_sender=is_null,
            own=own,
            failed=fields.get("x-failed-recipients", ""),
            reports=[to_text(data)[0] for kind, data in parts if kind == "message/delivery-status"],
            returned=[data for kind, data in parts if kind in RETURNING],
        )
        if is_report or bounce is not None:
            return _about_mail(Nature.REPORT, parts, text, raw, bounce=bounce)
    nature = _nature(fields, subject, is_null=is_null)
    return Machine(nature, _may_be_answered(nature, fields, sender, reply_to, is_null=is_null))


def _about_mail(
    nature: Nature,
    parts: Sequence[tuple[str, bytes]],
    text: str,
    raw: bytes,
    *,
    bounce: Bounce | None = None,
    complaint: Complaint | None = None,
) -> Machine:
    ids = returned_ids([data for _, data in parts], text, raw)
    return Machine(
        nature, may_be_answered=False, bounce=bounce, complaint=complaint, returned_ids=ids
    )


RETURNING = frozenset(
    {"message/rfc822", "message/rfc822-headers", "message/partial", "message/global"}
    | {"text/rfc822-headers", "message/global-headers"}
)
RECEIPT = re.compile(r"report-type\s{0,5}=\s{0,5}\"?disposition-notification", re.I)


# --- Complaints ---------------------------------------------------------------------------------

COMPLAINT_SUBJECT = re.compile(r"\s*complaint about message from [\d.:a-f]{3,45}", re.I)
COMPLAINT_TYPE = re.compile(r"^feedback-type[ \t]*:[ \t]*([\w-]{1,40})", re.I | re.M)
COMPLAINT_RECIPIENT = re.compile(
    rf"^(?:original-rcpt-to|removal-recipient)[ \t]*:[ \t<]*({ADDRESS.pattern})", re.I | re.M
)


def _complaint(parts: Sequence[tuple[str, bytes]]) -> Complaint:
    """Outlook.com tells of complaints without the fields of RFC 5965."""
    told = next((data for kind, data in parts if kind == "message/feedback-report"), b"")
    text = to_text(told[:COMPLAINT_CHARS])[0]
    kind, recipient = COMPLAINT_TYPE.search(text), COMPLAINT_RECIPIENT.search(text)
    return Complaint(kind[1].lower() if kind else "abuse", recipient[1] if recipient else "")


# --- Automatic mail -----------------------------------------------------------------------------

REPLY_MARKS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-autoreply-from",
)
BULK = frozenset({"bulk", "junk", "list"})
# Never behind "Re:": that is a person who answers such a mail. And only with what programs put
# behind it: a question may begin with the same words.
VACATION_SUBJECT = any_of(
    phrases.VACATION,
    before=r"\s{0,9}(?:\[[^\]]{1,30}\] ?)?[\[(【<*\"']?",
    after=r"\s{0,3}(?:$|[:：.,!|–—\])】>*\"'-]|re\b|until\b|till\b|from\b|bis\b|jusqu|hasta\b)",
)


def _nature(fields: dict[str, str], subject: str, *, is_null: bool) -> Nature:
    auto = fields.get("auto-submitted", "").strip().lower()
    precedence = fields.get("precedence", "") or fields.get("x-precedence", "")
    precedence = precedence.strip().lower()
    if auto.startswith("no"):  # a person sent it; "auto-notified" does not begin so
        return Nature.LIST if "list-id" in fields else Nature.PERSON
    if (
        auto.startswith("auto-replied")
        or precedence in {"auto_reply", "auto-reply"}
        or any(mark in fields for mark in REPLY_MARKS)
        or VACATION_SUBJECT.match(subject)
    ):
        return Nature.VACATION
    if auto:
        return Nature.GENERATED
    if (
        "list-id" in fields
        or "mailing-list" in fields
        or ("list-unsubscribe" in fields and precedence in BULK)
    ):
        return Nature.LIST
    return Nature.GENERATED if is_null or precedence in BULK else Nature.PERSON


UNATTENDED = re.compile(
    r"(?:[^@]*[-_.+])?(?:no|not|do[-_.]?not|don?t|never)[-_.]?(?:reply|respond|answer)|nepasrepondre"
    r"|mailer[-_.]?daemon|postmaster|bounces?(?:[-+=]|@)|noresponder|keine?[-_.]?antwort",
    re.I,
)
ASKS_FOR_SILENCE = re.compile(r"\b(?:all|autoreply|oof)\b", re.I)  # MS-OXCMAIL, 2.1.3.2.18


def _may_be_answered(
    nature: Nature, fields: dict[str, str], sender: str, reply_to: str, *, is_null: bool
) -> bool:
    """Whether an automatic answer would reach a person who waits for one.

    RFC 3834, section 2: none to an empty envelope sender, to other automatic answers or reports, to
    lists. It advises against answering any mail that says that it is automatic. One sort we do
    answer: a contact form speaks for a person, and names them in Reply-To. Caps for each recipient
    and ticket end what a loop would begin.
    """
    if is_null or nature is Nature.VACATION or nature is Nature.LIST:
        return False
    target = reply_to or sender
    if not target or UNATTENDED.match(target):
        return False
    if nature is Nature.GENERATED or ASKS_FOR_SILENCE.search(
        fields.get("x-auto-response-suppress", "")
    ):
        return bool(reply_to) and reply_to.lower() != sender.lower()
    return True
