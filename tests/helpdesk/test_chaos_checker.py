"""The checker of the chaos run, on records made up here: it has to find each fault."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.chaos.checker import Findings, Said, Shown, Stored, View, check
from bench.chaos.report import as_json, as_text, passed, write_json
from bench.chaos.run import Outcome
from bench.chaos.silence import Cut, Kill, Wait, silences, waits

CHAT, OTHER = 7, 8

# Carol asks, Alice notes and answers; who answers changed in between, without a mark.
SAID = (
    Said("m-1", CHAT, "carol", True, 1),
    Said("m-2", CHAT, "alice", True),
    Said("m-3", CHAT, "alice", True),
    Said("m-5", CHAT, "carol", True, 5),
    Said("m-6", OTHER, "dave", True, 1),
)
STORED = (
    Stored(CHAT, 1, "m-1"),
    Stored(CHAT, 2, "m-2", public=False),
    Stored(CHAT, 3, "m-3"),
    Stored(CHAT, 4),
    Stored(CHAT, 5, "m-5"),
    Stored(OTHER, 1, "m-6"),
)
PUBLIC = (Shown(1, "m-1"), Shown(3, "m-3"), Shown(4), Shown(5, "m-5"))
CAROL = View("carol", CHAT, False, PUBLIC, PUBLIC)
ALICE = View("alice", CHAT, True, (PUBLIC[0], Shown(2, "m-2"), *PUBLIC[1:]))
DAVE = View("dave", OTHER, False, (Shown(1, "m-6", OTHER),))
VIEWS = (CAROL, ALICE, DAVE)


def found(
    said: tuple[Said, ...] = SAID,
    stored: tuple[Stored, ...] = STORED,
    views: tuple[View, ...] = VIEWS,
) -> Counter[str]:
    return +check(said, stored, views).counts


def carol_shows(*shown: Shown) -> tuple[View, ...]:
    return replace(CAROL, shown=shown, delivered=()), ALICE, DAVE


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    findings = check(SAID, STORED, VIEWS)

    assert findings.clean
    assert findings.sent == len(SAID)
    assert found(views=carol_shows(*PUBLIC)) == Counter()


def test_what_was_never_acknowledged_is_lost_though_it_is_stored() -> None:
    assert found((*SAID[:-1], replace(SAID[-1], acknowledged=False))) == {"lost": 1}


def test_what_was_acknowledged_and_is_not_stored_is_lost() -> None:
    assert found((*SAID, Said("m-9", OTHER, "dave", True, 2))) == {"lost": 1}


def test_what_is_stored_elsewhere_than_it_was_written_is_lost() -> None:
    gone = (*SAID[:-1], replace(SAID[-1], conversation=CHAT))

    assert found(gone) == {"lost": 1}


def test_what_was_shown_and_is_not_stored_is_lost() -> None:
    phantom = View("dave", OTHER, False, (*DAVE.shown, Shown(2, "m-9")))

    assert found(views=(CAROL, ALICE, phantom)) == {"lost": 1}


def test_what_is_stored_twice_is_doubled() -> None:
    twice = (*STORED, Stored(OTHER, 2, "m-6"))
    shows_one = (CAROL, ALICE, replace(DAVE, shown=(Shown(1, "m-6"),)))

    assert found(stored=twice, views=shows_one) == {"doubled": 1}


@pytest.mark.parametrize("again", [Shown(5, "m-5"), Shown(6, "m-5"), Shown(4)])
def test_what_is_shown_twice_is_doubled(again: Shown) -> None:
    assert found(views=carol_shows(*PUBLIC, again))["doubled"] == 1


def test_what_is_stored_before_what_was_written_earlier_is_misordered() -> None:
    swapped = (*SAID[:1], SAID[2], SAID[1], *SAID[3:])

    assert found(swapped) == {"misordered": 1}


def test_what_was_acknowledged_for_another_place_is_misordered() -> None:
    assert found((replace(SAID[0], seq=3), *SAID[1:])) == {"misordered": 1}


def test_an_empty_place_is_misordered() -> None:
    gap = (*STORED[:3], *STORED[4:])
    none_shows_it = tuple(
        replace(view, shown=tuple(s for s in view.shown if s.mark), delivered=()) for view in VIEWS
    )

    assert found(stored=gap, views=none_shows_it) == {"misordered": 1}


def test_what_is_shown_above_its_elders_is_misordered() -> None:
    turned = (PUBLIC[1], PUBLIC[0], *PUBLIC[2:])

    assert found(views=carol_shows(*turned)) == {"misordered": 1, "diverged": 1}


def test_what_is_shown_at_the_place_of_another_is_misordered() -> None:
    moved = (PUBLIC[0], Shown(2, "m-3"), *PUBLIC[2:])

    assert found(views=carol_shows(*moved)) == {"misordered": 1, "diverged": 1}


def test_what_a_member_may_see_and_does_not_was_never_shown() -> None:
    assert found(views=carol_shows(*PUBLIC[:2], PUBLIC[3])) == {"never_shown": 1, "diverged": 1}


def test_another_message_at_its_place_does_not_show_it() -> None:
    replaced = (*PUBLIC[:3], Shown(5, "m-1"))

    assert found(views=carol_shows(*replaced))["never_shown"] == 1


def test_staff_have_to_see_notes() -> None:
    without = replace(ALICE, shown=CAROL.shown)

    assert found(views=(CAROL, without, DAVE)) == {"never_shown": 1}


def test_a_note_that_reached_a_customer_is_misdelivered_though_no_page_shows_it() -> None:
    leaked = replace(CAROL, delivered=(*PUBLIC, Shown(2, "m-2", CHAT)))

    assert found(views=(leaked, ALICE, DAVE)) == {"misdelivered": 1}


def test_a_note_that_a_customer_sees_is_misdelivered() -> None:
    assert found(views=carol_shows(*ALICE.shown)) == {"misdelivered": 1}


def test_a_message_of_another_conversation_is_misdelivered() -> None:
    leaked = replace(CAROL, delivered=(*PUBLIC, Shown(1, "m-6", OTHER)))

    assert found(views=(leaked, ALICE, DAVE)) == {"misdelivered": 1}


def test_a_line_without_a_mark_of_another_conversation_is_misdelivered() -> None:
    leaked = replace(DAVE, delivered=(Shown(4, "", CHAT),))

    assert found(views=(CAROL, ALICE, leaked)) == {"misdelivered": 1}


def test_whoever_is_no_member_may_get_nothing() -> None:
    outsider = View("mallory", 0, True, (), (Shown(1, "m-1", CHAT),))

    assert found(views=(*VIEWS, outsider)) == {"misdelivered": 1}


def test_who_came_late_and_was_removed_sees_what_lies_between_and_nothing_else() -> None:
    guest = View("erin", CHAT, False, PUBLIC[1:3], after=2, upto=4)

    assert found(views=(*VIEWS, guest)) == Counter()
    assert found(views=(*VIEWS, replace(guest, shown=PUBLIC[:3]))) == {"misdelivered": 1}
    assert found(views=(*VIEWS, replace(guest, shown=PUBLIC[1:]))) == {"misdelivered": 1}
    assert found(views=(*VIEWS, replace(guest, shown=PUBLIC[2:3])))["never_shown"] == 1


def test_two_pages_that_differ_have_diverged_once_a_conversation() -> None:
    second_tab = replace(CAROL, client="carol, tab 2", shown=PUBLIC[:2], delivered=())

    assert found(views=(*VIEWS, second_tab)) == {"never_shown": 2, "diverged": 1}


def test_a_silence_after_a_kill_is_the_longest_gap_of_either_stream() -> None:
    acknowledged = [1.0, 2.0, 2.5, 4.0, 4.5, 6.0]
    heard = [1.0, 1.9, 5.0, 5.5]

    got = silences([Kill("web", 2.0)], (acknowledged, heard), (), end=6.0)

    assert got == {"web": 3.0}


def test_a_silence_until_the_end_counts() -> None:
    assert silences([Kill("redis", 2.0)], ([1.0, 2.5],), (), end=9.0) == {"redis": 6.5}


def test_a_silence_long_after_a_kill_is_not_its_doing() -> None:
    steady = [n / 2 for n in range(100)] + [60.0]

    assert silences([Kill("web", 2.0)], (steady,), (), end=60.0) == {"web": 0.5}


def test_a_silence_that_outlasts_the_next_kill_is_both_kills_doing() -> None:
    kills = [Kill("web", 2.0), Kill("worker", 4.0)]

    got = silences(kills, ([1.0, 5.0, 5.5, 6.0],), (), end=6.0)

    assert got == {"web": 3.0, "worker": 1.0}


def test_a_cut_is_silent_until_its_page_is_let_in_again() -> None:
    cuts = [Cut(1.0, 1.4), Cut(3.0, 3.9), Cut(20.0, 26.0)]  # the last hit by a kill as well

    got = silences([Kill("web", 21.0)], ([21.5, 22.0],), cuts, end=22.0)

    assert got == {"web": 0.5, "socket": pytest.approx(0.9)}


def test_a_page_that_never_came_back_is_silent_to_the_end() -> None:
    assert silences([], (), [Cut(1.0, None)], end=8.0) == {"socket": 7.0}


def test_a_wait_belongs_to_the_last_kill_before_or_during_it() -> None:
    kills = [Kill("web", 2.0), Kill("redis", 30.0)]
    messages = [Wait(1.5, 5.0), Wait(2.5, 3.0), Wait(31.0, None), Wait(60.0, 90.0)]

    assert waits(kills, messages, end=33.0) == {"web": 3.5, "redis": 2.0}


OUTCOME = Outcome(3, Findings(sent=9), {"web": 1.25}, {"web": 2.0}, 4, 5, "", 0.5, 0.1)


def test_a_run_passes_if_nothing_was_found_and_it_was_never_silent_for_long() -> None:
    lost = Findings(sent=9)
    lost.add("lost", "m-1 was never acknowledged")

    assert passed(OUTCOME)
    assert not passed(replace(OUTCOME, findings=lost))
    assert not passed(replace(OUTCOME, silence={"web": 3.1}))
    assert not passed(replace(OUTCOME, invariants="conversation 7: 3 entries"))


def test_the_report_says_what_was_found() -> None:
    lost = Findings(sent=9)
    lost.add("lost", "m-1 was never acknowledged")

    text = as_text(replace(OUTCOME, findings=lost))

    assert "1 lost, 0 doubled" in text
    assert "m-1 was never acknowledged" in text
    assert text.endswith("NOT OK")
    assert as_text(OUTCOME).endswith("  ok")


def test_the_file_has_a_row_for_each_seed(tmp_path: Path) -> None:
    write_json([OUTCOME, OUTCOME], tmp_path / "var" / "chaos.json")

    rows = json.loads((tmp_path / "var" / "chaos.json").read_text())

    assert rows == [as_json(OUTCOME)] * 2
    names = ("lost", "doubled", "misordered", "never_shown", "misdelivered", "diverged")
    assert {name: rows[0][name] for name in names} == dict.fromkeys(names, 0)
    assert (rows[0]["sent"], rows[0]["silence"]) == (9, {"web": 1.25})
