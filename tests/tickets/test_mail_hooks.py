"""Mail that mail services bring, each in its own manner; and who may bring any."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx2
import pytest
from django.test import Client

from helpdesk.lib import work
from helpdesk.lib.errors import NotFound
from tests.fakes import mail_services as says
from tests.fakes.mail_services import KEY, TO, Call
from tests.fakes.mails import mail
from tests.fakes.s3 import new_bucket
from tests.tickets.conftest import Enter
from tests.together import at_once
from tickets.access import Viewer
from tickets.mail import hooks
from tickets.mail.hooks import SERVICES, hook_address
from tickets.models import InboundEmail, Inbox, Mailbox, Message
from tickets.operations import bringing
from tickets.operations.fetching import fetch_mailbox
from tickets.operations.filing import file_inbound
from tickets.operations.mailboxes import remove_mailbox, save_hook

pytestmark = pytest.mark.django_db

NEW = "/settings/mailboxes/new/"
# As mail servers write it, in more than ASCII, with lines that look like a form's, and with an end
# that is no line break.
TEXT = "Die Größe stimmt nicht.\r\n--\r\n--boundary\r\nÇa va ?\r\n=2E\r\n.\r\nEnde"
WHOLE = (
    "From: Carol <carol@mail.example>\r\nTo: hello@shop.example\r\nSubject: Größe\r\n"
    "Message-ID: <whole@mail.example>\r\nContent-Type: text/plain; charset=utf-8\r\n"
    f"Content-Transfer-Encoding: 8bit\r\n\r\n{TEXT}"
).encode()
ABOVE = f"Return-Path: <carol@mail.example>\r\nDelivered-To: {TO}\r\n".encode()
BYTES = WHOLE.replace("Größe".encode(), "Größe".encode("latin-1"))  # no text in any charset
NAMED: dict[str, Callable[..., Call]] = {
    "mailgun": partial(says.mailgun, token="t" * 50),
    "postmark": partial(says.postmark, name="0b4e-77"),
    "sendgrid": says.sendgrid,
    "ses": partial(says.ses_whole, name="o3vrnil0e2ic28tr"),
}
WHOLES: list[tuple[str, Callable[[bytes], Call], bytes]] = [
    ("mailgun", says.mailgun, BYTES),
    ("mailgun", says.mailgun_by_form, BYTES),
    ("postmark", says.postmark, WHOLE),
    ("sendgrid", says.sendgrid, BYTES),
    ("ses", says.ses_whole, BYTES),
    ("ses", says.ses_as_text, WHOLE),
]


@pytest.fixture
def hook(inbox: Inbox) -> Callable[[str], Mailbox]:
    def made(service: str) -> Mailbox:
        return Mailbox.objects.create(
            name=f"{SERVICES[service].name} hook",
            inbox=inbox,
            kind="hook",
            host=service,
            hook_key=f"key-of-{service}",
            hook_secret=KEY,
        )

    return made


Hook = Callable[[str], Mailbox]


def brought(call: Call, mailbox: Mailbox, *, password: str | None = KEY, **more: Any) -> Any:
    """The answer to a request. The services send the user and password of an address like this."""
    headers = dict(call.headers)
    if password is not None and not SERVICES[mailbox.host].signs:
        login = base64.b64encode(f"helpdesk:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {login}"
    address = more.get("path") or f"/hooks/mail/{mailbox.host}/{mailbox.hook_key}/mime"
    client = Client(headers=headers, enforce_csrf_checks=True)
    return client.post(address, call.body, content_type=call.kind)


def filed() -> Message:
    row = InboundEmail.objects.get()
    work.perform(InboundEmail, row.pk, file_inbound)
    row.refresh_from_db()
    assert (row.decision, row.error) == ("filed", "")
    assert row.message
    return row.message


# --- What they bring ---------------------------------------------------------------------------


@pytest.mark.parametrize(("service", "says_so", "raw"), WHOLES)
def test_a_whole_mail_is_stored_byte_for_byte(
    service: str, says_so: Callable[[bytes], Call], raw: bytes, hook: Hook
) -> None:
    mailbox = hook(service)
    assert brought(says_so(raw), mailbox).status_code == 200
    row = InboundEmail.objects.get()
    assert bytes(row.raw) == ABOVE + raw
    assert (row.mailbox, row.state) == (mailbox, "queued")
    assert row.source.startswith(SERVICES[service].name)
    assert filed().body.startswith("Die Größe stimmt")
    mailbox.refresh_from_db()
    assert mailbox.last_ok_at is not None


def test_a_mail_in_parts_is_put_together(hook: Hook) -> None:
    pdf = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n" + bytes(range(256))
    for service, call in {
        "mailgun": says.mailgun_in_parts(
            "Die Größe", [("attachment-1", "bill.pdf", "application/pdf", pdf)]
        ),
        "postmark": says.postmark_in_parts("Die Größe", pdf),
        "sendgrid": says.sendgrid_in_parts("Die Größe", pdf),
    }.items():
        assert brought(call, hook(service)).status_code == 200, service
        message = filed()
        assert message.body == "Die Größe", service
        assert message.conversation.ticket.subject == "Größe"
        attached = message.files.get().attachment
        assert attached.name == "bill.pdf", service
        assert attached.blob is not None
        assert attached.blob.size_bytes == len(pdf), service
        InboundEmail.objects.all().delete()


def test_a_mail_larger_than_djangos_limit_for_forms_arrives(hook: Hook) -> None:
    raw = mail("x" * 4_000_000)
    for service in ("mailgun", "postmark", "sendgrid", "ses"):
        assert brought(NAMED[service](raw), hook(service)).status_code == 200
    assert {row.size_bytes for row in InboundEmail.objects.all()} == {len(ABOVE) + len(raw)}


def test_what_is_too_large_is_refused_in_words(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "BODY_MAX_BYTES", 1_000)
    mailbox = hook("postmark")
    answer = brought(says.postmark(mail("x" * 1_000)), mailbox)
    assert (answer.status_code, "too large" in answer.content.decode()) == (422, True)
    assert not InboundEmail.objects.exists()


def test_a_mail_in_a_bucket_is_fetched_from_there(
    hook: Hook, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(s3_endpoint)["S3_BUCKET"]
    variables = {
        "AWS_ENDPOINT_URL_S3": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "helpdesk",
        "AWS_SECRET_ACCESS_KEY": "only-for-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    mailbox = hook("ses")
    call = says.ses_in_bucket(bucket, "mails/1")
    answer = brought(call, mailbox)
    assert (answer.status_code, InboundEmail.objects.count()) == (503, 0)  # it comes again
    boto3.client("s3").put_object(Bucket=bucket, Key="mails/1", Body=BYTES)
    assert brought(call, mailbox).status_code == 200
    assert bytes(InboundEmail.objects.get().raw).endswith(BYTES)


@pytest.mark.parametrize("service", SERVICES)
def test_whom_it_was_for_finds_the_inbox(
    service: str, hook: Hook, inbox: Inbox, bob: Viewer
) -> None:
    sales = Inbox.objects.create(name="Sales", address="sales@shop.example")
    raw = mail(to="undisclosed-recipients:;")
    assert brought(NAMED[service](raw, to="sales@shop.example"), hook(service)).status_code == 200
    assert filed().conversation.ticket.inbox == sales


def test_an_address_that_is_none_does_not_get_into_the_mail(hook: Hook) -> None:
    evil = "a@b.example\r\nFrom: boss@shop.example"
    assert brought(says.postmark(WHOLE, to=evil), hook("postmark")).status_code == 200
    assert bytes(InboundEmail.objects.get().raw) == ABOVE.splitlines(keepends=True)[0] + WHOLE


@pytest.mark.parametrize("service", SERVICES)
def test_that_nobody_sent_it_is_known(service: str, hook: Hook) -> None:
    """As of bounces, whose envelope has no sender (RFC 5321, 4.5.5)."""
    assert brought(NAMED[service](WHOLE, sender=""), hook(service)).status_code == 200
    assert bytes(InboundEmail.objects.get().raw).startswith(b"Return-Path: <>\r\n")


@pytest.mark.parametrize("service", SERVICES)
def test_brought_twice_is_one_message(service: str, hook: Hook) -> None:
    mailbox = hook(service)
    for _ in range(2):
        assert brought(NAMED[service](WHOLE), mailbox).status_code == 200
    for row in InboundEmail.objects.all():
        work.perform(InboundEmail, row.pk, file_inbound)
    assert Message.objects.filter(inbound_email__isnull=False).count() == 1
    assert InboundEmail.objects.count() == (2 if service == "sendgrid" else 1)  # it names none


@pytest.mark.django_db(transaction=True)
def test_brought_twice_at_once_is_stored_once(hook: Hook) -> None:
    mailbox = hook("postmark")
    answers: list[Any] = at_once(*[partial(brought, NAMED["postmark"](WHOLE), mailbox)] * 4)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert InboundEmail.objects.count() == 1


def test_what_could_not_be_stored_is_not_thanked_for(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(bringing, "record_inbound", away)
    with pytest.raises(
        OSError, match="disk full"
    ):  # the test client hands it on; a server answers 500
        brought(says.postmark(WHOLE), hook("postmark"))


def test_what_is_no_mail_that_came_is_refused_in_words(hook: Hook) -> None:
    opened = says.multipart(says.signed({"event": b"opened", "recipient": TO.encode()}))
    stored = says.multipart(says.signed({"attachments": b"[]", "message-headers": b"[]"}))
    bounce = Call("application/json", b'{"RecordType": "Bounce", "Email": "a@b.example"}')
    delivered = says.sns({"notificationType": "Delivery", "mail": {"messageId": "1"}})
    for service, call in (
        *(("mailgun", one) for one in (opened, stored)),
        ("postmark", bounce),
        ("ses", delivered),
        ("ses", says.ses({}, {"type": "Lambda"})),
    ):
        mailbox = Mailbox.objects.filter(host=service).first() or hook(service)
        answer = brought(call, mailbox)
        said = f"{SERVICES[service].name} sends something else here than mail that came in."
        assert (answer.status_code, said in answer.content.decode()) == (422, True)
        mailbox.refresh_from_db()
        assert mailbox.error == said
    assert not InboundEmail.objects.exists()
    brought(says.ses_whole(WHOLE), mailbox)
    mailbox.refresh_from_db()
    assert mailbox.error == ""


# --- Amazon's confirmation ---------------------------------------------------------------------


LINK = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37"


class Amazon:
    """In place of Amazon's own servers, which cannot be had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.status = 200
        monkeypatch.setattr(httpx2, "get", self.get)

    def get(self, address: str, **_: object) -> httpx2.Response:
        self.asked.append(address)
        return httpx2.Response(self.status, request=httpx2.Request("GET", address))


