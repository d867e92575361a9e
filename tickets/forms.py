"""What the desk's pages send."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.errors import Refused
from tickets.mail.hooks import Service
from tickets.models import Inbox, Mailbox
from tickets.models.people import NAME_MAX_CHARS
from tickets.models.tickets import SUBJECT_MAX_CHARS
from tickets.operations.conversations import (
    CHOICE_MAX_CHARS,
    CHOICES_MAX,
    checked,
    checked_choices,
)
from tickets.operations.opening import checked_subject
from tickets.operations.people import checked_address

SEQ_MAX = 2**31 - 1
ADDRESSES_MAX_CHARS = 8_000
# Dave <dave@example.org>, "Dave, the Miller" <dave@example.org>, or the address alone.
WRITTEN_ADDRESS = re.compile(r'(?:"[^"]*"|[^,<>"])*<([^<>]*)>|([^\s,<>"]+)')
MESSAGE_PLACE = re.compile(r"(\d{1,18})-(\d{1,9})", re.ASCII)
T = TypeVar("T")


def told(check: Callable[[], T]) -> T:
    """What `check` returns; its refusal is said at the field, where the typed text stays."""
    try:
        return check()
    except Refused as error:
        raise ValidationError(str(error)) from error


class LoginForm(AuthenticationForm):
    error_messages = {
        "invalid_login": _("Address and password do not match."),
        "inactive": _("This login has been switched off."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget = forms.EmailInput(
            {"class": "input", "autocomplete": "username", "autofocus": True}
        )
        self.fields["password"].widget.attrs |= {"class": "input"}


class Uuids(forms.Field):
    """Every value of a name that comes several times, as UUIDs."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: list[str] | None) -> list[UUID]:
        try:
            return [UUID(text) for text in value or []]
        except ValueError as error:
            raise ValidationError(_("One of the files cannot be found.")) from error


class Addresses(forms.CharField):
    """Email addresses as people write several of them, with or without names. What is none is
    left for the operation, whose sentence names it."""

    def to_python(self, value: Any) -> Any:
        written = re.sub(r"[;\n]", ",", super().to_python(value) or "")
        return [named or bare for named, bare in WRITTEN_ADDRESS.findall(written)]


class WrittenForm(forms.Form):
    """What somebody on staff says. `client_token` makes sending it twice harmless."""

    file = Uuids(required=False)  # once for each file; a form's `files` are something else
    body = forms.CharField(
        strip=False,
        required=False,
        widget=forms.Textarea({"class": "editor", "rows": 3, "dir": "auto"}),
    )
    client_token = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    cc = Addresses(required=False, max_length=ADDRESSES_MAX_CHARS)
    bcc = Addresses(required=False, max_length=ADDRESSES_MAX_CHARS)

    def clean_body(self) -> str:
        has_files = bool(self.cleaned_data.get("file"))
        return told(lambda: checked(self.cleaned_data["body"], may_be_empty=has_files))


class Choices(forms.CharField):
    """Short answers, with commas between them."""

    def to_python(self, value: Any) -> Any:
        return [one for one in (super().to_python(value) or "").split(",") if one.strip()]


class ComposerForm(WrittenForm):
    """A reply or a note in a conversation. `seen_seq` is the last entry that its writer had before
    them, `choices` are what a customer in a chat may answer with one tap."""

    choices = Choices(required=False, max_length=CHOICES_MAX * (CHOICE_MAX_CHARS + 10))

    seen_seq = forms.IntegerField(min_value=0, max_value=SEQ_MAX, required=False)

    def clean_choices(self) -> list[str]:
        return told(lambda: checked_choices(self.cleaned_data["choices"]))


