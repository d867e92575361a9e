"""Addresses we hand out, and which conversation a mail belongs to."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tickets.mail.addresses import conversations_named, is_address, reply_address, without_tag
from tickets.mail.joining import IDS_MAX, Known, looked_up, match


def test_a_reply_address_names_its_conversation() -> None:
    address = reply_address("Hello@shop.example", 12_345)
    assert conversations_named([address]) == [12_345]
    assert conversations_named(["x@y.example", address.upper(), address]) == [12_345]
    assert without_tag(address) == "hello@shop.example"


def test_a_token_is_worth_nothing_for_another_conversation() -> None:
    local, _, host = reply_address("hello@shop.example", 35).partition("@")
    number, _, signature = local.partition("+")[2].partition(".")
    assert number == "z"
    assert conversations_named([f"hello+y.{signature}@{host}"]) == []
    assert (
        conversations_named([f"hello+{number}.{'a' * 16}@{host}", f"hello+{number}@{host}"]) == []
    )


@pytest.mark.parametrize(
    "address", ["", "@", "+@x", "a+.@x", "a+1.@x", "a+é.b@x", "a+-1.b@x", "a+" + "9" * 99 + ".b@x"]
)
def test_odd_addresses_name_nothing(address: str) -> None:
    assert conversations_named([address]) == []


def test_an_earlier_key_is_honoured_and_a_forgotten_one_is_not(settings: Settings) -> None:
    address = reply_address("hello@shop.example", 7)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert conversations_named([address]) == [7]
    settings.SECRET_KEY_FALLBACKS = []
    assert conversations_named([address]) == []


def test_an_address_too_long_for_a_token_stays_as_it_is() -> None:
    long = f"{'x' * 60}@shop.example"
    assert reply_address(long, 7) == long


@pytest.mark.parametrize("address", ["", "a", "a@", "@b", "a b@c", "a@b@c", "a@b\n", "<a@b>"])
def test_what_is_no_address(address: str) -> None:
    assert not is_address(address)


def known(one: str, conversation: int, seq: int = 1) -> Known:
    return Known(one, conversation, conversation + 100, seq)


def test_the_token_counts_more_than_the_headers() -> None:
    found = match(
        tokens=[known("", 1)], in_reply_to="a", references=["a"], ours=[], theirs=[known("a", 2)]
    )
    assert found is not None
    assert (found.conversation_id, found.reason) == (1, "The reply address named #101.")


def test_in_reply_to_counts_more_than_references() -> None:
    found = match(
        tokens=[],
        in_reply_to="b",
        references=["a"],
        ours=[],
        theirs=[known("a", 1), known("b", 2, 12)],
    )
    assert found is not None
    assert found.reason == "In-Reply-To matched message 12 of #102."


def test_an_id_of_several_conversations_decides_nothing() -> None:
    """Programs that give each mail the same id must not bring strangers together."""
    found = match(
        tokens=[], in_reply_to="a", references=[], ours=[], theirs=[known("a", 1), known("a", 2)]
    )
    assert found is None


def test_a_chain_without_end_is_looked_up_by_its_ends() -> None:
    ids = looked_up("last", [str(n) for n in range(1_000)])
    assert len(ids) == IDS_MAX
    assert (ids[0], ids[1], ids[-1]) == ("last", "999", "0")
