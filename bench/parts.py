"""What the parts of the benchmark have in common."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from django.db import connection, connections


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure. A quick run shows that it works; its figures jump about."""

    runs: int = 3
    quick: bool = False
    mails: Path | None = None  # a folder of mails to file as well

    def of(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def percentile(figures: Sequence[float], percent: int) -> float:
    """The figure that `percent` of all are at or below."""
    return quantiles(figures, n=100, method="inclusive")[percent - 1]


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python's garbage collector of this process out of what is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """The statements that Django sends; BEGIN and COMMIT are not among them."""
    statements: list[str] = []

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        yield statements


def use_database(name: str) -> None:
    """Let Django's default connection be to this database of the same server from now on."""
    connections["default"].close()
    connections["default"].settings_dict["NAME"] = name
