"""Handing a ticket on to a colleague or a team, with a note that says why."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from helpdesk.lib.errors import NotFound, Refused
from tickets import events
from tickets.access import Viewer, access_ticket, assignable_users, seeing_teams
from tickets.models import Message, Team, Ticket, User
from tickets.operations.conversations import checked
from tickets.operations.timeline import append_change, append_entry, sets_handler


@transaction.atomic
def hand_ticket_to(
    viewer: Viewer,
    number: int,
    *,
    user_id: int | None = None,
    team_id: int | None = None,
    note: str = "",
    client_token: UUID | None = None,
) -> Ticket:
    """Give a ticket to a colleague, or to a team, of which nobody has it yet.

    `note` is for staff only, like every note, and stands below the line that says who has it. A
    second call with the same `client_token` and a note does nothing.

    Raises NotFound for a ticket the viewer may not see, Refused for whoever may not see its inbox
    and for a note that is too long.
    """
    if not viewer.is_staff:
        raise NotFound
    note = checked(note, may_be_empty=True)
    ticket = access_ticket(viewer, number, lock=True)
    said = ticket.conversation.messages.filter(author=viewer.person, client_token=client_token)
    if note and client_token and said.exists():
        return ticket
    if team_id is not None:
        _to_team(ticket, _team_for(ticket, team_id), viewer)
    elif user_id is not None:
        _to_user(ticket, _user_for(ticket, user_id), viewer)
    else:
        raise Refused(_("Choose a colleague or a team."))
    sets_handler(ticket, Ticket.Handler.STAFF, author=viewer.person, reason="assigned")
    if note:
        kind, via = Message.Kind.NOTE, Message.Via.WEB
        written = Message(
            kind=kind, via=via, author=viewer.person, body=note, client_token=client_token
        )
        append_entry(ticket.conversation, written)
    events.ticket_changed(ticket)
    return ticket


def _team_for(ticket: Ticket, team_id: int) -> Team:
    team = Team.objects.filter(pk=team_id).first()
    if team is None:
        raise Refused(_("Choose a colleague or a team."))
    if not seeing_teams(ticket.inbox).filter(pk=team.pk).exists():
        sentence = _(
            "The team %(team)s does not see the inbox %(inbox)s. Choose another team, or have the "
            "team added to the inbox first."
        )
        raise Refused(sentence % {"team": team.name, "inbox": ticket.inbox.name})
    return team


def _user_for(ticket: Ticket, user_id: int) -> User:
    user = assignable_users(ticket.inbox).filter(pk=user_id).first()
    if user is None:
        raise Refused(_("This person cannot see the inbox of this ticket."))
    return user


def _to_team(ticket: Ticket, team: Team, viewer: Viewer) -> None:
    if ticket.team_id == team.pk and ticket.assignee_id is None:
        return
    old = ticket.team.name if ticket.team else None
    ticket.team, ticket.assignee = team, None
    ticket.save(update_fields=["team", "assignee"])
    append_change(ticket, "team", old, team.name, author=viewer.person)


def _to_user(ticket: Ticket, user: User, viewer: Viewer) -> None:
    if ticket.assignee_id == user.pk:
        return
    old = ticket.assignee.person.name if ticket.assignee else None
    ticket.assignee = user
    ticket.save(update_fields=["assignee"])
    append_change(ticket, "assignee", old, user.person.name, author=viewer.person)
