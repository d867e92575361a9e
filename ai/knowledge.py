"""Finding the articles that answer a question, by PostgreSQL's full text search.

Customers write in sentences, not in search terms, so an article need not contain every word:
any word counts, rare words more than common ones, and a word in the title more than one in
passing. What keeps unrelated questions from finding something is a floor on how much of the
question an article covers; and an article that shares no more with it than the name of a
product covers too little to be quoted, however short the question is.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from ai.markdown import Section, sections
from ai.models import SEARCH_CONFIG, Article

QUESTION_MAX_CHARS = 2_000
WORDS_MAX = 40
PASSAGE_MAX_CHARS = 720
# A section shorter than this rarely says how: the next one goes with it.
PASSAGE_ENOUGH_CHARS = 280

# How much of a question an article must cover (0 to 1) to be quoted as the answer, and to be
# shown to a model, which decides for itself whether it is one. Chosen on questions of customers:
# of those that an article answers three in four find it and none another one; of the others one
# in eighty finds something. tests/ai/test_knowledge.py keeps it so.
QUOTE_FLOOR = 0.45
PROMPT_FLOOR = 0.2
# What a match counts, for the four weights of a text vector: D (text), C, B (heading), A (title).
MATCH_WEIGHTS = "{0.3, 0.3, 0.7, 1}"
# ts_rank divides by the sum of 1/n² to keep below 1; this undoes it for one match.
RANK_SCALE = 1.64493406685
# The weight of a word that no article has. That of a rare one is 2.6, of a common one 0.6.
UNKNOWN_WEIGHT = 1.5
# Most products are named in several articles, so "Does the kettle work on induction?" shares a
# word of a title with the one on descaling. A match is beside the question, and counts at most
# BESIDE_MAX, unless one of these holds:
# - A word is the article's topic: it stands in title or other words and again in a heading, or
#   more than once in those, which counts this much. A name stands there once.
TOPIC_MATCH = 1.2
# - A word is among the "other words" of this article, in no other one, and not in its title. One
#   is enough if the article has all words of the question that any has; otherwise it takes two.
# - The article has this much of the question, by weight, wherever in its text. Words that no
#   article has weigh as much as rare ones for this.
KNOWN_FLOOR = 0.69
KNOWN_UNKNOWN_WEIGHT = 2.6
BESIDE_MAX = 0.4
# A long story is measured as if it weighed no more than this, about six rare words: customers
# tell much that no article has.
WEIGHT_MAX = 14
# Few articles make every word look common; they are weighed as if they were this many.
ARTICLES_MIN = 20

# Ranking reads a whole article, so on a long shelf only those are ranked that have one of the
# question's rarer words: as many of these words as it takes to gather this many articles.
CANDIDATES = 200

# Words that say that something is asked, and not what.
FILLER = """
hi hello hey dear please kindly thanks thank cheers good morning afternoon evening day sorry ok
okay yes i'd i'm i've im id ive u ur ya pls plz could would may might shall must can't cannot dont
wanna gonna help helping need want like wish wonder know understand tell say ask asking question
explain show try trying possible way method thing something anything someone somebody anyone issue
problem trouble info information detail give get getting got see seeing look looking find finding
check checking assist assistance support advice let make sure really actually just also still
already exactly regarding concerning about today yesterday bought buy have using use used long
much many often soon take takes time times come go going work wait waiting receive request call
reach customer service company business
"""

FIND = r"""
WITH asked AS (
    SELECT lexeme,
           ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS query
    FROM unnest(to_tsvector(%(config)s::regconfig, %(question)s))
    WHERE lexeme <> ALL (tsvector_to_array(to_tsvector(%(config)s::regconfig, %(filler)s)))
    ORDER BY positions[1]
    LIMIT %(words_max)s
), counted AS MATERIALIZED (
    SELECT lexeme, query, (
        SELECT count(*) FROM ai_article WHERE published AND search @@ asked.query
    ) AS articles
    FROM asked
), word AS (
    SELECT query, articles,
           CASE WHEN articles > 0 THEN ln((shelf.size + 1.0) / (articles + 0.5))
                WHEN lexeme ~ '[0-9]' THEN 0  -- an order number says nothing here
                ELSE %(unknown_weight)s END AS weight,
           CASE WHEN articles = 0 AND lexeme !~ '[0-9]'
                THEN %(known_unknown_weight)s - %(unknown_weight)s ELSE 0 END AS more,
           -- How many articles the rarer words have together.
           sum(articles) OVER (ORDER BY articles, lexeme) - articles AS rarer
    FROM counted, (
        SELECT greatest(count(*), %(articles_min)s) AS size FROM ai_article WHERE published
    ) AS shelf
), candidate AS MATERIALIZED (
    SELECT DISTINCT article.id FROM word JOIN ai_article article
        ON article.published AND article.search @@ word.query
    WHERE articles > 0 AND rarer < %(candidates)s
), hit AS (
    SELECT article.id, word.weight,
           word.articles = 1
               AND to_tsvector(%(config)s::regconfig, article.keywords) @@ word.query
               AND NOT to_tsvector(%(config)s::regconfig, article.title) @@ word.query AS own,
           ts_rank(%(match_weights)s, article.search, word.query) * %(rank_scale)s AS match
    FROM candidate JOIN ai_article article USING (id)
        JOIN word ON word.articles > 0 AND article.search @@ word.query
)
SELECT id, least(
    sum(hit.weight * least(1, match)) / least(whole.weight, %(weight_max)s),
    CASE WHEN max(match) >= %(topic_match)s
           OR count(*) FILTER (WHERE own) > (CASE WHEN count(*) = whole.known THEN 0 ELSE 1 END)
           OR sum(hit.weight) >= %(known_floor)s * least(whole.weight + whole.more, %(weight_max)s)
         THEN 1 ELSE %(beside_max)s END
)
FROM hit, (
    SELECT sum(weight) AS weight, sum(more) AS more, count(*) FILTER (WHERE articles > 0) AS known
    FROM word
) AS whole
GROUP BY id, whole.weight, whole.more, whole.known
ORDER BY sum(hit.weight * match) DESC, id
LIMIT %(limit)s
"""

# The section that has the most different words of the question; among equals the first. Words
# of the title may stand anywhere in the article, so they do not tell one section from another.
PICK = r"""
WITH asked AS (
    SELECT lexeme FROM unnest(to_tsvector(%(config)s::regconfig, %(question)s))
    EXCEPT SELECT lexeme FROM unnest(to_tsvector(%(config)s::regconfig, %(title)s))
)
SELECT place::int FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS section(text, place)
ORDER BY (
    SELECT count(*) FROM unnest(to_tsvector(%(config)s::regconfig, text)) AS word
    WHERE word.lexeme IN (SELECT lexeme FROM asked)
) DESC, place
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An article, and how much of the question it covers (0 to 1)."""

    article: Article
    coverage: float


def find_articles(question: str, *, limit: int = 3, floor: float = QUOTE_FLOOR) -> list[Found]:
    """The published articles that cover at least `floor` of the question, best first.

    Only the first QUESTION_MAX_CHARS characters and WORDS_MAX different words are read.
    """
    asked: dict[str, str | int | float] = {
        "config": SEARCH_CONFIG,
        "question": question[:QUESTION_MAX_CHARS],
        "filler": FILLER,
        "words_max": WORDS_MAX,
        "match_weights": MATCH_WEIGHTS,
        "rank_scale": RANK_SCALE,
        "articles_min": ARTICLES_MIN,
        "unknown_weight": UNKNOWN_WEIGHT,
        "known_unknown_weight": KNOWN_UNKNOWN_WEIGHT,
        "known_floor": KNOWN_FLOOR,
        "topic_match": TOPIC_MATCH,
        "beside_max": BESIDE_MAX,
        "weight_max": WEIGHT_MAX,
        "candidates": CANDIDATES,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIND, asked)
        coverages = {pk: float(coverage) for pk, coverage in cursor if coverage >= floor}
    articles = Article.objects.in_bulk(coverages)
    return [Found(articles[pk], coverage) for pk, coverage in coverages.items() if pk in articles]


def best_passage(article: Article, question: str) -> str:
    """The part of `article` that fits `question` best, as plain text of a few lines.

    The best section, and while that is short those after it; at most PASSAGE_MAX_CHARS
    characters, a longer section is cut. Empty if the article has no text.
    """
    texts = [_text(section) for section in sections(article.body)]
    if not texts:
        return ""
    with connection.cursor() as cursor:
        cursor.execute(
            PICK,
            {
                "config": SEARCH_CONFIG,
                "question": question[:QUESTION_MAX_CHARS],
                "title": article.title,
                "texts": texts,
            },
        )
        (place,) = cursor.fetchone()
    passage = _shortened(texts[place - 1])
    for more in texts[place:]:
        enough = len(passage) >= PASSAGE_ENOUGH_CHARS
        if enough or len(passage) + 2 + len(more) > PASSAGE_MAX_CHARS:
            break
        passage += f"\n\n{more}"
    return passage


def _text(section: Section) -> str:
    heading = [section.heading] if section.heading else []
    return "\n".join([*heading, *section.blocks])


def _shortened(text: str) -> str:
    """Cut after a paragraph, an item or a row; within one only where it is long itself."""
    if len(text) <= PASSAGE_MAX_CHARS:
        return text
    cut = text[: PASSAGE_MAX_CHARS - 2]
    lines, words = cut.rpartition("\n")[0], cut.rpartition(" ")[0]
    return f"{lines}\n…" if len(lines) > PASSAGE_MAX_CHARS / 3 else f"{words or cut}…"
