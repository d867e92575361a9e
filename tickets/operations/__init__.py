"""Everything that changes the database. One function, one transaction, events on commit."""

from tickets.operations.assistant import (
    ask_for_human,
    hand_over,
    may_answer,
    post_answer,
    switch_assistant,
)
from tickets.operations.at_once import reply_at_once
from tickets.operations.conversations import mark_read, post_note, post_reply, start_chat
from tickets.operations.moving import move_message
from tickets.operations.opening import open_ticket_by_mail
from tickets.operations.taking_back import Draft, take_back
from tickets.operations.tickets import assign_ticket, mark_seen, reopen_ticket, solve_ticket

__all__ = [
    "Draft",
    "ask_for_human",
    "assign_ticket",
    "hand_over",
    "mark_read",
    "mark_seen",
    "may_answer",
    "move_message",
    "open_ticket_by_mail",
    "post_answer",
    "post_note",
    "post_reply",
    "reopen_ticket",
    "reply_at_once",
    "solve_ticket",
    "start_chat",
    "switch_assistant",
    "take_back",
]
