"""Whether a mail is signed or encrypted: S/MIME (RFC 8551), PGP (RFC 3156, RFC 4880). Nothing is
verified or decrypted; a mail program that has the keys can do it with the attached parts."""

from __future__ import annotations

from tickets.mail.content import content
from tickets.mail.parts import Part, Parts

SIGNED, ENCRYPTED = "signed", "encrypted"
SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
SMIME_SIGNED = frozenset({"signed-data", "certs-only"})
SNIFFED_BYTES = 120
OF_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")  # 1.2.840.113549.1.7.2 (RFC 5652)
ARMOUR_SEARCHED_CHARS = 200_000
PGP_MESSAGE = "-----BEGIN PGP MESSAGE-----"
PGP_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"


def label(parts: Parts, text: str) -> tuple[str, str]:
    """What a mail is, "" if neither, and a sentence for what cannot be read, "" if all can."""
    found = told = ""
    for part in parts.every:
        if part.kind == "multipart/encrypted":
            return ENCRYPTED, "It is encrypted with PGP: what it says is in an attached file."
        if part.kind == "multipart/signed":
            found = SIGNED
        elif part.kind in SMIME and (part.parent is None or not text.strip()):
            if not _is_signed(parts, part):
                return ENCRYPTED, "It is encrypted with S/MIME: what it says is in smime.p7m."
            found = SIGNED
            told = "It is signed with S/MIME in one piece: what it says is in smime.p7m."
    if "-----BEGIN PGP" in text:
        text = text[:ARMOUR_SEARCHED_CHARS]
        if _begins_a_line(PGP_MESSAGE, text):
            return ENCRYPTED, "It is encrypted with PGP: what it says cannot be read here."
        if _begins_a_line(PGP_SIGNED, text):
            return SIGNED, told
    return found, told


def _is_signed(parts: Parts, part: Part) -> bool:
    """Only signed, so not encrypted, as it says or as its first bytes say."""
    said = part.parameters.get("smime-type", "").lower()
    if said:
        return said in SMIME_SIGNED
    end = min(part.end, part.start + SNIFFED_BYTES)
    encoding = part.head.get("content-transfer-encoding", "")
    return OF_SIGNED_DATA in content(parts.raw, part.start, end, encoding, [])


def _begins_a_line(armour: str, text: str) -> bool:
    """A quoted one does not count."""
    return text.startswith(armour) or f"\n{armour}" in text
