"""Kedro project settings: hooks, configuration, and telemetry that stays off."""

import os

from ttc_bench.hooks import Preflight

# Prompts may be confidential: no library of this project phones home unless the user says so.
for switch in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(switch, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

HOOKS = (Preflight(),)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
}
