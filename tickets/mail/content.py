"""The bytes and the text of one part of a mail. Pure; oddities go into `problems`."""

from __future__ import annotations

import binascii
from email.message import Message

from tickets.mail.headers import base64_bytes


def content(part: Message, head: dict[str, str], problems: list[str]) -> bytes:
    """The bytes of a leaf, freed of their transfer encoding."""
    how = head.get("content-transfer-encoding", "").strip().lower().partition(";")[0].strip()
    del part["content-transfer-encoding"]  # what `get_payload` undoes itself, it undoes less well
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return b""
    try:
        if how == "base64":
            return base64_bytes(data)
        if how == "quoted-printable":
            return binascii.a2b_qp(data)
        if how in {"x-uuencode", "uuencode", "uue", "x-uue"}:
            return uudecoded(data)
    except ValueError:
        problems.append(f"A part is not the {how} it claims to be.")
    return data


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
    return bytes(out)


def unflowed(text: str, *, drop_space: bool) -> str:
    """Join the lines that format=flowed (RFC 3676) has broken; quotes keep their depth."""
    out: list[str] = []
    open_depth = -1  # quote depth of a line that goes on, -1 if none does
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        words = line[depth:]
        words = words.removeprefix(" ")
        flows = words.endswith(" ") and words != "-- "
        kept = words[:-1] if flows and drop_space else words
        if depth == open_depth and words != "-- ":
            out[-1] += kept
        else:
            out.append(f"{'>' * depth} {kept}" if depth else kept)
        open_depth = depth if flows else -1
    return "\n".join(out)
