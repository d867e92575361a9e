"""HTML that no parser needs long for. Pure."""

from __future__ import annotations

import re

HTML_MAX_CHARS = 2_000_000
# What is smaller than both of these is parsed as it came: whatever it is, that takes no second.
SMALL_MAX_CHARS = 64_000
SMALL_MAX_TAGS = 1_000
DEPTH_MAX = 300
ATTRIBUTES_MAX = 40  # of one element

# fmt: off
VOID = frozenset({"area", "br", "col", "hr", "img", "wbr"})
ROWS = frozenset({"caption", "col", "colgroup", "tbody", "td", "tfoot", "th", "thead", "tr"})
IN_TABLES = frozenset({"table", "tbody", "thead", "tfoot", "tr", "colgroup"})  # hold no text
BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "details", "dir", "div", "dl",
    "dt", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "table", "ul",
})
INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "del", "dfn", "em",
    "font", "i", "img", "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike",
    "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
})
KNOWN = BLOCKS | INLINE | ROWS | {"body"}
SECTIONS = ("tbody", "thead", "tfoot")
# What a start tag ends that was never closed, and where looking for that stops.
ENDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a": (("a",), ()),
    "li": (("li",), ("ul", "ol", "menu", "dir")),
    **dict.fromkeys(("dt", "dd"), (("dt", "dd"), ("dl",))),
    **dict.fromkeys(("td", "th"), (("td", "th", "caption", "colgroup"), ("table",))),
    "tr": (("tr", "caption", "colgroup"), ("table",)),
    **dict.fromkeys(SECTIONS, ((*SECTIONS, "caption", "colgroup"), ("table",))),
}
# fmt: on
SCOPES = ("table", "td", "th", "caption")  # an end tag inside ends nothing outside

TOKEN = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    r"|<(script|style|title|textarea|xmp|iframe|noembed|noframes|noscript|template|svg|math)\b"
    r".*?(?:</\1\b[^>]*>|\Z)"
    r"|<(/?)([a-z][^\s/><]*)((?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+)(?:>|\Z)"
    r"|<[!?/][^>]*(?:>|\Z)"
    r"|<",
    re.I | re.S,
)
ATTRIBUTE = re.compile(
    r"([a-z-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>=`]+)))?(?=[\s/\"']|\Z)", re.I
)
AMPERSANDS_MAX = 1_000  # in one piece of text
AMPERSANDS = re.compile(rf"((?:&[^&]*){{{AMPERSANDS_MAX}}})")


def bounded(markup: str) -> str:
    """The same page, at most its first HTML_MAX_CHARS characters, as html5ever reads it in time
    that grows with its length alone.

    That parser is quadratic in the depth of elements, in the number of an element's attributes
    and in that of `&` in one text: 100,000 open elements took 20 seconds, two million `&` 75. What
    formats text and was never closed it opens again in every paragraph, which can make gigabytes
    of a megabyte. So of all that is not small each element is closed where it ends, and what
    nobody sees is left out.
    """
    markup = markup[:HTML_MAX_CHARS]
    if len(markup) <= SMALL_MAX_CHARS and markup.count("<") <= SMALL_MAX_TAGS:
        return markup
    return _Closing().over(markup)


class _Closing:
    """Writes a page anew, with every end tag that it needs and none that it does not."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.open: list[str] = []
        self.places: dict[str, list[int]] = {name: [] for name in KNOWN}  # in `open`, by name
        self.left_out = dict.fromkeys(KNOWN, 0)

    def over(self, markup: str) -> str:
        end = 0
        for match in TOKEN.finditer(markup):
            self._say(markup[end : match.start()])
            end = match.end()
            if match[3]:
                name = match[3].lower()
                if name not in KNOWN:
                    continue
                if match[2]:
                    self._close(name)
                else:
                    self._open(name, match[4])
            elif match[0] == "<":
                self.out.append("&lt;")
        self._say(markup[end:])
        self._close_from(0)
        return "".join(self.out)

    def _say(self, text: str) -> None:
        if text.count("&") > AMPERSANDS_MAX:
            text = AMPERSANDS.sub(r"\1<!>", text)  # an empty comment ends a piece
        self.out.append(text)

    def _open(self, name: str, attributes: str) -> None:
        if name in BLOCKS:
            self._end(("p",), SCOPES)
        if name in ENDS:
            self._end(*ENDS[name])
        top = self.open[-1] if self.open else ""
        is_lost = top in IN_TABLES and name not in ROWS  # html5ever would put it before the table
        if is_lost or len(self.open) >= DEPTH_MAX:
            if name not in VOID:
                self.left_out[name] += 1
            return
        self.out.append(f"<{name}{_attributes(attributes)}>")
        if name not in VOID:
            self.places[name].append(len(self.open))
            self.open.append(name)

    def _close(self, name: str) -> None:
        if self.left_out[name]:
            self.left_out[name] -= 1
        elif name not in VOID:
            stops = () if name == "table" else ("table",) if name in ROWS else SCOPES
            self._end((name,), stops)

    def _end(self, names: tuple[str, ...], stops: tuple[str, ...]) -> None:
        """End the innermost of `names`, with all inside it, unless it lies outside of a stop."""
        place = max(self.places[name][-1] if self.places[name] else -1 for name in names)
        if place < 0 or any(self.places[stop] and self.places[stop][-1] > place for stop in stops):
            return
        self._close_from(place)

    def _close_from(self, place: int) -> None:
        while len(self.open) > place:
            name = self.open.pop()
            self.places[name].pop()
            self.out.append(f"</{name}>")


def _attributes(text: str) -> str:
    """Those of a tag, written so that every parser reads the same ones."""
    if not text.strip(" \t\n/"):
        return ""
    made = []
    for match in ATTRIBUTE.finditer(text):
        name, double, single, bare = match.groups()
        value = double or single or bare or ""
        if value.count("&") > AMPERSANDS_MAX:
            continue
        made.append(f' {name}="{value.replace(chr(34), "&quot;")}"')
        if len(made) == ATTRIBUTES_MAX:
            break
    return "".join(made)
