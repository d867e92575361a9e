"""Deciding what the assistant says to a question: an answer, or that staff take over.

Nothing here changes the database. A model decides to hand over by calling a tool; what it
writes is only ever shown, so no wording of a customer, an article or a model moves a ticket.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template

from django.conf import settings
from django.utils.translation import gettext as _

from ai import provider
from ai.knowledge import PROMPT_FLOOR, Found, best_passage, find_articles
from ai.phrases import Meaning, meaning_of
from ai.provider import End, Endpoint, ModelFailed, Quiet, Said, Text, Tool
from tickets.operations.assistant import Reason

PROMPTS = Path(__file__).parent / "prompts"
ARTICLES_MAX = 3
ARTICLE_MAX_CHARS = 6_000  # of each article shown to a model
HISTORY_MAX_CHARS = 8_000  # of what was said before the question
QUESTION_MAX_CHARS = 6_000

SMALL_TALK: frozenset[Meaning] = frozenset({"greeting", "thanks", "who_are_you"})

WHY: dict[str, tuple[Reason, str]] = {
    "customer_asks": ("asked", "The customer wants a person."),
    "not_in_articles": ("nothing_found", "The articles do not answer this."),
    "needs_staff": ("nothing_found", "Somebody has to look into this."),
}
HAND_OVER = Tool(
    name="hand_over",
    description="Let a person of the shop take over the conversation.",
    parameters={
        "type": "object",
        "properties": {"why": {"type": "string", "enum": list(WHY)}},
        "required": ["why"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Line:
    """Something said before, as the customer saw it."""

    by_customer: bool
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the customer wrote since they were last answered, and what was said before that."""

    shop: str
    asked: tuple[str, ...]
    before: tuple[Line, ...] = ()
    shows_files: bool = False  # which the assistant cannot look at

    @property
    def text(self) -> str:
        return "\n".join(self.asked)[-QUESTION_MAX_CHARS:]

    @property
    def meaning(self) -> Meaning:
        """Of all that is unanswered: one call for a person is enough, small talk gives way."""
        meanings = [meaning_of(text) for text in self.asked]
        if "person" in meanings:
            return "person"
        return next((one for one in meanings if one not in SMALL_TALK), meanings[-1])


@dataclass(frozen=True, slots=True)
class Reply:
    """Words to post."""

    body: str
    sources: list[dict[str, str]] = field(default_factory=list)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """Staff are to answer. `why` is a sentence for them."""

    reason: Reason
    why: str


Show = Callable[[str], None]
"""Takes the next piece of an answer as it grows, "" where nothing new came for a moment."""


def decide(question: Question, to: Endpoint | None, show: Show) -> Reply | HandOver:
    """What to do about a question. `show` may raise to stop the writing.

    Without an endpoint the built-in answerer quotes. A failing endpoint is a hand-over, not
    an error.
    """
    if question.meaning == "person":
        return HandOver("asked", "The customer asked for a person.")
    if question.shows_files and (not question.text.strip() or question.meaning in SMALL_TALK):
        return HandOver("files", "What was asked is in a file.")
    if to is None:
        return _quote(question)
    try:
        return _ask_model(question, to, show)
    except ModelFailed as failure:
        return HandOver("failed", str(failure))


# --- Built in -----------------------------------------------------------------------------------


def _quote(question: Question) -> Reply | HandOver:
    ours = [line.text for line in question.before if not line.by_customer]
    if question.meaning in SMALL_TALK:
        return Reply(_small_talk("greeting" if not ours else question.meaning))
    asked = "\n".join(text for text in question.asked if meaning_of(text) not in SMALL_TALK)
    found = find_articles(asked, limit=1)
    passage = best_passage(found[0].article, asked) if found else ""
    if not passage:
        return HandOver("nothing_found", "No article answers this.")
    body = _("From our help pages: “%(title)s”\n\n%(passage)s\n\n%(offer)s") % {
        "title": found[0].article.title,
        "passage": passage,
        "offer": _("If this does not help, ask for a person."),
    }
    if ours and ours[-1] == body:
        return HandOver("nothing_found", "The best article was quoted just before.")
    return Reply(body, [_source(found[0])])


def _small_talk(meaning: Meaning) -> str:
    if meaning == "thanks":
        return _("You are welcome. Write again whenever something comes up.")
    if meaning == "who_are_you":
        return _(
            "I am an automated assistant and answer from our help pages. "
            "You can ask for a person at any time."
        )
    return _(
        "Hello! What would you like to know? I am an automated assistant and look it up in our "
        "help pages. You can ask for a person at any time."
    )


# --- With a model -------------------------------------------------------------------------------


