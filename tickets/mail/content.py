"""The bytes and the text of one part of a mail. Pure; oddities go into `problems`."""

from __future__ import annotations

import binascii
import re

from tickets.mail.headers import base64_between

BASE64_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n"
UU_NAMES = frozenset({"x-uuencode", "uuencode", "uue", "x-uue"})
UU_BEGIN = re.compile(r"^begin [0-7]{3,4} ([^\n]{1,200})\n", re.M)
UU_FILES_MAX = 100
UU_BROKEN_MAX = 3  # after so many, what looks like one is none
UU_LINE_MAX_CHARS = 65


def content(raw: bytes, start: int, end: int, transfer_encoding: str, problems: list[str]) -> bytes:
    """The bytes of a leaf, which lies in `raw` from `start` to `end`, freed of their encoding."""
    how = transfer_encoding.strip().lower().partition(";")[0].strip() if transfer_encoding else ""
    try:
        if how == "base64":
            if _is_no_base64(raw[start : min(end, start + 400)]):
                raise ValueError
            return base64_between(raw, start, end)
        if how == "quoted-printable":
            return binascii.a2b_qp(raw[start:end])
        if how in UU_NAMES:
            return uudecoded(raw[start:end])
    except ValueError:
        problems.append(f"A part is not the {how} it claims to be.")
    return raw[start:end]


def _is_no_base64(sample: bytes) -> bool:
    """Programs say so of plain text, which would come out as noise."""
    letters = len(sample.translate(None, b"=\r\n"))
    is_cut = letters % 4 == 1 and len(sample) < 80
    return is_cut or 10 * len(sample.translate(None, BASE64_SIGNS)) > len(sample)


def uudecoded(data: bytes) -> bytes:
    """The file inside a uuencoded text; raises ValueError if there is none."""
    lines = iter(data.splitlines())
    if not any(line.startswith(b"begin ") for line in lines):
        raise ValueError
    out = bytearray()
    for line in lines:
        if line.strip() in {b"end", b"`", b""}:
            break
        try:
            out += binascii.a2b_uu(line)
        except binascii.Error:  # some encoders pad too much; the first byte tells the length
            wanted = ((line[0] - 32 & 63) * 4 + 5) // 3
            out += binascii.a2b_uu(line[:wanted])
        if len(out) > len(data):  # lines that say they hold more than they do
            raise ValueError
    return bytes(out)


def without_uuencoded(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text without the files that are uuencoded in it, as programs attached them before MIME;
    and these, by name. What is cut off or broken stays in the text."""
    kept: list[str] = []
    files: list[tuple[str, bytes]] = []
    place = 0
    broken = 0
    while len(files) < UU_FILES_MAX and broken < UU_BROKEN_MAX:
        begin = UU_BEGIN.search(text, place)
        end = text.find("\nend", begin.end() - 1) if begin else -1
        if begin is None or end < 0:
            break
        try:
            data = _uu_lines(text[begin.end() : end].split("\n"))
        except ValueError:
            kept.append(text[place : begin.end()])
            place = begin.end()
            broken += 1
            continue
        files.append((begin[1].strip(), data))
        kept.append(text[place : begin.start()])
        place = end + len("\nend")
    kept.append(text[place:])
    return "".join(kept), files


def _uu_lines(lines: list[str]) -> bytes:
    """Raises ValueError where one line is none."""
    if not lines or not all(0 < len(line) <= UU_LINE_MAX_CHARS for line in lines):
        raise ValueError
    return uudecoded("\n".join(["begin 600 x", *lines]).encode("ascii"))


def unflowed(text: str, *, drop_space: bool) -> str:
    """Join the lines that format=flowed (RFC 3676) has broken; quotes keep their depth."""
    out: list[str] = []
    pieces: list[str] = []  # of the line that goes on
    open_depth = 0  # its quote depth
    for line in text.split("\n"):
        words = line.lstrip(">")
        depth = len(line) - len(words)
        words = words.removeprefix(" ")
        is_signature = words == "-- "
        flows = words.endswith(" ") and not is_signature
        if pieces and (depth != open_depth or is_signature):
            out.append("".join(pieces))
            pieces = []
        if depth and not pieces:
            pieces.append(f"{'>' * depth} ")
        pieces.append(words[:-1] if flows and drop_space else words)
        open_depth = depth
        if not flows:
            out.append("".join(pieces))
            pieces = []
    if pieces:
        out.append("".join(pieces))
    return "\n".join(out)
