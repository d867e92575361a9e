"""Mail that mail services bring by webhook: whether it is from them, and the mail itself.

django-anymail knows what Mailgun, Postmark, SendGrid and Amazon SES send and how they show who they
are. A mail that they hand over whole is taken from there byte for byte, because anymail would write
it anew; one that they have taken apart is put together by anymail.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import httpx2
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from helpdesk.lib.errors import Refused, StorageAway
from tickets.mail.headers import parameters
from tickets.mail.parse import RAW_MAX_BYTES
from tickets.mail.parts import read_parts

# A mail of RAW_MAX_BYTES as base64, and what comes around it.
BODY_MAX_BYTES = RAW_MAX_BYTES * 3 // 2
FIELDS_MAX = 1_000
CONFIRM_SECONDS = 10
# Mailgun's and SendGrid's fields for a whole mail, which no view of anymail gets to see.
WHOLE = {"body-mime", "email"}
USER = "helpdesk"  # of basic auth; the password is the mailbox's secret
# Where Amazon SNS has subscriptions confirmed.
CONFIRM_AT = re.compile(r"https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\?\S+", re.A)


@dataclass(frozen=True, slots=True)
class Service:
    """A mail service that brings mail."""

    name: str
    view: str  # anymail's, by its dotted path
    signs: bool  # with a key of its own making; the others send the secret we made
    steps: Any  # what to do there, in a sentence or two, for who sets it up


SERVICES = {
    "mailgun": Service(
        "Mailgun",
        "anymail.webhooks.mailgun.MailgunInboundWebhookView",
        signs=True,
        steps=gettext_lazy(
            "At Mailgun, under Receiving, make a route for this address with the action Forward, "
            "to the address above."
        ),
    ),
    "postmark": Service(
        "Postmark",
        "anymail.webhooks.postmark.PostmarkInboundWebhookView",
        signs=False,
        steps=gettext_lazy(
            "At Postmark, in the settings of the server's inbound stream, enter the address above "
            "as webhook and tick “Include raw email content in JSON payload”."
        ),
    ),
    "sendgrid": Service(
        "SendGrid",
        "anymail.webhooks.sendgrid.SendGridInboundWebhookView",
        signs=False,
        steps=gettext_lazy(
            "At SendGrid, under Inbound Parse, enter the address above as destination URL and tick "
            "“POST the raw, full MIME message”."
        ),
    ),
    "ses": Service(
        "Amazon SES",
        "anymail.webhooks.amazon_ses.AmazonSESInboundWebhookView",
        signs=False,
        steps=gettext_lazy(
            "At Amazon, let a topic of SNS deliver to the address above by HTTPS, and a receipt "
            "rule of SES publish to that topic: whole mails up to 150 kB, or larger ones by way of "
            "S3. The subscription is confirmed by itself."
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Brought:
    """A mail as a service brought it."""

    raw: bytes
    recipients: tuple[str, ...]  # of the envelope; unchecked
    sender: str | None  # too: "" is nobody, None is not known
    name: str = ""  # what the service calls it, the same each time it brings it


def hook_address(service: str, key: str, secret: str) -> str:
    """Where a service brings the mail of one mailbox. Whoever has it can bring mail."""
    scheme, _separator, place = settings.SITE_URL.partition("://")
    login = "" if SERVICES[service].signs else f"{USER}:{secret}@"
    path = reverse("tickets:mail-hook", args=[service, key])
    return f"{scheme}://{login}{place}{path}"


def bring(service: str, secret: str, request: HttpRequest) -> list[Brought]:
    """The mails in a request of a mail service; none where it only says something about itself.

    `secret` is the mailbox's: its signing key, or the password of basic auth. Raises Refused where
    the request does not show that it comes from there, is too large, or is about something else
    than mail that came; StorageAway where a mail cannot be had from the bucket it lies in; and
    whatever anymail raises about a form of mail that it does not know: the service tries again.
    """
    known = SERVICES[service]
    asked = _Asked(request)
    view = _view(service, secret)
    try:
        view.run_validators(asked.request)
    except (_anymail("AnymailError"), UnicodeError) as error:
        if known.signs:
            sentence = _("The signature does not match the webhook signing key of %s.")
        else:
            sentence = _("The user name or password in the address that %s has is not ours.")
        raise Refused(sentence % known.name) from error
    try:
        if service == "ses":
            return _from_amazon(view, asked)
        whole = _whole(service, asked)
        if whole is not None:
            return [whole]
        return [_put_together(event) for event in view.parse_events(asked.request)]
    except (_NoMail, _anymail("AnymailConfigurationError")) as error:
        sentence = _("%s sends something else here than mail that came in.")
        raise Refused(sentence % known.name) from error


class _NoMail(Exception):
    """It is about something else than mail that came."""


def _anymail(name: str) -> Any:
    return import_string(f"anymail.exceptions.{name}")


@lru_cache(maxsize=100)
def _view(service: str, secret: str) -> Any:
    known = SERVICES[service]
    with warnings.catch_warnings():
        # Its makers cannot try SendGrid any more and say so each time.
        warnings.simplefilter("ignore", _anymail("AnymailNotSupportedWarning"))
        view = import_string(known.view)
        if known.signs:
            return view(webhook_signing_key=secret)
        return view(webhook_secret=f"{USER}:{secret}")


class _Asked:
    """A request, read without Django's limit for forms (2.5 MB) and with its fields as bytes."""

    def __init__(self, request: HttpRequest) -> None:
        kind = request.META.get("CONTENT_TYPE", "")
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        # A form is a mail but for its first line. A large one is not copied for that.
        body = b"".join((head, request.read(BODY_MAX_BYTES + 1)))
        if len(body) > BODY_MAX_BYTES + len(head):
            raise Refused(_("This is too large."))
        self.fields: dict[str, bytes] = {}
        self.request = copy = HttpRequest()
        copy.META, copy.method = request.META, request.method
        copy.content_type, copy.content_params = request.content_type, request.content_params
        if copy.content_type == "multipart/form-data":
            self._read_parts(body)
        elif copy.content_type == "application/x-www-form-urlencoded":
            self._read_pairs(body[len(head) :])
        form = QueryDict(mutable=True, encoding="utf-8")
        for name in self.fields.keys() - WHOLE:
            form[name] = self.fields[name].decode(errors="replace")
        vars(copy).update(POST=form)
        if not self.fields.keys() & WHOLE:
            vars(copy).update(_body=body[len(head) :])

    def _read_parts(self, body: bytes) -> None:
        found = read_parts(body)
        for part in found.every[1:]:
            about = parameters(part.head.get("content-disposition", ""))[1]
            name, content = about.get("name", ""), found.raw[part.start : part.end]
            if "filename" in about:
                file = SimpleUploadedFile(about["filename"], content, part.kind)
                self.request.FILES.appendlist(name, file)
            else:
                self.fields[name] = content

    def _read_pairs(self, body: bytes) -> None:
        text = body.decode("ascii", "surrogateescape")
        for name, value in parse_qsl(
            text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="surrogateescape"
        ):
            self.fields[name] = value.encode("utf-8", "surrogateescape")

    def json(self) -> Any:
        try:
            return json.loads(self.request.body)
        except ValueError as error:
            raise Refused(_("This is not the JSON we expect.")) from error