def _ask_model(question: Question, to: Endpoint, show: Show) -> Reply | HandOver:
    found = _articles_for(question)
    if not found and question.meaning not in SMALL_TALK:
        return HandOver("nothing_found", "No article fits the question.")
    said = prompt(question, found, with_tools=to.tools)
    written = Written()
    end: End | None = None
    for piece in provider.stream(to, said, [HAND_OVER]):
        match piece:
            case Text(text):
                show(written.add(text))
            case Quiet():
                show("")
            case End():
                end = piece
    if end is None:
        raise ModelFailed("The model's answer broke off.")
    if end.tool:
        reason, why = WHY.get(str(end.arguments.get("why")), WHY["needs_staff"])
        return HandOver(reason, why)
    if not written.whole:
        raise ModelFailed("The model answered nothing.")
    return Reply(written.whole, _cited(written, found), end.prompt_tokens, end.completion_tokens)


def _articles_for(question: Question) -> list[Found]:
    """A short question may only make sense after the one before it: "and to France?"."""
    found = find_articles(question.text, limit=ARTICLES_MAX, floor=PROMPT_FLOOR)
    earlier = [line.text for line in question.before if line.by_customer]
    if found or not earlier or question.meaning in SMALL_TALK:
        return found
    return find_articles(f"{question.text}\n{earlier[-1]}", limit=ARTICLES_MAX, floor=PROMPT_FLOOR)


def prompt(question: Question, found: Sequence[Found], *, with_tools: bool) -> list[Said]:
    """What the model is told: rules, what was said before, the articles and the question.

    Everything that others wrote stands escaped between tags, so that it cannot close them.
    """
    otherwise = _file("with_hand_over" if with_tools else "without_hand_over")
    rules = Template(_file("answer")).substitute(shop=question.shop, otherwise=otherwise)
    said: list[Said] = [{"role": "system", "content": rules}]
    for line in _recent(question.before):
        content = _tagged("customer", line.text) if line.by_customer else line.text
        role = said[-1]["role"]
        # Some endpoints insist that customer and assistant take turns.
        if role == ("user" if line.by_customer else "assistant"):
            said[-1]["content"] += f"\n{content}"
        elif line.by_customer:
            said.append({"role": "user", "content": content})
        elif role != "system":
            said.append({"role": "assistant", "content": content})
    articles = "\n".join(
        f'<article number="{number}" title="{html.escape(one.article.title)}">\n'
        f"{_escaped(one.article.body[:ARTICLE_MAX_CHARS])}\n</article>"
        for number, one in enumerate(found, 1)
    )
    asked = f"<articles>\n{articles}\n</articles>\n{_tagged('customer', question.text)}"
    if said[-1]["role"] == "user":
        said[-1]["content"] += f"\n{asked}"
    else:
        said.append({"role": "user", "content": asked})
    return said


def _recent(lines: Sequence[Line]) -> list[Line]:
    """The latest lines that fit into HISTORY_MAX_CHARS, in their order."""
    kept: list[Line] = []
    left = HISTORY_MAX_CHARS
    for line in reversed(lines):
        left -= len(line.text)
        if left < 0:
            break
        kept.insert(0, line)
    return kept


def _tagged(tag: str, text: str) -> str:
    return f"<{tag}>\n{_escaped(text)}\n</{tag}>"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


@cache
def _file(name: str) -> str:
    return (PROMPTS / f"{name}.txt").read_text(encoding="utf-8").strip()


# --- What it wrote ------------------------------------------------------------------------------

_CITATION = re.compile(r"[ \t]{0,3}\[(\d{1,2}(?: ?, ?\d{1,2})*)\]")
_CITATION_BEGUN = re.compile(r"\[[\d ,]{0,12}")


class Written:
    """An answer as it grows: `[1]` becomes a source and is never shown."""

    def __init__(self) -> None:
        self._raw = ""
        self._shown_chars = 0

    def add(self, text: str) -> str:
        """Take the next piece, and return what can be shown of it already."""
        self._raw += text
        # What may yet turn out to be a citation waits, and so do the spaces before it.
        begun = self._raw.rfind("[")
        waits = begun >= 0 and _CITATION_BEGUN.fullmatch(self._raw, begun)
        certain = self._raw[:begun] if waits else self._raw
        sure = _CITATION.sub("", certain.rstrip(" \t")).lstrip()
        new = sure[self._shown_chars :]
        self._shown_chars = max(self._shown_chars, len(sure))
        return new

    @property
    def whole(self) -> str:
        return _CITATION.sub("", self._raw).strip()

    @property
    def cited(self) -> list[int]:
        """The numbers of the articles it names, each once, in the order of their first use."""
        groups = _CITATION.findall(self._raw)
        return list(dict.fromkeys(int(n) for group in groups for n in group.split(",")))


def _cited(written: Written, found: Sequence[Found]) -> list[dict[str, str]]:
    """The articles it names; the best one if it forgot to."""
    named = [found[number - 1] for number in written.cited if 0 < number <= len(found)]
    return [_source(one) for one in named or found[:1]]


def _source(found: Found) -> dict[str, str]:
    article = found.article
    return {"title": article.title, "url": f"{settings.SITE_URL}{article.get_absolute_url()}"}
