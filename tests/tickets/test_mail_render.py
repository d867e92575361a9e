"""A reply as a mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from tickets.mail.render import (
    REFERENCES_MAX_BYTES,
    Letter,
    plain_as_html,
    references,
    render,
    subject,
)

LETTER = Letter(
    message_id="7@shop.example",
    from_name="Maya from Tern & Kettle",
    from_address="hello@shop.example",
    reply_to="hello+1.abc@shop.example",
    to_name="Carol",
    to_address="carol@mail.example",
    subject="Broken grinder",
    body="It ships on Monday.",
    sources=[],
    earlier_ids=[],
    sent_at=datetime(2025, 3, 3, 10, tzinfo=UTC),
    is_automatic=False,
)


def read_back(letter: Letter) -> EmailMessage:
    return message_from_bytes(render(letter).as_bytes(), EmailMessage, policy=default)


def test_the_sender_is_a_person_of_the_brand() -> None:
    sender = read_back(LETTER)["From"].addresses[0]
    assert sender.display_name == "Maya from Tern & Kettle"
    assert sender.addr_spec == "hello@shop.example"


@pytest.mark.parametrize(
    "evil",
    ["Hi\r\nBcc: all@x.example", "Hi\nBcc: a", "Hi\rBcc: a", "Hi\x0bBcc: a\x85b", "Hi\x00Bcc: a"],
)
def test_no_text_of_anyone_becomes_a_header(evil: str) -> None:
    sent = read_back(replace(LETTER, subject=evil, from_name=evil, to_name=evil))
    assert sent["Bcc"] is None
    assert sent["Subject"].startswith("Re: Hi Bcc")
    assert sent["To"].addresses[0].addr_spec == "carol@mail.example"


@pytest.mark.parametrize("evil", ["a@x.example\r\nBcc: b@x.example", "a@x.example, b@x.example"])
def test_an_address_that_is_more_than_one_is_refused(evil: str) -> None:
    with pytest.raises(ValueError, match=r"CR or LF|is no address|Invalid"):
        render(replace(LETTER, to_address=evil))


def test_a_subject_gets_one_mark() -> None:
    assert subject("Broken") == subject("Re: RE: AW: Broken") == "Re: Broken"
    assert subject("Reader's question") == "Re: Reader's question"
    assert subject("") == "Re:"


def test_long_ids_are_left_whole() -> None:
    """As Outlook's are: the library would encode what does not fit on a line."""
    ids = [f"{'x' * 100}{n}@eur.prod.outlook.example" for n in range(3)]
    raw = render(replace(LETTER, earlier_ids=ids)).as_bytes().decode()
    assert f"In-Reply-To: <{ids[2]}>\r\n" in raw
    assert read_back(replace(LETTER, earlier_ids=ids))["References"].split() == [
        f"<{one}>" for one in ids
    ]


def test_a_long_chain_keeps_its_ends_under_four_kilobytes() -> None:
    ids = [f"{'x' * 80}{n}@mail.example" for n in range(200)]
    chain = references(ids)
    assert len(chain.encode()) <= REFERENCES_MAX_BYTES
    assert chain.split()[0] == f"<{ids[0]}>"
    assert chain.split()[-1] == f"<{ids[-1]}>"
    assert len(chain.split()) > 30


def test_ids_that_cannot_be_written_are_left_out() -> None:
    sent = read_back(replace(LETTER, earlier_ids=["ä@x.example", "a b@x.example", "ok@x.example"]))
    assert (sent["References"], sent["In-Reply-To"]) == ("<ok@x.example>", "<ok@x.example>")


def test_words_are_escaped_and_links_are_links() -> None:
    html = plain_as_html('<b>"Hi"</b> https://shop.example/?a=1&b=2.\nBye')
    assert "&lt;b&gt;" in html
    assert '<a href="https://shop.example/?a=1&amp;b=2">' in html
    assert "2</a>.<br>\nBye" in html


def test_any_script_and_any_length_survive_the_way() -> None:
    body = "Größe 北京 שלום 🎉\n\n" + "x" * 5_000
    sent = read_back(replace(LETTER, body=body, subject="Größe " * 60, from_name="Zoë 北京"))
    text, html = sent.iter_parts()
    assert text.get_content().replace("\r\n", "\n").strip() == body
    assert "北京" in html.get_content()
    assert sent["From"].addresses[0].display_name == "Zoë 北京"
    assert (
        max(len(line) for line in render(replace(LETTER, body=body)).as_bytes().split(b"\r\n"))
        < 998
    )
