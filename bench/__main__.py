"""`python -m bench [PART …]`: measure, print a table, write `var/bench.json`."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from pathlib import Path

from bench.engines import running
from bench.parts import Size
from bench.table import Row, as_table, medians, write_json
from helpdesk.stack.kept import data_dir
from helpdesk.stack.mend import CannotStart

PARTS = ("widget", "mail", "mail_growth", "pages", "files", "sockets", "chat", "fanout", "chat_two")


def main() -> int:
    """Run the chosen parts. Returns the exit code: 1 if a bar is missed or we cannot start."""
    options = _options()
    path = data_dir(os.environ) / "bench.json"  # before our own HELPDESK_DATA is set
    size = Size(runs=options.runs, quick=options.quick, mails=options.mails)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    rows: list[Row] = []
    try:
        with running() as engines:
            for name in options.parts or PARTS:
                # Only now: what it imports needs Django's settings, and they need the engines.
                part = importlib.import_module(f"bench.{name}")
                runs = []
                for run in part.measure(engines, size):
                    runs.append(run)
                    print(f"{name}: {len(runs)} of {size.runs}", file=sys.stderr)
                rows += medians(runs)
    except CannotStart as reason:
        print(reason, file=sys.stderr)
        return 1
    write_json(rows, path)
    print(as_table(rows))
    return 1 if any(row.ok is False for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--runs", type=int, default=3, help="how often; the median counts")
    parser.add_argument("--quick", action="store_true", help="less of everything, to try it out")
    parser.add_argument("--mails", type=Path, help="a folder of .eml files to file as well")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.runs < 1:
        parser.error("at least one run")
    return options


if __name__ == "__main__":
    sys.exit(main())
