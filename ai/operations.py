"""Answering a customer's message, exactly once and only while the assistant has the word."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Subquery
from django.utils.timezone import now

from ai import answering, provider
from ai.answering import HandOver, Line, Question, Reply
from ai.live import Stage
from ai.models import MODEL_MAX_CHARS, Answer, Article, ArticleFile
from attachments.uploads import claim, uploads_of
from helpdesk.lib import work
from tickets.access import visible_messages, visitor
from tickets.models import Conversation, Desk, Message, Ticket
from tickets.operations import hand_over, may_answer, post_answer
from tickets.operations.timeline import MessagePosted, assistant_is_on

# While it writes, it asks this often whether it still has the word.
CHECK_SECONDS = 0.5
HISTORY_MAX_ENTRIES = 30
# The subscriber is quicker than this; a message without an Answer by then was missed.
MISSED_SECONDS = 5
SWEEP_MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is to be said, and why."""

    why: str


class WordLost(Exception):
    """Somebody else has the word by now, or nobody has. The row is tried again."""


def consider_message(posted: MessagePosted) -> Answer | None:
    """Subscriber of "message.posted": a customer wrote in a chat that the assistant handles."""
    if (posted.author_role, posted.channel, posted.handler) == ("customer", "chat", "assistant"):
        return Answer(conversation_id=posted.conversation_id, question_seq=posted.seq)
    return None


def answer(row: Answer) -> None:
    """React to one message: post an answer, hand over, or say nothing. Closes the row.

    What is posted, the hand-over and the closing of the row are one transaction, and the
    message carries the row's token, so a second call or a second worker changes nothing.
    """
    stage = Stage(row.conversation_id, row.pk)
    if row.attempts > 1:
        stage.stop()  # an attempt that died may have left half an answer on the screens
    silence = _no_word(row)
    if silence is not None:
        _close(row, silence)
        return
    stage.begin()
    posted = False
    try:
        posted = _close(row, _decide(row, stage))
    finally:
        if not posted:
            stage.stop()


def find_unanswered() -> int:
    """Make up for what the subscriber missed and for answers that failed for good.

    Returns how many there were. A second call finds nothing new.
    """
    return _ask_missed() + _hand_over_failed()


def load_articles(folder: Path) -> int:
    """Add every `*.md` of `folder` whose address is not taken yet; returns how many.

    The file's name is the address, its first line the title (`# …`), and a line `Keywords: …`
    may follow. Articles that exist are left alone, edited or not.
    """
    added = 0
    for path in sorted(folder.glob("*.md")):
        title, _line, body = path.read_text(encoding="utf-8").strip().partition("\n")
        keywords, body = _keywords(body.strip())
        _article, is_new = Article.objects.get_or_create(
            slug=path.stem,
            defaults={"title": title.lstrip("# "), "keywords": keywords, "body": body},
        )
        added += is_new
    return added


@transaction.atomic
def change_files(
    article: Article, *, owner: str, add: Sequence[UUID] = (), remove: Sequence[int] = ()
) -> None:
    """Let an article show these uploads of `owner`'s, and no longer those of its files.

    Raises Refused if one is not theirs, not ready, or shown elsewhere.
    """
    article.files.filter(pk__in=remove).delete()
    if add:
        files = uploads_of(owner, add)
        claim(files)
        ArticleFile.objects.bulk_create(
            ArticleFile(article=article, attachment=file) for file in files
        )


def _keywords(body: str) -> tuple[str, str]:
    first, _line, rest = body.partition("\n")
    if first.startswith("Keywords:"):
        return first.removeprefix("Keywords:").strip(), rest.strip()
    return "", body


# --- One answer ---------------------------------------------------------------------------------


def _decide(row: Answer, stage: Stage) -> Reply | HandOver | Silence:
    to = provider.endpoint()
    row.model = to.model[:MODEL_MAX_CHARS] if to else ""
    question = _question(row)
    if not question.asked:
        return Silence("The customer has left.")
    watch = _Watch(row)

    def show(text: str) -> None:
        watch.look()
        stage.show(text)

    try:
        return answering.decide(question, to, show)
    except WordLost:
        lost = _no_word(row)
        if lost is None:
            raise  # only for a moment: try again from the beginning
        return lost


class _Watch:
    """Looks up from writing: is the row still ours, and has the assistant still the word?"""

    def __init__(self, row: Answer) -> None:
        self._row = row
        self._looked_at = time.monotonic()

    def look(self) -> None:
        """Raises WordLost, or LeaseLost if another worker has taken the row over."""
        moment = time.monotonic()
        if moment - self._looked_at > CHECK_SECONDS:
            self._looked_at = moment
            work.extend(self._row)
            if _no_word(self._row) is not None:
                raise WordLost