class NewTicketForm(WrittenForm):
    """The first mail of a conversation, from one of `inboxes`, which all have an address."""

    inbox = forms.TypedChoiceField(
        label=_("From"),
        coerce=int,
        error_messages={"required": _("Choose an inbox."), "invalid_choice": _("Choose an inbox.")},
    )
    address = forms.CharField(
        label=_("To"),
        required=False,
        widget=forms.EmailInput(
            {
                "class": "input",
                "placeholder": "name@example.org",
                "autofocus": True,
                "required": True,
            }
        ),
    )
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=NAME_MAX_CHARS,
        help_text=_("Optional, for somebody new."),
        widget=forms.TextInput({"class": "input", "dir": "auto"}),
    )
    subject = forms.CharField(
        label=_("Subject"),
        required=False,
        strip=False,
        widget=forms.TextInput({"class": "input", "dir": "auto", "required": True}),
    )
    body = forms.CharField(
        label=_("Message"),
        strip=False,
        required=False,
        widget=forms.Textarea({"class": "input message", "rows": 10, "dir": "auto"}),
    )

    # A solved ticket whose matter it takes up again.
    continues = forms.IntegerField(
        min_value=1, max_value=2**63 - 1, required=False, widget=forms.HiddenInput
    )

    def __init__(self, inboxes: Sequence[Inbox], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["inbox"]
        choice.choices = [(inbox.pk, inbox.name) for inbox in inboxes]

    def clean_address(self) -> str:
        return told(lambda: checked_address(self.cleaned_data["address"]))

    def clean_subject(self) -> str:
        return told(lambda: checked_subject(self.cleaned_data["subject"]))


TENANT = re.compile(r"[A-Za-z0-9.-]+")


class _IntoInbox(forms.ModelForm[Mailbox]):
    """A mailbox and the inbox its mail goes into.

    `address` is what it is about: the inbox's address where one is made anew.
    """

    address = forms.EmailField(label=_("Address"), max_length=254)
    inbox = forms.ModelChoiceField(
        Inbox.objects.order_by("name"),
        label=_("Inbox"),
        required=False,
        empty_label=_("A new inbox"),
        help_text=_("Where its mail goes."),
    )
    new_inbox = forms.CharField(
        label=_("Name of the new inbox"),
        required=False,
        max_length=80,
        help_text=_("Customers see it on every mail."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if name != "tls":
                field.widget.attrs |= {"class": "input", "autocomplete": "off"}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        address = given.get("address", "")
        if given.get("inbox") is None and address:
            taken = Inbox.objects.filter(address__iexact=address).first()
            if taken is not None:
                given["inbox"] = taken
            elif not given.get("new_inbox"):
                self.add_error("new_inbox", _("Name the new inbox."))
            elif Inbox.objects.filter(name=given["new_inbox"]).exists():
                self.add_error("new_inbox", _("There is an inbox of this name. Choose it above."))
        return given


class HookForm(_IntoInbox):
    """A mailbox whose mail a service brings: one of `services`, which may sign it."""

    service = forms.ChoiceField(widget=forms.HiddenInput)
    signing_key = forms.RegexField(
        r"^[!-~]*$",
        label=_("Webhook signing key"),
        required=False,
        max_length=300,
        widget=forms.PasswordInput,
        error_messages={"invalid": _("Copy the key as the service shows it, without blanks.")},
    )

    class Meta:
        model = Mailbox
        fields = ("name", "inbox")

    def __init__(self, services: Mapping[str, Service], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.services = services
        choice: Any = self.fields["service"]
        choice.choices = [(service, known.name) for service, known in services.items()]
        typed = self.data.get("service") or self.initial.get("service") or ""
        asked = self.instance.host if self.instance.pk else str(typed)
        self.signs = asked in services and services[asked].signs
        key = self.fields["signing_key"]
        key.help_text = (
            _("Empty: it stays as it is.")
            if self.instance.pk
            else _("It shows that mail comes from there. Mailgun has it under API Security.")
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if self.signs and not self.instance.pk and not given.get("signing_key"):
            self.add_error("signing_key", _("Write the key that the service signs with."))
        if not self.signs:
            given["signing_key"] = ""
        return given


class MailboxForm(_IntoInbox):
    """An account that mail is read from, and where its inbox's replies leave."""

    auth = forms.ChoiceField(
        label=_("Sign in by"),
        choices=[("password", _("Password")), ("google", "Google"), ("microsoft", "Microsoft")],
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput,
    )
    client_secret = forms.CharField(
        label=_("Client secret"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput,
    )
    from_now = forms.ChoiceField(
        label=_("Begin with"),
        required=False,
        choices=[("yes", _("the mail that comes from now on")), ("no", _("all that is there"))],
    )

    class Meta:
        model = Mailbox
        fields = (
            *("kind", "host", "port", "tls", "auth", "username", "folder"),
            *("oauth_client_id", "oauth_tenant"),
            *("smtp_host", "smtp_port", "smtp_security", "name", "inbox"),
        )
        labels = {
            "kind": _("Read by"),
            "host": _("Server"),
            "tls": _("Encrypted"),
            "smtp_host": _("Server to send by"),
            "smtp_port": _("Port to send by"),
            "smtp_security": _("Encryption to send by"),
            "oauth_client_id": _("Client ID"),
            "oauth_tenant": _("Directory (tenant) ID"),
        }
        help_texts = {
            "folder": _("INBOX is there in every account."),
            "smtp_host": _("Empty: replies leave by this helpdesk's own way out."),
            "oauth_tenant": _("Of Microsoft, for an app that is for one organisation only."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.had_password = bool(self.instance.password)
        kinds: Any = self.fields["kind"]
        kinds.choices = [(one.value, one.label) for one in (Mailbox.Kind.IMAP, Mailbox.Kind.POP3)]
        self.fields["host"].required = self.fields["username"].required = True
        kept = {"password": self.had_password, "client_secret": self.instance.oauth_client_secret}
        for name in filter(kept.get, kept):
            self.fields[name].help_text = _("Empty: it stays as it is.")

    def clean_from_now(self) -> bool:
        return bool(self.cleaned_data["from_now"] != "no")

    def clean_oauth_tenant(self) -> str:
        tenant = str(self.cleaned_data["oauth_tenant"])
        if tenant and not TENANT.fullmatch(tenant):
            raise ValidationError(_("Write the ID of the directory, or one of its domains."))
        return tenant

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        by_password = given.get("auth") == Mailbox.Auth.PASSWORD
        if by_password and not (given.get("password") or self.had_password):
            self.add_error("password", _("Write the password of the account."))
        secret = given.get("client_secret") or self.instance.oauth_client_secret
        if given.get("auth") == Mailbox.Auth.GOOGLE and given.get("oauth_client_id") and not secret:
            self.add_error("client_secret", _("Write the secret that Google gave with this ID."))
        return given


class AssignForm(forms.Form):
    assignee = forms.IntegerField(required=False)  # none: nobody's


class HandForm(forms.Form):
    """Whom a ticket goes to, as user-7 or team-3, and a note for them."""

    to = forms.RegexField(r"^(user|team)-\d{1,9}$", required=False)
    note = forms.CharField(strip=False, required=False)
    client_token = forms.UUIDField(required=False)

    def clean(self) -> dict[str, Any]:
        words = super().clean() or {}
        kind, _dash, pk = words.get("to", "").partition("-")
        given = {"note": words.get("note", ""), "client_token": words.get("client_token")}
        return {**given, f"{kind}_id": int(pk)} if pk else given


class SeqForm(forms.Form):
    """A place in a timeline."""

    seq = forms.IntegerField(min_value=0, max_value=SEQ_MAX)


class MoveForm(forms.Form):
    """Where a message goes: a ticket by its number, as people write it, or a new one."""

    to = forms.RegexField(r"^\s*#?\d{1,18}\s*$", required=False)
    new = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        words = super().clean() or {}
        if not words.get("new") and not words.get("to"):
            raise ValidationError(_("Write the number of a ticket, such as 12."))
        number = words.get("to", "").strip().removeprefix("#")
        return {"to": None if words.get("new") else int(number)}


def ticket_number() -> forms.Field:
    """The number of a ticket as people write it: 12, or #12."""
    return forms.RegexField(
        r"^\s*#?\d{1,18}\s*$",
        error_messages={
            "required": _("Write the number of a ticket, such as 12."),
            "invalid": _("Write the number of a ticket, such as 12."),
        },
    )


class MergeForm(forms.Form):
    """Which ticket another one goes on in, and whether who comes there reads what was said."""

    into = ticket_number()
    sees_all = forms.BooleanField(required=False)

    def clean_into(self) -> int:
        return int(self.cleaned_data["into"].strip().removeprefix("#"))


class SplitForm(forms.Form):
    """Messages by ticket and place, such as 12-3, and what the ticket of them is called."""

    message = forms.Field(required=False, widget=forms.MultipleHiddenInput)
    subject = forms.CharField(required=False, max_length=SUBJECT_MAX_CHARS)
    client_token = forms.UUIDField()

    def clean_message(self) -> list[tuple[int, int]]:
        written = [MESSAGE_PLACE.fullmatch(one) for one in self.cleaned_data["message"] or []]
        return [(int(one[1]), int(one[2])) for one in written if one]


class TimelineForm(forms.Form):
    """Which part of a timeline: what came after a place, or what stood before it."""

    after = forms.IntegerField(min_value=0, max_value=SEQ_MAX, required=False)
    before = forms.IntegerField(min_value=1, max_value=SEQ_MAX, required=False)
    joint = forms.CharField(max_length=2_000, required=False)  # the same of what was merged


class SwitchForm(forms.Form):
    """Turn the assistant on or off, for one inbox or for the whole desk."""

    on = forms.BooleanField(required=False)
    inbox = forms.IntegerField(required=False)
