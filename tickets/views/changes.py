"""Change lines of a timeline, as sentences."""

from __future__ import annotations

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tickets.access import Viewer
from tickets.models import Message


def change_sentence(message: Message, viewer: Viewer) -> SafeString:
    """What a change says to `viewer`, with names in bold."""
    change = message.change or {}
    who = _who(message, viewer)
    by_assistant = message.author is not None and message.author.is_assistant
    match change:
        case {"field": "status", "new": "solved", "reason": "moved"}:
            return format_html(_("{who} solved this: nothing is left in it"), who=who)
        case {"field": "status", "new": "solved", "reason": "ended"}:
            return format_html(_("{who} ended the chat"), who=who)
        case {"field": "status", "new": "solved"}:
            return format_html(_("{who} solved this"), who=who)
        case {"field": "status", "new": "open", "reason": "undelivered"}:
            return format_html(_("{who} opened this again: a mail did not arrive"), who=who)
        case {"field": "status", "old": "solved", "new": "open"}:
            return format_html(_("{who} opened this again"), who=who)
        case {"field": "status", "new": "open"}:
            return format_html(_("{who} set this back to open"), who=who)
        case {"field": "status", "new": "waiting"}:
            return format_html(_("{who} set this to wait for the customer"), who=who)
        case {"field": "assignee", "new": None, "old": str(old)}:
            return format_html(_("{who} took this from {old}"), who=who, old=_name(old))
        case {"field": "team", "new": str(new)}:
            return format_html(_("{who} handed this to the team {new}"), who=who, new=_name(new))
        case {"field": "assignee", "new": str(new), "reason": "shared"}:
            return format_html(_("{who} gave this to {new}, who is free"), who=who, new=_name(new))
        case {"field": "assignee", "new": str(new)} if (
            message.author and new == message.author.name
        ):
            return format_html(_("{who} took this"), who=who)
        case {"field": "assignee", "new": str(new)}:
            return format_html(_("{who} gave this to {new}"), who=who, new=_name(new))
        case {"field": "handler", "new": "staff", "reason": "asked"} if by_assistant:
            return format_html(_("{who} handed over: a person was asked for"), who=who)
        case {"field": "handler", "new": "staff", "reason": "asked"}:
            return format_html(_("{who} asked for a person; staff answer now"), who=who)
        case {"field": "handler", "new": "staff", "reason": "nothing_found"}:
            return format_html(_("{who} found no answer and handed over to staff"), who=who)
        case {"field": "handler", "new": "staff", "reason": "files"}:
            return format_html(_("{who} cannot look at files and handed over to staff"), who=who)
        case {"field": "handler", "new": "staff", "reason": "failed"}:
            return format_html(_("{who} could not answer and handed over to staff"), who=who)
        case {"field": "handler", "new": "staff", "reason": "off"}:
            return format_html(_("{who} is switched off; staff answer now"), who=who)
        case {"field": "handler", "new": "staff"}:
            return format_html(_("{who} took over from the assistant"), who=who)
        case {"field": "handler"}:
            return format_html(_("{who} let the assistant answer"), who=who)
        case {"field": "rating", "new": int(score), "comment": str(comment)}:
            return _rated(who, score, comment)
        case {"field": "answers", "new": dict(answers)}:
            return format_html(
                _("{who} answered before the chat: {answers}"),
                who=who,
                answers=format_html_join(
                    "; ", "{}: {}", ((label, _name(said)) for label, said in answers.items())
                ),
            )
        case {"field": "identity", "new": str(new)}:
            return format_html(_("{who} is known to the shop as {new}"), who=who, new=_name(new))
        case {"field": "held_back", "new": str(new)}:
            return format_html(
                _("The loop guard held back an automatic reply to {new}"), new=_name(new)
            )
        case {"field": "reply"}:
            return format_html(_("{who} took back a reply before it left"), who=who)
        case {"field": "copied", "old": str(old)}:
            return format_html(_("{who} took {old} out of copy"), who=who, old=_name(old))
        case {"field": "copied", "new": str(new)}:
            return format_html(_("{who} put {new} in copy"), who=who, new=_name(new))
        case {"field": "continues", "new": int(new)}:
            return format_html(_("This continues {ticket}"), ticket=_ticket(new))
        case {"field": "continued", "new": int(new)}:
            return format_html(_("This is continued in {ticket}"), ticket=_ticket(new))
        case {"field": "merged", "new": int(new), "subject": str(subject)}:
            return format_html(
                _("{who} merged {ticket} into this: {subject}"),
                who=who,
                ticket=_name(f"#{new}"),
                subject=subject,
            )
        case {"field": "split_from", "new": int(new)}:
            return format_html(_("{who} split this from {ticket}"), who=who, ticket=_ticket(new))
        case {"field": "split", "new": int(new), "by": str(author), "count": int(count)}:
            said = ngettext(
                "{who} split a message by {author} into {ticket}",
                "{who} split {count} messages by {author} into {ticket}",
                count,
            )
            return format_html(
                said, who=who, author=_name(author), ticket=_ticket(new), count=count
            )
        case {"field": "merged_into", "new": int(new)}:
            return format_html(_("{who} merged this into {ticket}"), who=who, ticket=_ticket(new))
        case {"field": "moved", "new": int(new), "by": str(author)}:
            return format_html(
                _("{who} moved a message by {author} to {ticket}"),
                who=who,
                author=_name(author),
                ticket=_ticket(new),
            )
        case {"field": "delivery", "new": "complaint", "address": str(address)}:
            return format_html(_("{who} marked a mail as spam"), who=_name(address))
        case {"field": "delivery", "address": str(address)}:
            return format_html(_("A mail to {address} bounced"), address=_name(address))
        case {"field": "member", "new": str(new)} if message.author and new == message.author.name:
            return format_html(_("{who} joined"), who=who)
        case {"field": "side", "new": str(new)}:
            return format_html(_("{who} asked {new} among colleagues"), who=who, new=_name(new))
        case {"field": "member", "new": str(new)}:
            return format_html(_("{who} added {new}"), who=who, new=_name(new))
        case {"field": "member", "old": str(old)}:
            return format_html(_("{who} removed {old}"), who=who, old=_name(old))
        case {"field": "joined"}:
            return format_html(_("{who} joined by a link"), who=who)
        case {"field": "left"}:
            return format_html(_("{who} left"), who=who)
        case {"field": "title", "new": ""}:
            return format_html(_("{who} took the name of this away"), who=who)
        case {"field": "title", "new": str(new)}:
            return format_html(_("{who} named this {new}"), who=who, new=_name(new))
        case {"field": "rank", "new": "owner", "of": str(of)}:
            return format_html(_("{who} made {of} an owner"), who=who, of=_name(of))
        case {"field": "rank", "new": "reader", "of": str(of)}:
            return format_html(_("{who} lets {of} read only"), who=who, of=_name(of))
        case {"field": "rank", "of": str(of)}:
            return format_html(_("{who} made {of} a member"), who=who, of=_name(of))
        case {"field": "participant", "new": str(new)}:
            return format_html(_("{who} joined by mail from {new}"), who=who, new=_name(new))
        case _:
            return format_html(
                _("{who} changed {field} to {new}"),
                who=who,
                field=change.get("field", ""),
                new=_name(str(change.get("new") or "–")),
            )


