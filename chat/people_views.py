"""Who takes part in a conversation, for staff: a panel beside it, or a page without script."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django import forms
from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from chat import presence
from chat.forms import AddPeopleForm, LinkForm, RankForm, TitleForm
from chat.links import create_link, open_links, remove_member, revoke_link
from chat.tokens import link_token_for
from helpdesk.lib.errors import Refused
from tickets.access import (
    Viewer,
    access_conversation,
    may_lead,
    viewer_for,
    visible_conversations,
)
from tickets.models import Conversation, EmailAddress, Participant, Team, User
from tickets.operations import seats
from tickets.operations.seats import Guests
from tickets.views.frame import DeskRequest, desk_page, nav

Form = TypeVar("Form", bound=forms.Form)


@require_safe
@desk_page
def people(request: DeskRequest, pk: int) -> HttpResponse:
    """Everybody in it, and what the reader may do about them."""
    return _show(request, pk)


@require_POST
@desk_page
def add(request: DeskRequest, pk: int) -> HttpResponse:
    form = valid(AddPeopleForm(request.POST))
    guests = Guests(
        user_ids=form.cleaned_data["users"],
        team_ids=form.cleaned_data["teams"],
        addresses=form.cleaned_data["addresses"],
    )
    seats.add_people(
        viewer_for(request.user),
        pk,
        guests,
        sees_all=form.cleaned_data["sees_all"],
        rank=form.cleaned_data["rank"] or Participant.Rank.MEMBER,
    )
    return _again(request, pk)


@require_POST
@desk_page
def remove(request: DeskRequest, pk: int, person: int) -> HttpResponse:
    remove_member(viewer_for(request.user), pk, person)
    return _again(request, pk)


@require_POST
@desk_page
def rank(request: DeskRequest, pk: int, person: int) -> HttpResponse:
    form = valid(RankForm(request.POST))
    seats.set_rank(viewer_for(request.user), pk, person, form.cleaned_data["rank"])
    return _again(request, pk)


@require_POST
@desk_page
def rename(request: DeskRequest, pk: int) -> HttpResponse:
    form = valid(TitleForm(request.POST))
    seats.rename(viewer_for(request.user), pk, form.cleaned_data["title"])
    return _again(request, pk)


@require_POST
@desk_page
def mute(request: DeskRequest, pk: int) -> HttpResponse:
    seats.mute(viewer_for(request.user), pk, muted=request.POST.get("muted") == "yes")
    return _again(request, pk)


@require_POST
@desk_page
def leave(request: DeskRequest, pk: int) -> HttpResponse:
    """Go. Who sees the conversation by its inbox still does."""
    viewer = viewer_for(request.user)
    channel = access_conversation(viewer, pk).channel
    is_internal = channel == Conversation.Channel.INTERNAL
    seats.leave(viewer, pk)
    if visible_conversations(viewer).filter(pk=pk).exists():
        return _again(request, pk)
    away = "chat:team-list" if is_internal else "tickets:list"
    response = HttpResponse(status=204) if request.htmx else redirect(away)
    if request.htmx:
        response["HX-Redirect"] = reverse(away)
    return response


@require_POST
@desk_page
def new_link(request: DeskRequest, pk: int) -> HttpResponse:
    form = valid(LinkForm(request.POST))
    create_link(viewer_for(request.user), pk, **form.cleaned_data)
    return _again(request, pk)


@require_POST
@desk_page
def end_link(request: DeskRequest, pk: int, link: UUID) -> HttpResponse:
    revoke_link(viewer_for(request.user), pk, link)
    return _again(request, pk)


def _again(request: DeskRequest, pk: int) -> HttpResponse:
    """The panel as it is now, or the page again."""
    return _show(request, pk) if request.htmx else redirect("chat:people", pk)


def _show(request: DeskRequest, pk: int) -> HttpResponse:
    viewer = viewer_for(request.user)
    conversation = access_conversation(viewer, pk)
    context = _about(viewer, conversation)
    if request.htmx:
        return render(request, "chat/_people.html", context)
    return render(request, "chat/people.html", nav(viewer) | context)


def _about(viewer: Viewer, conversation: Conversation) -> dict[str, Any]:
    taken = list(_seats(conversation))
    mine = next((seat for seat in taken if seat.person_id == viewer.person.pk), None)
    ticket = getattr(conversation, "ticket", None)
    inside = {seat.person_id for seat in taken}
    return {
        "viewer": viewer,
        "conversation": conversation,
        "ticket": ticket,
        "seats": taken,
        "mine": mine,
        "requester": ticket.requester_id if ticket else None,
        "here": {one.person_id for one in presence.present(conversation.pk) if one.is_here},
        "leads": may_lead(viewer, conversation),
        "adds": not conversation.pair and (mine is None or mine.rank != Participant.Rank.READER),
        "is_internal": conversation.channel == Conversation.Channel.INTERNAL,
        "colleagues": User.objects.filter(is_active=True)
        .exclude(person__in=inside)
        .select_related("person")
        .order_by("person__name"),
        "teams": Team.objects.order_by("name"),
        "ranks": Participant.Rank.choices,
        "may_add_customers": bool(ticket and ticket.inbox.address),
        "may_link": bool(ticket and ticket.inbox.widget_key),
        "links": [
            {"link": link, "address": f"{settings.SITE_URL}{_join_address(link.pk)}"}
            for link in open_links(conversation)
        ],
    }


def _join_address(link_id: UUID) -> str:
    return reverse("chat:join", args=[link_token_for(link_id)])


def _seats(conversation: Conversation) -> QuerySet[Participant]:
    primary = EmailAddress.objects.filter(person=OuterRef("person"), is_primary=True)
    taken = conversation.participants.filter(left_at=None).select_related("person")
    return taken.annotate(address=Subquery(primary.values("address")[:1])).order_by("pk")


def valid(form: Form) -> Form:
    """The form, if it is filled in well. Raises Refused with what is wrong."""
    if not form.is_valid():
        errors = [str(error) for each in form.errors.values() for error in each]
        raise Refused(errors[0] if errors else _("Something in this form is wrong."))
    return form
