"""`make faults`: runs by kind and seed, a table at the end; ends with 1 where a promise did not hold."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.broken import BREAKS
from tests.faults.campaign import campaign, done, table
from tests.faults.ground import OwnGround
from tests.faults.kinds import KINDS
from tests.faults.stream import CAPTURE
from tests.services.packages import Missing
from tests.services.process import ServiceError


def main() -> int:
    """Run what was asked for and is not in the file of results yet."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="seeds of each kind")
    parser.add_argument("--kind", action="append", choices=[*KINDS], help="only this kind; may be repeated")
    parser.add_argument("--results", type=Path, default=Path("faults.jsonl"), help="file that results are appended to")
    parser.add_argument(
        "--broken", default="", choices=[*BREAKS], help="break this in the product on purpose: runs must not hold"
    )
    parser.add_argument("--again", action="store_true", help="run seeds again that are in the file")
    options = parser.parse_args()
    capture = Path(os.environ.get("ICSIGHT_CAPTURES", "")) / CAPTURE
    if not capture.is_file():
        print(f"error: {capture}: there is no such capture; set ICSIGHT_CAPTURES to the folder of captures", file=sys.stderr)
        return 2
    known: set[tuple[str, int]] = set()
    if not options.again:
        known |= {(line["kind"], line["seed"]) for line in done(options.results)}
    # Seed by seed, so that whoever ends it early has some of each kind.
    left = [
        (kind, seed)
        for seed in range(options.seed, options.seed + options.runs)
        for kind in options.kind or KINDS
        if (kind, seed) not in known
    ]
    # Who is asked to end still gives back what is mounted.
    signal.signal(signal.SIGTERM, _end)
    if left:
        try:
            _run(left, capture, options.results, options.broken)
        except (Missing, ServiceError, PermissionError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    lines = done(options.results)
    print(table(lines))
    for name in sorted({line["kind"] for line in lines}):
        print(f"{name}: {KINDS[name].told}")
    return int(any(not line["held"] for line in lines))


def _end(number: int, frame: object) -> None:
    del frame
    sys.exit(128 + number)


def _run(left: list[tuple[str, int]], capture: Path, results: Path, broken: str) -> None:
    with tempfile.TemporaryDirectory(prefix="icsight-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with OwnGround(folder / "services") as ground, campaign(ground, capture, folder / "runs", broken) as runs:
            for kind, seed in left:
                outcome = runs.run(kind, seed)
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(outcome.line()) + "\n")
                print(f"{kind} {seed}: {'held' if outcome.held else 'NOT HELD'}, {outcome.seconds} s", flush=True)
                if outcome.trouble:
                    print(f"  {outcome.trouble}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
