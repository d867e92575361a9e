"""The one function that all HTML of mails passes before anybody sees it. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import unquote

import nh3

from tickets.mail.markup import bounded

# fmt: off
TAGS = frozenset({
    "a", "abbr", "acronym", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote",
    "br", "caption", "center", "cite", "code", "col", "colgroup", "dd", "del", "dfn", "div", "dl",
    "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "nav", "ol", "p", "pre", "q",
    "s", "samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody",
    "td", "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
})
DROPPED_WITH_CONTENT = frozenset({
    "applet", "datalist", "embed", "frameset", "iframe", "math", "noembed", "noframes", "noscript",
    "object", "option", "script", "select", "style", "svg", "template", "textarea", "title", "xmp",
})
ATTRIBUTES = {
    "*": {"align", "bgcolor", "dir", "height", "hidden", "lang", "style", "title", "valign",
          "width"},
    "a": {"href"},
    "br": {"clear"},
    "col": {"span"},
    "colgroup": {"span"},
    "font": {"color", "face", "size"},
    "hr": {"color", "noshade", "size"},
    "img": {"alt", "border", "hspace", "src", "vspace"},
    "li": {"type", "value"},
    "ol": {"reversed", "start", "type"},
    "table": {"border", "bordercolor", "cellpadding", "cellspacing", "frame", "rules"},
    "td": {"bordercolor", "colspan", "nowrap", "rowspan"},
    "th": {"bordercolor", "colspan", "nowrap", "rowspan", "scope"},
    "ul": {"type"},
}
PROPERTIES = frozenset({
    "background", "background-color", "background-image", "border-collapse", "border-spacing",
    "box-shadow", "box-sizing", "caption-side", "clear", "color", "column-gap", "direction",
    "display", "empty-cells", "float", "gap", "height", "letter-spacing", "line-height",
    "max-height", "max-width", "min-height", "min-width", "object-fit", "opacity", "outline",
    "overflow", "overflow-wrap", "overflow-x", "overflow-y", "row-gap", "table-layout",
    "unicode-bidi", "vertical-align", "white-space", "width", "word-break", "word-spacing",
    "word-wrap",
})
# fmt: on
PROPERTY_FAMILIES = ("border", "flex", "font", "list-style", "margin", "padding", "text-")
ALIGNMENTS = ("align-", "justify-")
URL = re.compile(r"^(?:https?://|mailto:|tel:)[^\s]", re.I)
IMAGE = re.compile(
    r"^(?:https?://[^\s]|cid:[^\s]|data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]+$)",
    re.I,
)
PLAIN = re.compile(r"[\w#%.,*+ -]{0,100}")  # a number, a colour, a name, or several
TEXT_MAX_CHARS = 1_000
URL_MAX_CHARS = 4_000

# --- Styles ---
STYLE_MAX_CHARS = 4_000
REMEMBERED_MAX_CHARS = 400
CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|$)", re.S)
CSS_URL = re.compile(r"\burl\((?:\s*\"[^\"]*\"\s*|\s*'[^']*'\s*|[^()\"']*)\)", re.I)
IMPORTANT = re.compile(r"\s*!\s*important\b", re.I)
VALUE = re.compile(
    r"(?:[\w\s#%.,+*/-]|'[\w\s.-]*'|\"[\w\s.-]*\""
    r"|\b(?:rgba?|hsla?|calc|min|max|clamp|linear-gradient)"
    r"\((?:[\w\s#%.,+*/-]|\b(?:rgba?|hsla?)\([\w\s%.,/-]*\))*\))+"
)
# Grows with the frame, which grows with it; covers half the page; lies outside of it.
ESCAPES = re.compile(r"\d[sld]?v(?:w|h|i|b|min|max)\b|\d{5}|-\s*\d{3}|behaviou?r|expression", re.I)
NOTHING = re.compile(r"0+(?:\.0*)?(?:px|em|rem|pt|%)?")

# --- What nh3 wrote: every element closed, no < or > inside a tag ---
PICTURE = re.compile(r"<img\b[^>]*>")
FIELD = re.compile(r'\b([a-z]+)="([^"]*)"')
SIZE = re.compile(r"\b(width|height):\s*(\d+)(?:px)?(?:;|$)")
IS_HIDDEN = re.compile(r'<([a-z0-9]+)\b[^>]*? (?:hidden="|style="display:none")')
NAMED = re.compile(r'<img\b[^>]*? src="cid:([^"]*)"', re.I)
LINK_OR_NAMED = re.compile(r'<a\b[^>]*>|</a>|<img\b[^>]*? src="cid:([^"]*)"[^>]*>', re.I)
REMOTE = re.compile(r'<img\b[^>]*? src="https?:', re.I)
REMOTE_SOURCE = re.compile(r'(<img\b[^>]*?) src="https?:[^"]*"', re.I)
PIXEL_MAX_PX = 2
LINK = re.compile(r"<a\b([^>]*)>")
BODY = re.compile(r"<(/?)body\b", re.I)


def sanitize(markup: str) -> str:
    """What of a mail's HTML can be shown: its tables, lists, colours, fonts, sizes and pictures,
    and nothing that lives: no script, no form, no style sheet, no name that could be found.

    Links lead to http, https, mailto and tel, and open in a new tab that learns nothing of this
    one. Pictures are named by http, https and cid, or are in the page as PNG, JPEG, GIF or WebP.
    What is hidden is dropped, such as the line for the preview of a list, and pictures of one pixel
    that tell who reads. What it returns holds no text that could be read as anything else, so a
    second pass finds nothing to drop: at worst it writes beside each other two links of which one
    stood inside the other. Takes linear time, and the first HTML_MAX_CHARS characters.
    """
    # html5ever reads a piece of a page: a body would be dropped, and its colours with it.
    clean = _cleaner.clean(BODY.sub(r"<\1div", bounded(markup)))
    clean = LINK.sub(r'<a\1 target="_blank" rel="noopener noreferrer nofollow">', clean)
    if "<img" in clean:
        clean = PICTURE.sub(_picture, clean)
    if 'hidden="' in clean or 'style="display:none"' in clean:
        clean = _without_hidden(clean)
    return clean


def has_remote_pictures(clean: str) -> bool:
    """Whether what `sanitize` returned would ask somebody else's server."""
    return REMOTE.search(clean) is not None


