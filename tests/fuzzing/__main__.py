"""Random input against the packet core: `python -m tests.fuzzing --seconds 60 [TARGET …]`.

Builds the targets in `sensor/core/fuzz/fuzz_targets` with the stable toolchain, seeds each (`tests.fuzzing.seeds`), and lets
libFuzzer change the seeds. A line for each target says how many inputs it had, how many a second, and how many places of the code
they reached. What breaks a target is kept under `sensor/core/fuzz/artifacts/TARGET`, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.fuzzing.seeds import TARGETS, seeds

FUZZ: Final = Path(__file__).parents[2] / "sensor/core/fuzz"
"""The crate of the targets."""

INPUT_SECONDS: Final = 10
"""An input that takes longer is a finding."""

MEMORY_MIB: Final = 2_048
"""More resident memory than this is a finding."""

SHOWN_LINES: Final = 40
"""Last lines of a target's output that are shown when it breaks."""


def build() -> Path:
    """Builds all targets; the folder that they are in."""
    if shutil.which("c++") is None:
        sys.exit("error: libFuzzer is built with a C++ compiler, and there is no c++; install g++ or clang")
    done = subprocess.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=FUZZ, check=False)
    if done.returncode:
        sys.exit("error: the fuzz targets could not be built; the compiler says why above")
    return FUZZ / "target/release"


def command(binary: Path, corpus: Path, arguments: argparse.Namespace) -> list[str]:
    """The command that runs a target on a folder of seeds, to which it adds what reaches more."""
    target = binary.name
    artifacts = FUZZ / "artifacts" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    options = {
        "max_len": TARGETS[target],
        "timeout": INPUT_SECONDS,
        "rss_limit_mb": MEMORY_MIB,
        "artifact_prefix": f"{artifacts}/",
        # Both cost more than they find: without them as many inputs take half to four fifths of the time and reach more.
        "entropic": 0,
        "reduce_inputs": 0,
        "print_final_stats": 1,
        "max_total_time": arguments.seconds,
        "runs": arguments.runs,
    }
    # Targets of one protocol share its words.
    dictionary = FUZZ / "dictionaries" / f"{target.split('_')[0]}.dict"
    if dictionary.exists():
        options["dict"] = dictionary
    return [str(binary), str(corpus), *(f"-{name}={value}" for name, value in options.items() if value is not None)]


def figures(log: str) -> str:
    """Executions, executions a second and coverage, as the last lines of a run tell them."""
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    rate = re.search(r"stat::average_exec_per_sec:\s*(\d+)", log)
    covered = re.findall(r"cov: (\d+)", log)
    numbers = [int(match[1]) if match else 0 for match in (executed, rate)]
    return f"{numbers[0]:>12,} inputs {numbers[1]:>9,} a second {int(covered[-1]) if covered else 0:>7,} places reached"


def run(target: str, binaries: Path, corpus: Path, arguments: argparse.Namespace) -> bool:
    """Runs one target. Returns whether it found nothing."""
    corpus.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, seed in enumerate(sorted(set(seeds(target))), start=1):
        (corpus / f"seed-{count:05}").write_bytes(seed)
    done = subprocess.run(
        command(binaries / target, corpus, arguments), capture_output=True, text=True, errors="replace", check=False
    )
    print(f"{target:<14}{count:>6,} seeds {figures(done.stderr)}", flush=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-SHOWN_LINES:]), flush=True)
        print(f"error: {target}: status {done.returncode}; the input is in {FUZZ / 'artifacts' / target}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Runs the targets that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description="Random input against the packet core.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="time for each target; 0: no bound")
    parser.add_argument("--runs", type=int, help="inputs for each target; no bound by default")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--corpus", type=Path, help="folder that keeps what reaches more; none by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    binaries = build()
    with tempfile.TemporaryDirectory(prefix="icsight-fuzz-") as folder:
        corpora: Path = arguments.corpus or Path(folder)
        targets: list[str] = arguments.targets or list(TARGETS)

        def is_clean(target: str) -> bool:
            return run(target, binaries, corpora / target, arguments)

        with ThreadPoolExecutor(arguments.jobs) as at_once:
            clean = list(at_once.map(is_clean, targets))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