def _whole(service: str, asked: _Asked) -> Brought | None:
    """A mail that was not taken apart."""
    fields = asked.fields
    match service:
        case "mailgun" if "body-mime" in fields:
            to = fields.get("recipient", b"").decode(errors="replace").split(",")
            sender = fields["sender"].decode(errors="replace") if "sender" in fields else None
            return Brought(fields["body-mime"], tuple(to), sender, fields["token"].decode())
        case "sendgrid" if "email" in fields:
            try:
                envelope = json.loads(fields.get("envelope", b"{}"))
            except ValueError:
                envelope = {}
            named = tuple(map(str, envelope.get("to") or ()))
            return Brought(fields["email"], named, envelope.get("from"))
        case "postmark":
            said = asked.json()
            raw, to = said.get("RawEmail"), said.get("OriginalRecipient")
            if raw:
                head = {one["Name"].lower(): one["Value"] for one in said.get("Headers") or ()}
                name = said.get("MessageID") or ""
                return Brought(_bytes(raw), (to,) if to else (), head.get("return-path"), name)
    return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _put_together(event: Any) -> Brought:
    mail, to = event.message, event.message.envelope_recipient
    name = event.event_id or ""
    return Brought(mail.as_bytes(), (to,) if to else (), mail.envelope_sender, name)


def _from_amazon(view: Any, asked: _Asked) -> list[Brought]:
    """What SES says by SNS (docs.aws.amazon.com/ses, "Contents of notifications")."""
    said = asked.json()
    match said.get("Type"):
        case "SubscriptionConfirmation":
            _confirm(str(said.get("SubscribeURL")))
            return []
        case "Notification":
            try:
                about = json.loads(said["Message"])
            except ValueError:  # a greeting in words
                return []
        case _:
            return []
    if about.get("notificationType") != "Received":
        raise _NoMail
    receipt = about["receipt"]
    action, to = receipt["action"], tuple(map(str, receipt.get("recipients") or ()))
    match action["type"]:
        case "SNS" if action.get("encoding") == "BASE64":
            raw = base64.b64decode(about["content"])
        case "SNS":
            raw = _bytes(about["content"])
        case "S3":
            raw = _from_bucket(view, action["bucketName"], action["objectKey"])
        case _:
            raise _NoMail
    return [Brought(raw, to, about["mail"].get("source"), about["mail"]["messageId"])]


def _from_bucket(view: Any, bucket: str, key: str) -> bytes:
    """One mail beyond all measure is read no further than its size shows."""
    pieces, size = [], 0
    try:
        for piece in view.fetch_s3_chunks(bucket, key):
            pieces.append(piece)
            size += len(piece)
            if size > RAW_MAX_BYTES:
                break
    except _anymail("AnymailError") as error:
        raise StorageAway(str(error)) from error
    return b"".join(pieces)


def _confirm(address: str) -> None:
    """Follow the link that shows Amazon that we want what this topic sends. Who asks has shown the
    mailbox's secret; the link leads nowhere but to Amazon."""
    if not CONFIRM_AT.fullmatch(address):
        raise Refused(_("This is no link of Amazon SNS."))
    try:
        httpx2.get(address, timeout=CONFIRM_SECONDS).raise_for_status()
    except httpx2.HTTPError as error:
        sentence = _("Amazon SNS could not be asked to confirm the subscription. Request it again.")
        raise Refused(sentence) from error
