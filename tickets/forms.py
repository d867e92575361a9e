"""What the desk's pages send."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from helpdesk.lib.errors import Refused
from tickets.operations.conversations import checked

SEQ_MAX = 2**31 - 1


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


class ComposerForm(forms.Form):
    """A reply or a note. `client_token` makes sending it twice harmless."""

    file = Uuids(required=False)  # once for each file; a form's `files` are something else
    body = forms.CharField(
        strip=False,
        required=False,
        widget=forms.Textarea({"class": "editor", "rows": 3, "dir": "auto"}),
    )
    client_token = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)

    def clean_body(self) -> str:
        try:
            has_files = bool(self.cleaned_data.get("file"))
            return checked(self.cleaned_data["body"], may_be_empty=has_files)
        except Refused as error:
            raise ValidationError(str(error)) from error


class AssignForm(forms.Form):
    assignee = forms.IntegerField(required=False)  # none: nobody's


class SeqForm(forms.Form):
    """A place in a timeline."""

    seq = forms.IntegerField(min_value=0, max_value=SEQ_MAX)


class TimelineForm(forms.Form):
    """Which part of a timeline: what came after a place, or what stood before it."""

    after = forms.IntegerField(min_value=0, max_value=SEQ_MAX, required=False)
    before = forms.IntegerField(min_value=1, max_value=SEQ_MAX, required=False)


class SwitchForm(forms.Form):
    """Turn the assistant on or off, for one inbox or for the whole desk."""

    on = forms.BooleanField(required=False)
    inbox = forms.IntegerField(required=False)
