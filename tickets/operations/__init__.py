"""Everything that changes the database. One function, one transaction, events on commit."""

from tickets.operations.assistant import (
    ask_for_human,
    hand_over,
    may_answer,
    post_answer,
    switch_assistant,
)
from tickets.operations.at_once import reply_at_once
from tickets.operations.conversations import (
    MovedOn,
    mark_got,
    mark_read,
    post_note,
    post_reply,
    start_chat,
)
from tickets.operations.handing import hand_ticket_to
from tickets.operations.live import nobody_waits, share_chat
from tickets.operations.merging import merge_tickets
from tickets.operations.moving import move_message
from tickets.operations.opening import open_ticket_by_mail
from tickets.operations.splitting import split_ticket
from tickets.operations.taking_back import Draft, take_back
from tickets.operations.team import (
    ask_colleagues,
    join_beside,
    mark_team_read,
    quote_back,
    start_direct,
    start_group,
)
from tickets.operations.tickets import assign_ticket, mark_seen, reopen_ticket, solve_ticket
from tickets.operations.visits import end_chat, file_answers, introduce, rate_ticket

__all__ = [
    "Draft",
    "MovedOn",
    "ask_colleagues",
    "ask_for_human",
    "assign_ticket",
    "end_chat",
    "file_answers",
    "hand_over",
    "hand_ticket_to",
    "introduce",
    "join_beside",
    "mark_got",
    "mark_read",
    "mark_seen",
    "mark_team_read",
    "may_answer",
    "merge_tickets",
    "move_message",
    "nobody_waits",
    "open_ticket_by_mail",
    "post_answer",
    "post_note",
    "post_reply",
    "quote_back",
    "rate_ticket",
    "reopen_ticket",
    "reply_at_once",
    "share_chat",
    "solve_ticket",
    "split_ticket",
    "start_chat",
    "start_direct",
    "start_group",
    "switch_assistant",
    "take_back",
]
