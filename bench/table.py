"""What a benchmark found: rows, their median over several runs, the table and the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HEAD = ("", "value", "floor", "ratio", "bar", "")


@dataclass(frozen=True, slots=True)
class Bar:
    """What has to be reached: at least (≥) or at most (≤) so much, of the value or the ratio."""

    sign: Literal["≥", "≤"]
    limit: float
    of: Literal["value", "ratio"] = "ratio"

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}" + (" ×" if self.of == "ratio" else "")

    def holds(self, figure: float) -> bool:
        return figure >= self.limit if self.sign == "≥" else figure <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `floor` is what it is compared with, measured in the same run."""

    name: str
    unit: str
    value: float
    floor: float | None = None
    bar: Bar | None = None

    @property
    def ratio(self) -> float | None:
        """Value divided by floor; None where there is no floor, or nothing in it."""
        return self.value / self.floor if self.floor else None

    @property
    def figure(self) -> float | None:
        """What the bar is held against."""
        return self.value if self.bar and self.bar.of == "value" else self.ratio

    @property
    def ok(self) -> bool | None:
        """None where there is no bar. A bar on a ratio that could not be measured is missed."""
        if self.bar is None:
            return None
        return self.figure is not None and self.bar.holds(self.figure)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "value": _rounded(self.value),
            "floor": _rounded(self.floor),
            "ratio": _rounded(self.ratio),
            "bar": str(self.bar) if self.bar else "",
            "ok": self.ok,
        }


def medians(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """One row a name: that of the run whose ratio (or value, without a floor) is the median.

    Value, floor and ratio are therefore of one and the same run. Of an even number of runs
    the worse of the two in the middle is taken where there is a bar.
    """
    by_name: dict[str, list[Row]] = {}
    for run in runs:
        for row in run:
            by_name.setdefault(row.name, []).append(row)
    return [_median(rows) for rows in by_name.values()]


def _median(rows: list[Row]) -> Row:
    ordered = sorted(rows, key=lambda row: row.value if row.ratio is None else row.ratio)
    bar = ordered[0].bar
    upper_is_worse = bar is not None and bar.sign == "≤"
    return ordered[len(ordered) // 2 if upper_is_worse else (len(ordered) - 1) // 2]


def as_table(rows: Iterable[Row]) -> str:
    """The rows as text, one line each, ending with how many bars are missed."""
    rows = list(rows)
    cells = [HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    missed = sum(row.ok is False for row in rows)
    held = sum(row.ok is True for row in rows)
    return "\n".join([*lines, "", f"{held} bars held, {missed} missed."])


def write_json(rows: Iterable[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([row.as_json() for row in rows], ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        f"{_short(row.value)} {row.unit}".strip(),
        "" if row.floor is None else _short(row.floor),
        "" if row.ratio is None else f"{row.ratio:.2f} ×",
        str(row.bar) if row.bar else "",
        {True: "ok", False: "MISSED", None: ""}[row.ok],
    )


def _short(number: float) -> str:
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