def _rated(who: SafeString, score: int, comment: str) -> SafeString:
    said = (
        _("{who} rated this {score} of 5: {comment}")
        if comment
        else _("{who} rated this {score} of 5")
    )
    return format_html(said, who=who, score=_name(str(score)), comment=comment)


def change_icon(message: Message) -> str:
    """The symbol that goes with the sentence."""
    match message.change:
        case {"field": "status", "new": "solved"}:
            return "circle-check"
        case {"field": "status", "new": "waiting"}:
            return "hourglass"
        case {"field": "status"}:
            return "circle-dot"
        case {"field": "rating"}:
            return "star"
        case {"field": "assignee" | "identity"}:
            return "user-check"
        case {"field": "team" | "side"}:
            return "users"
        case {"field": "member" | "joined" | "left" | "rank"}:
            return "user-plus"
        case {"field": "title"}:
            return "pencil"
        case {"field": "delivery"}:
            return "triangle-alert"
        case {"field": "merged" | "merged_into"}:
            return "merge"
        case {"field": "split" | "split_from"}:
            return "split"
        case {"field": "continues" | "continued" | "moved"}:
            return "external-link"
        case _:
            return "arrow-left-right"


def _who(message: Message, viewer: Viewer) -> SafeString:
    if message.author is None:
        return _name(_("The helpdesk"))
    return _name(_("You") if message.author_id == viewer.person.pk else str(message.author))


def _ticket(number: int) -> SafeString:
    """A link to a ticket. Whether its reader may see it is asked there."""
    return format_html('<a href="{}">#{}</a>', reverse("tickets:ticket", args=[number]), number)


def _name(text: str) -> SafeString:
    return format_html("<b><bdi>{}</bdi></b>", text)
