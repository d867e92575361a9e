"""`python -m bench.chaos`: talk under fire, print what was found, write `var/chaos.json`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.chaos.report import as_text, passed, write_json
from bench.chaos.run import Outcome, Plan, run
from bench.servers import allow_many_sockets
from helpdesk.stack.kept import data_dir
from tests.clients import Habits
from tests.stack import Stack, data_folder, running

QUICK = {"visitors": 20, "staff": 3, "seconds": 20.0}
MESSAGES_A_SECOND = 25  # of all visitors together, but none more often than every two seconds


def main() -> int:
    """Run every seed on a stack of its own. Returns the exit code: 1 if anything was found."""
    options = _options()
    allow_many_sockets()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    outcomes: list[Outcome] = []
    for seed in range(options.seed, options.seed + options.seeds):
        with _folder(options.keep, seed) as folder, running(Stack(folder)) as stack:
            gc.freeze()
            outcomes.append(asyncio.run(run(stack, _plan(options, seed))))
        print(as_text(outcomes[-1]), flush=True)
        write_json(outcomes, data_dir(os.environ) / "chaos.json")
    good = sum(map(passed, outcomes))
    print(f"{good} of {len(outcomes)} seeds passed.")
    return 0 if good == len(outcomes) else 1


def _plan(options: argparse.Namespace, seed: int) -> Plan:
    plan = Plan(
        seed=seed,
        visitors=options.visitors,
        staff=options.staff,
        seconds=options.seconds,
        visitor_pause=max(2.0, options.visitors / MESSAGES_A_SECOND),
    )
    if options.without_resume:
        plan = replace(plan, habits=Habits(resume=False))
    return plan


@contextmanager
def _folder(keep: Path | None, seed: int) -> Iterator[Path]:
    if keep:
        keep.mkdir(mode=0o711, parents=True, exist_ok=True)
        yield keep.resolve() / str(seed)
    else:
        with data_folder("helpdesk-chaos-") as folder:
            yield folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    plan = Plan()
    parser.add_argument("--seeds", type=int, default=1, help="how many runs, one after the other")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--visitors", type=int, help=f"{plan.visitors} of them")
    parser.add_argument("--staff", type=int, help=f"{plan.staff} of them")
    parser.add_argument("--seconds", type=float, help=f"of talk: {plan.seconds:.0f}")
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--keep", type=Path, help="a folder for the data and logs of each seed")
    parser.add_argument(
        "--without-resume",
        action="store_true",
        help="clients neither catch up nor send again: the checker has to find that",
    )
    options = parser.parse_args()
    for name in QUICK:
        usual = QUICK[name] if options.quick else getattr(plan, name)
        setattr(options, name, getattr(options, name) or usual)
    return options


if __name__ == "__main__":
    sys.exit(main())