def test_a_subscription_is_confirmed_by_its_link(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazon, mailbox = Amazon(monkeypatch), hook("ses")
    wanted = says.sns("You have chosen …", "SubscriptionConfirmation", SubscribeURL=LINK)
    assert brought(wanted, mailbox).status_code == 200
    assert amazon.asked == [LINK]
    greeting = says.sns("Successfully validated SNS topic for Amazon SES event publishing.")
    ended = says.sns("You have ended …", "UnsubscribeConfirmation", SubscribeURL=LINK)
    assert [brought(call, mailbox).status_code for call in (greeting, ended)] == [200, 200]
    assert len(amazon.asked) == 1
    amazon.status = 500
    answer = brought(wanted, mailbox)
    assert (answer.status_code, "Request it again" in answer.content.decode()) == (422, True)


@pytest.mark.parametrize(
    "link",
    [
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com.evil.example/?x",
        "https://evil.example/?https://sns.eu-west-1.amazonaws.com/?x",
        "https://sns.eu-west-1.amazonaws.com@evil.example/?x",
        "https://127.0.0.1/?x",
        None,
    ],
)
def test_a_link_to_elsewhere_is_not_followed(
    link: str | None, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazon = Amazon(monkeypatch)
    call = says.sns("You have chosen …", "SubscriptionConfirmation", SubscribeURL=link)
    assert brought(call, hook("ses")).status_code == 422
    assert not amazon.asked


def test_a_stranger_has_no_subscription_confirmed(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazon = Amazon(monkeypatch)
    call = says.sns("You have chosen …", "SubscriptionConfirmation", SubscribeURL=LINK)
    assert brought(call, hook("ses"), password="guessed").status_code == 422
    assert not amazon.asked


# --- Who may bring -----------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_without_the_secret_nothing_is_taken(service: str, hook: Hook) -> None:
    mailbox = hook(service)
    if SERVICES[service].signs:
        refused = [brought(says.mailgun(WHOLE, key="another"), mailbox)]
        refused += [brought(says.multipart({"body-mime": WHOLE}), mailbox)]
        odd = {"body-mime": WHOLE, "timestamp": "ö".encode(), "token": b"", "signature": b"\xff"}
        refused += [brought(says.multipart(odd), mailbox)]
    else:
        refused = [brought(NAMED[service](WHOLE), mailbox, password="another")]
        refused += [brought(NAMED[service](WHOLE), mailbox, password="")]
        asked = brought(NAMED[service](WHOLE), mailbox, password=None)
        assert (asked.status_code, asked["WWW-Authenticate"]) == (401, 'Basic realm="mail"')
    assert {answer.status_code for answer in refused} == {422}
    assert not InboundEmail.objects.exists()
    mailbox.refresh_from_db()
    assert SERVICES[service].name in mailbox.error
    assert KEY not in mailbox.error + refused[0].content.decode()


def test_a_wrong_address_leads_nowhere(hook: Hook, admin: Viewer) -> None:
    postmark, ses = hook("postmark"), hook("ses")
    call = says.postmark(WHOLE)
    for path in (
        "/hooks/mail/postmark/guessed/mime",
        f"/hooks/mail/postmark/{ses.hook_key}/mime",  # another one's key
        "/hooks/mail/nobody/None/mime",
        "/hooks/mail/postmark/None/mime",
        "/hooks/mail/postmark/%00/mime",
    ):
        assert brought(call, postmark, path=path).status_code == 404
    assert Client().get(f"/hooks/mail/postmark/{postmark.hook_key}/mime").status_code == 405
    assert Client().head(f"/hooks/mail/postmark/{postmark.hook_key}/mime").status_code == 200
    remove_mailbox(admin, postmark.pk)
    assert brought(call, postmark).status_code == 404
    assert not InboundEmail.objects.exists()


# --- Setting one up ----------------------------------------------------------------------------


def form(service: str, **more: Any) -> dict[str, Any]:
    base = {"service": service, "address": "orders@shop.example", "name": "Orders"}
    return base | {"new_inbox": "Orders", "inbox": ""} | more


def test_an_administrator_sets_one_up_and_gives_its_address_away(
    admin: Viewer, enter: Enter
) -> None:
    browser = enter(admin)
    page = browser.get(NEW, {"address": "orders@shop.example"}).content.decode()
    assert "?address=orders%40shop.example&amp;by=postmark" in page
    page = browser.get(NEW, {"address": "orders@shop.example", "by": "postmark"}).content.decode()
    assert "Postmark brings each mail" in page
    assert "Webhook signing key" not in page
    answer = browser.post(NEW, form("postmark"))
    mailbox = Mailbox.objects.get(kind="hook")
    assert answer["Location"] == f"/settings/mailboxes/{mailbox.pk}/"
    page = browser.get(answer["Location"]).content.decode()
    address = hook_address("postmark", mailbox.hook_key or "", mailbox.hook_secret)
    assert f'value="{address}"' in page
    assert "Include raw email content" in page
    parts = urlsplit(address)
    assert (parts.username, len(parts.password or "")) == ("helpdesk", 32)
    assert (
        brought(
            says.postmark(WHOLE, to="orders@shop.example"),
            mailbox,
            password=parts.password,
            path=parts.path,
        ).status_code
        == 200
    )
    assert "Its last mail came" in browser.get(answer["Location"]).content.decode()
    assert "last mail" in browser.get("/settings/mailboxes/").content.decode()


def test_a_signing_key_is_typed_and_never_shown(admin: Viewer, enter: Enter) -> None:
    browser = enter(admin)
    answer = browser.post(NEW, form("mailgun"))
    assert (answer.status_code, "signs with" in answer.content.decode()) == (422, True)
    answer = browser.post(NEW, form("mailgun", signing_key="kéy"))
    assert (answer.status_code, "without blanks" in answer.content.decode()) == (422, True)
    answer = browser.post(NEW, form("mailgun", signing_key=KEY))
    mailbox = Mailbox.objects.get(kind="hook")
    page = browser.get(answer["Location"]).content.decode()
    assert KEY not in page
    assert "helpdesk:" not in page
    more = {"inbox": mailbox.inbox_id, "name": "Renamed"}
    answer = browser.post(answer["Location"], form("mailgun", **more))
    assert answer.status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.name, mailbox.hook_secret) == ("Renamed", KEY)
    answer = browser.post(answer["Location"], form("postmark", **more, signing_key="new-key"))
    mailbox.refresh_from_db()
    assert (mailbox.host, mailbox.hook_secret) == ("mailgun", "new-key")


def test_nobody_else_sets_one_up_or_sees_one(
    admin: Viewer, bob: Viewer, enter: Enter, hook: Hook
) -> None:
    mailbox = hook("postmark")
    for browser in (enter(bob), Client()):
        for path in ("", "brought/"):
            answer = browser.get(f"/settings/mailboxes/{mailbox.pk}/{path}")
            assert answer.status_code in (302, 404)
            assert KEY not in answer.content.decode()
        answer = browser.get(NEW, {"address": "a@b.example", "by": "postmark"})
        assert answer.status_code in (302, 404)
        assert browser.post(NEW, form("postmark")).status_code in (302, 404)
        answer = browser.post(f"/settings/mailboxes/{mailbox.pk}/", form("postmark"))
        assert answer.status_code in (302, 404)
    assert Mailbox.objects.count() == 1
    page = enter(admin).get(f"/admin/tickets/mailbox/{mailbox.pk}/change/").content.decode()
    assert KEY not in page


def test_an_address_that_is_none_is_asked_for_again(admin: Viewer, enter: Enter) -> None:
    answer = enter(admin).get(NEW, {"address": "orders", "by": "postmark"})
    assert answer["Location"] == f"{NEW}?address=orders"
    answer = enter(admin).post(NEW, form("nobody"))
    assert answer.status_code == 404


def test_the_administration_keeps_what_kind_it_is(admin: Viewer, enter: Enter, hook: Hook) -> None:
    mailbox = hook("postmark")
    address = f"/admin/tickets/mailbox/{mailbox.pk}/change/"
    page = enter(admin).get(address).content.decode()
    assert 'name="kind"' not in page
    given = {"name": "Renamed", "inbox": mailbox.inbox_id, "_save": "Save"}
    assert enter(admin).post(address, given).status_code == 302
    mailbox.refresh_from_db()
    assert (mailbox.name, mailbox.kind, mailbox.host, mailbox.hook_secret) == (
        *("Renamed", "hook", "postmark"),
        KEY,
    )


def test_looking_at_it_once_a_day_changes_nothing(hook: Hook) -> None:
    mailbox = hook("postmark")
    Mailbox.objects.update(error="Postmark sends something else.")
    work.perform(Mailbox, mailbox.pk, fetch_mailbox)
    mailbox.refresh_from_db()
    assert (mailbox.state, mailbox.error) == ("queued", "Postmark sends something else.")
    assert mailbox.last_ok_at is None


def test_a_removed_one_is_not_written_to(admin: Viewer, hook: Hook) -> None:
    mailbox = hook("mailgun")
    remove_mailbox(admin, mailbox.pk)
    with pytest.raises(NotFound):
        save_hook(
            admin,
            mailbox.pk,
            service="mailgun",
            name="x",
            signing_key="back",
            inbox=mailbox.inbox,
            new_inbox="",
            address="a@b.example",
        )
    mailbox.refresh_from_db()
    assert mailbox.hook_secret == ""