def without_remote_pictures(clean: str) -> str:
    """The same with the words of those pictures in their place."""
    return REMOTE_SOURCE.sub(r"\1", clean)


def pictures_named(clean: str) -> set[str]:
    """The Content-IDs of the pictures that what `sanitize` returned shows (RFC 2392)."""
    return {_content_id(named) for named in NAMED.findall(clean)} if "cid:" in clean else set()


def with_pictures(clean: str, addresses: Mapping[str, str]) -> str:
    """The same with the pictures that came along: `addresses` has those that can be shown, by
    Content-ID. Each leads to itself, unless it stands in a link."""
    out: list[str] = []
    start, in_link = 0, False
    for match in LINK_OR_NAMED.finditer(clean):
        if match[1] is None:
            in_link = match[0] != "</a>"
            continue
        address = html.escape(addresses.get(_content_id(match[1]), ""))
        begin, end = match.span(1)
        picture = f"{match[0][: begin - match.start() - 4]}{address}{clean[end : match.end()]}"
        if not address:
            picture = picture.replace(' src=""', "")
        elif not in_link:
            picture = f'<a href="{address}" target="_blank">{picture}</a>'
        out += [clean[start : match.start()], picture]
        start = match.end()
    return "".join([*out, clean[start:]])


def _content_id(named: str) -> str:
    return unquote(html.unescape(named))


def _kept(tag: str, name: str, value: str) -> str | None:
    """An attribute as it stays, or None. Called by nh3 for those that ATTRIBUTES names."""
    keep = KEEP.get(name)
    if keep is not None:
        return keep(value)
    return value if PLAIN.fullmatch(value) else None


