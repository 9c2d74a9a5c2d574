"""Libraries are set aside from what is looked through for garbage, as late as DuckDB lets them."""

from __future__ import annotations

import subprocess
import sys

ASK = """
import gc
from ttc_bench.hooks.garbage import GARBAGE
GARBAGE.spare()
GARBAGE.before_pipeline_run()
before, libraries = gc.get_freeze_count(), gc.get_threshold()[0]
import pyarrow, yaml
import duckdb
print(before, gc.get_freeze_count(), libraries)
duckdb.sql("select 1").fetchall()
"""


def test_what_is_loaded_is_set_aside_up_to_duckdb_which_then_tells_of_no_leak() -> None:
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    before, after, threshold = map(int, told.stdout.split())
    assert after > before > 0
    assert threshold == 100_000
    assert told.stderr == ""
