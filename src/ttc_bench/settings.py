"""Kedro project settings: hooks, configuration, and what keeps a run quiet and private."""

import logging
import os
import warnings

import kedro_mlflow  # noqa: F401  (sets its log level on import; it is lowered below)

from ttc_bench.hooks import Preflight

# Prompts may be confidential: no library of this project phones home unless the user says so.
for switch in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(switch, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Warnings between libraries, about which a user can do nothing.
warnings.filterwarnings("ignore", message="One or more dataset names contain '.' characters")
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")
for name in ("kedro_mlflow", "mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)

HOOKS = (Preflight(),)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
}
