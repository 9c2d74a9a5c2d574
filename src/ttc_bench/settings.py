"""Kedro project settings: hooks and configuration."""

import kedro_mlflow  # noqa: F401  (raises its log level on import; quieten lowers it)

from ttc_bench.hooks.credentials import Credentials
from ttc_bench.hooks.dbt_ahead import DbtAhead
from ttc_bench.hooks.garbage import GARBAGE
from ttc_bench.hooks.live import Live
from ttc_bench.hooks.next_steps import NextSteps
from ttc_bench.hooks.occupancy import Occupancy
from ttc_bench.hooks.parameters import ConfigLoader, Parameters
from ttc_bench.hooks.preflight import Preflight
from ttc_bench.hooks.progress import PROGRESS
from ttc_bench.hooks.quiet import quieten
from ttc_bench.hooks.sample_size import SampleSize
from ttc_bench.hooks.shared_run import SharedRun
from ttc_bench.hooks.tracking import Tracking
from ttc_bench.hooks.two_runs import TWO_RUNS
from ttc_bench.hooks.workers import Workers

quieten()

# Of hooks that come first, the last one named is the first: checks, then the place, then MLflow.
HOOKS = (
    Credentials(),
    GARBAGE,
    Live(),
    NextSteps(),
    Parameters(),
    SharedRun(),
    Occupancy(),
    Preflight(),
    SampleSize(),
    Tracking(),
    TWO_RUNS,
    Workers(),
    DbtAhead(),
    PROGRESS,
)

CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # A setting of an environment, or of --params, leaves the rest of its group as it was.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
}
