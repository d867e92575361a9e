"""The benchmark's table and file, on figures made up here. Nothing is timed in tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.mails import mails
from bench.table import Bar, Row, as_table, medians, write_json

AT_LEAST = Bar("≥", 0.25)
AT_MOST = Bar("≤", 12, "value")

ROWS = [
    Row("mails filed", "/s", 300, 1_000, AT_LEAST),
    Row("queries at most", "", 13, 1, AT_MOST),
    Row("search", "ms", 2.5, 0.5),
]


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        (Row("as it should be", "/s", 250, 1_000, AT_LEAST), True),
        (Row("too slow", "/s", 249, 1_000, AT_LEAST), False),
        (Row("as many as may be", "", 12, 1, AT_MOST), True),
        (Row("one too many", "", 13, 100, AT_MOST), False),
        (Row("nobody asks", "ms", 9, 1), None),
        (Row("nothing to compare with", "/s", 9, None, AT_LEAST), False),
    ],
)
def test_a_bar_is_held_against_its_value_or_its_ratio(row: Row, ok: bool | None) -> None:
    assert row.ok is ok


def test_the_median_run_gives_value_floor_and_ratio_together() -> None:
    runs = [
        [Row("mail", "/s", value, floor, AT_LEAST)]
        for value, floor in ((90, 100), (50, 200), (40, 100))
    ]

    assert medians(runs) == [Row("mail", "/s", 40, 100, AT_LEAST)]


def test_of_two_runs_the_worse_counts() -> None:
    fast, slow = Row("p50", "ms", 2, 1, Bar("≤", 4)), Row("p50", "ms", 9, 1, Bar("≤", 4))
    many, few = Row("mail", "/s", 9, 1, AT_LEAST), Row("mail", "/s", 2, 1, AT_LEAST)

    assert medians([[fast, many], [slow, few]]) == [slow, few]


def test_the_table_says_which_bars_are_missed() -> None:
    assert as_table(ROWS).splitlines() == [
        "                  value  floor    ratio       bar",
        "mails filed      300 /s  1,000   0.30 ×  ≥ 0.25 ×      ok",
        "queries at most      13      1  13.00 ×      ≤ 12  MISSED",
        "search           2.5 ms    0.5   5.00 ×",
        "",
        "1 bars held, 1 missed.",
    ]


def test_the_file_has_one_object_a_row(tmp_path: Path) -> None:
    path = tmp_path / "var" / "bench.json"

    write_json(ROWS, path)

    assert json.loads(path.read_text(encoding="utf-8")) == [
        {
            "name": "mails filed",
            "unit": "/s",
            "value": 300,
            "floor": 1_000,
            "ratio": 0.3,
            "bar": "≥ 0.25 ×",
            "ok": True,
        },
        {
            "name": "queries at most",
            "unit": "",
            "value": 13,
            "floor": 1,
            "ratio": 13,
            "bar": "≤ 12",
            "ok": False,
        },
        {
            "name": "search",
            "unit": "ms",
            "value": 2.5,
            "floor": 0.5,
            "ratio": 5,
            "bar": "",
            "ok": None,
        },
    ]


def test_every_run_files_the_same_mails() -> None:
    some = mails(60)

    assert mails(60) == some
    assert all(1_000 < len(mail) < 65_000 for mail in some)
    assert len(set(some)) < len(some)  # some come twice
