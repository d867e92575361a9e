"""What a chaos run found, for people and as var/chaos.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.chaos.checker import COUNTERS
from bench.chaos.run import Outcome
from bench.chaos.silence import FAULTS

SILENCE_MAX_SECONDS = 3.0


def passed(outcome: Outcome) -> bool:
    """Nothing went wrong and it was never silent for longer than SILENCE_MAX_SECONDS."""
    quiet = all(seconds <= SILENCE_MAX_SECONDS for seconds in outcome.silence.values())
    return outcome.findings.clean and quiet and not outcome.invariants


def as_json(outcome: Outcome) -> dict[str, Any]:
    counts = {name: outcome.findings.counts[name] for name in COUNTERS}
    return {
        "seed": outcome.seed,
        "sent": outcome.findings.sent,
        **counts,
        "silence": _rounded(outcome.silence),
        "longest_wait": _rounded(outcome.waits),
        "kills": outcome.kills,
        "cuts": outcome.cuts,
        "invariants_hold": not outcome.invariants,
        "clients_cpu_cores": round(outcome.clients_cpu, 2),
        "clients_late_seconds": round(outcome.clients_late, 2),
        "ok": passed(outcome),
    }


def as_text(outcome: Outcome) -> str:
    """A few lines for each seed."""
    found = outcome.findings
    lines = [
        f"seed {outcome.seed}: {found.sent:,} sent, {outcome.kills} kills, {outcome.cuts} cuts",
        "  " + ", ".join(f"{found.counts[name]} {name.replace('_', ' ')}" for name in COUNTERS),
        f"  longest silence in seconds: {_by_fault(outcome.silence)}",
        f"  longest wait of one message: {_by_fault(outcome.waits)}",
        f"  the clients took {outcome.clients_cpu:.2f} cores and were {outcome.clients_late:.2f} s"
        " late at most",
    ]
    for name in COUNTERS:
        lines += [f"    {name}: {example}" for example in found.examples.get(name, ())]
    if outcome.invariants:
        lines.append(f"  invariants: {outcome.invariants}")
    return "\n".join([*lines, "  ok" if passed(outcome) else "  NOT OK"])


def write_json(outcomes: Iterable[Outcome], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([as_json(outcome) for outcome in outcomes], indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _by_fault(seconds: dict[str, float]) -> str:
    return ", ".join(f"{fault} {seconds[fault]:.1f}" for fault in FAULTS if fault in seconds)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {fault: round(seconds[fault], 2) for fault in FAULTS if fault in seconds}