def _text(value: str) -> str:
    return value[:TEXT_MAX_CHARS]


def _link(value: str) -> str | None:
    value = _whole(value)
    return value if len(value) <= URL_MAX_CHARS and URL.match(value) else None


def _source(value: str) -> str | None:
    value = _whole(value)
    if not IMAGE.match(value):
        return None
    return value if len(value) <= URL_MAX_CHARS or value[:5].lower() == "data:" else None


def _whole(address: str) -> str:
    """An address with its scheme, where it left that to the page it stands in."""
    address = address.strip()
    return f"https:{address}" if address.startswith("//") else address


def _style(value: str) -> str | None:
    if len(value) > REMEMBERED_MAX_CHARS:
        return _declarations(value[:STYLE_MAX_CHARS])
    return _remembered(value)


def _declarations(style: str) -> str | None:
    """The declarations that only colour, measure and place, in a form of our own."""
    style = CSS_COMMENT.sub("", style)
    if "url" in style.lower():
        style = CSS_URL.sub("", style)
    made: list[str] = []
    hides = clips = False
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        name, value = name.strip().lower(), IMPORTANT.sub("", value).strip()
        low = value.lower()
        if (name, low) in {("display", "none"), ("visibility", "hidden")}:
            return "display:none"
        if not colon or not value or not _is_harmless(name) or not VALUE.fullmatch(value):
            continue
        if ESCAPES.search(value):
            continue
        hides = hides or (name == "opacity" and NOTHING.fullmatch(low) is not None)
        clips = clips or (name == "overflow" and low == "hidden")
        if name in {"max-height", "max-width", "height"} and NOTHING.fullmatch(low):
            hides = hides or clips or "overflow:hidden" in style.lower().replace(" ", "")
        made.append(f"{name}:{value}")
    if hides:
        return "display:none"
    return ";".join(made) or None


def _is_harmless(name: str) -> bool:
    return name in PROPERTIES or name.startswith(PROPERTY_FAMILIES + ALIGNMENTS)


_remembered = lru_cache(maxsize=2_048)(_declarations)

KEEP: dict[str, Callable[[str], str | None]] = {
    "alt": _text,
    "face": lambda value: value if VALUE.fullmatch(value[:TEXT_MAX_CHARS]) else None,
    "hidden": lambda value: "",
    "href": _link,
    "src": _source,
    "style": _style,
    "title": _text,
}

_cleaner = nh3.Cleaner(
    tags=set(TAGS),
    clean_content_tags=set(DROPPED_WITH_CONTENT),
    attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
    attribute_filter=_kept,
    link_rel=None,  # written at the end instead: nh3 would order the attributes anew every time
    url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    url_relative=lambda url: url if url.startswith("//") else None,  # _kept completes it
)


def _picture(match: re.Match[str]) -> str:
    """A picture, unless nobody could see it."""
    fields = dict(FIELD.findall(match[0]))
    source = fields.get("src", "")
    if not source:
        return match[0] if fields.get("alt") else ""
    if not source.lower().startswith("http"):
        return match[0]
    sizes = dict(SIZE.findall(fields.get("style", "")))
    sides = [sizes.get(side) or fields.get(side, "") for side in ("width", "height")]
    is_pixel = all(side.removesuffix("px").isdigit() for side in sides) and all(
        int(side.removesuffix("px")) <= PIXEL_MAX_PX for side in sides
    )
    return "" if is_pixel else match[0]


def _without_hidden(clean: str) -> str:
    out: list[str] = []
    start = 0
    while match := IS_HIDDEN.search(clean, start):
        out.append(clean[start : match.start()])
        start = _end_of_element(clean, match)
    return "".join([*out, clean[start:]])


def _end_of_element(clean: str, opening: re.Match[str]) -> int:
    name = opening[1]
    end = clean.index(">", opening.start()) + 1
    if name in {"br", "col", "hr", "img", "wbr"}:
        return end
    depth = 1
    for tag in re.compile(rf"<(/?){name}\b[^>]*>").finditer(clean, end):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end()
    return len(clean)
