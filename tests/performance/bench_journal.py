"""Seconds and memory that a large journal costs, opened in a process of its own.

``python tests/performance/bench_journal.py`` writes a journal of a million lines of the length
that a run of the embedded models has, and prints what opening it takes, how much memory the
process then holds, and what one look-up and one entry cost. ``--lines`` takes another number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ttc_bench.policies.journal import KEY_VERSION, Journal

RECORD = {"text": "word " * 60, "token_ids": list(range(150)), "logprobs": [-0.123456] * 60}
IDENTITY = {"models": "0" * 64, "role": "target", "messages": "0" * 64, "max_tokens": 256}


def key(number: int) -> str:
    """Return a key as a request has it."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def write(path: Path, lines: int) -> None:
    """Write a journal as `Journal.put` would, only faster."""
    rest = json.dumps({"identity": IDENTITY, **RECORD}, separators=(",", ":"))[1:]
    with path.open("w") as file:
        for number in range(lines):
            file.write(f'{{"version":{KEY_VERSION},"key":"{key(number)}",{rest}\n')


def measure(path: Path, lines: int) -> None:
    """Print what the journal costs this process."""
    start = time.perf_counter()
    journal = Journal(path)
    opened = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    asked = range(0, lines, max(1, lines // 1000))
    assert all(journal.get(key(number)) for number in asked)
    read = time.perf_counter()
    for number in asked:
        journal.put(key(-1 - number), RECORD, IDENTITY)
    put = time.perf_counter()
    print(f"{lines} lines, {path.stat().st_size / 1e6:.0f} MB: opened in {opened - start:.2f} s,")
    print(
        f"{peak:.0f} MB of memory, {(read - opened) / len(asked) * 1e6:.0f} us a look-up,", end=""
    )
    print(f" {(put - read) / len(asked) * 1e6:.0f} us an entry")


def main() -> None:
    """Write, and measure in a process that has not written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.at:
        measure(options.at, options.lines)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        write(path, options.lines)
        command = [sys.executable, __file__, "--lines", str(options.lines), "--at", str(path)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