def _no_word(row: Answer) -> HandOver | Silence | None:
    """Why the assistant may not answer this message (any more); None: it may."""
    ticket = Ticket.objects.filter(conversation=row.conversation_id).first()
    if ticket is None:
        return Silence("There is no ticket.")
    if ticket.handler == Ticket.Handler.STAFF:
        return Silence("Staff have the conversation.")
    if may_answer(ticket, row.question_seq):
        return None
    if assistant_is_on(ticket.inbox_id):
        return Silence("Somebody has written since.")
    return HandOver("off", "The assistant is switched off.")


def _question(row: Answer) -> Question:
    """What is to be answered, of what the customer can see and nothing else."""
    ticket = Ticket.objects.select_related("conversation", "requester", "inbox").get(
        conversation=row.conversation_id
    )
    seen = visible_messages(visitor(ticket.requester), ticket.conversation)
    latest = seen.filter(kind=Message.Kind.REPLY, seq__lte=row.question_seq).order_by("-seq")
    before: list[Line] = []
    asked: list[str] = []
    shows_files = False
    for message in reversed(list(latest[:HISTORY_MAX_ENTRIES])):
        author = message.author
        if author is None or author.is_assistant or author.user_id:
            before += [Line(True, text) for text in asked]
            asked, shows_files = [], False
            before.append(Line(False, message.body))
        else:
            asked.append(message.body)
            shows_files |= message.file_count > 0
    desk = Desk.objects.first()
    shop = ticket.inbox.from_name or (desk.name if desk else ticket.inbox.name)
    return Question(shop, tuple(asked), tuple(before), shows_files)


def _close(row: Answer, decision: Reply | HandOver | Silence) -> bool:
    """Do what was decided and close the row with it. True if something was posted."""
    with transaction.atomic():
        posted = False
        if isinstance(decision, Reply):
            message = post_answer(
                row.conversation_id,
                question_seq=row.question_seq,
                body=decision.body,
                sources=decision.sources,
                client_token=row.client_token,
            )
            posted = message is not None
            row.sources = decision.sources if posted else []
            row.prompt_tokens = decision.prompt_tokens
            row.completion_tokens = decision.completion_tokens
        if posted:
            row.outcome, row.reason = Answer.Outcome.ANSWERED, ""
        else:
            row.outcome, row.reason = _not_posted(row, decision)
        row.save(
            update_fields=[
                *("outcome", "reason", "model", "sources"),
                *("prompt_tokens", "completion_tokens"),
            ]
        )
        with work.closing(row):
            pass  # the row closes last, so that it is never done without an outcome
    return posted


def _not_posted(row: Answer, decision: Reply | HandOver | Silence) -> tuple[Answer.Outcome, str]:
    """Hand over if that was decided and is still ours to do; otherwise stay silent."""
    final = _no_word(row) or decision
    match final:
        case Reply():
            raise WordLost  # refused a moment ago, and now it would be allowed
        case HandOver() if hand_over(row.conversation_id, reason=final.reason):
            return Answer.Outcome.HANDED_OVER, final.why
        case HandOver():
            return Answer.Outcome.SILENT, "Staff have the conversation."
        case Silence():
            return Answer.Outcome.SILENT, final.why


# --- The sweep ----------------------------------------------------------------------------------


def _ask_missed() -> int:
    replies = Message.objects.filter(
        conversation=OuterRef("conversation"), kind=Message.Kind.REPLY
    ).order_by("-seq")
    waiting = Ticket.objects.filter(
        handler=Ticket.Handler.ASSISTANT,
        status=Ticket.Status.OPEN,
        last_message_at__lt=now() - timedelta(seconds=MISSED_SECONDS),
        conversation__channel=Conversation.Channel.CHAT,
    )
    by_customer = replies.filter(author__user=None, author__is_assistant=False)
    missed = waiting.annotate(
        last_seq=Subquery(replies.values("seq")[:1]),
        asked_seq=Subquery(by_customer.values("seq")[:1]),
    ).filter(
        ~Exists(
            Answer.objects.filter(
                conversation=OuterRef("conversation"), question_seq=OuterRef("asked_seq")
            )
        ),
        last_seq=F("asked_seq"),
    )
    found = missed.order_by("last_message_at").values_list("conversation", "asked_seq")
    count = 0
    for conversation_id, seq in found[:SWEEP_MAX_ROWS]:
        with transaction.atomic():
            row, is_new = Answer.objects.get_or_create(
                conversation_id=conversation_id, question_seq=seq
            )
            if is_new:
                work.ring_on_commit(row)
                count += 1
    return count


def _hand_over_failed() -> int:
    """An answer that cannot be had is staff's work: nobody is left waiting for it."""
    failed = Answer.objects.filter(state=Answer.State.FAILED, outcome=Answer.Outcome.UNDECIDED)
    rows = list(failed.order_by("pk")[:SWEEP_MAX_ROWS])
    for row in rows:
        with transaction.atomic():
            decision = HandOver("failed", "The assistant failed; see the error.")
            row.outcome, row.reason = _not_posted(row, decision)
            row.save(update_fields=["outcome", "reason"])
    return len(rows)
