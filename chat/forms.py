"""What the desk's pages about people send."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from chat.links import DAYS_MAX, USES_MAX
from tickets.forms import ADDRESSES_MAX_CHARS, SEQ_MAX, Addresses
from tickets.models import Participant, Team, User
from tickets.models.conversations import TITLE_MAX_CHARS

Rank = Participant.Rank


class ColleaguesForm(forms.Form):
    """Colleagues by name, and whole teams."""

    users = forms.TypedMultipleChoiceField(coerce=int, required=False)
    teams = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (("users", User.objects), ("teams", Team.objects)):
            field: Any = self.fields[name]
            field.choices = [(pk, pk) for pk in rows.values_list("pk", flat=True)]


class AddPeopleForm(ColleaguesForm):
    """Besides them customers by address, and from where they read."""

    addresses = Addresses(required=False, max_length=ADDRESSES_MAX_CHARS)
    sees_all = forms.BooleanField(required=False)
    rank = forms.ChoiceField(
        choices=[(Rank.MEMBER, _("can write")), (Rank.READER, _("can read only"))],
        required=False,
    )


class DirectForm(forms.Form):
    user = forms.IntegerField(min_value=1, max_value=2**31 - 1)


class GroupForm(ColleaguesForm):
    """A new group. `token` makes sending it twice harmless."""

    title = forms.CharField(max_length=2 * TITLE_MAX_CHARS, required=False)
    token = forms.UUIDField(required=False)


class AskForm(ColleaguesForm):
    """What is asked beside a ticket, and whom."""

    question = forms.CharField(strip=False, required=False)
    token = forms.UUIDField(required=False)


class QuoteForm(forms.Form):
    """A message beside a ticket, and words of one's own to go below it."""

    seq = forms.IntegerField(min_value=1, max_value=SEQ_MAX)
    words = forms.CharField(strip=False, required=False)


class LinkForm(forms.Form):
    days = forms.IntegerField(min_value=1, max_value=DAYS_MAX)
    uses_max = forms.IntegerField(min_value=1, max_value=USES_MAX)
    sees_all = forms.BooleanField(required=False)


class RankForm(forms.Form):
    rank = forms.ChoiceField(choices=Rank.choices)


class TitleForm(forms.Form):
    title = forms.CharField(max_length=2 * TITLE_MAX_CHARS, required=False, strip=True)


class NameForm(forms.Form):
    """What somebody is called who comes by a link. `form` is what the page was given."""

    name = forms.CharField(max_length=500, required=False)
    form = forms.CharField(max_length=200)
