"""Kedro project settings: https://docs.kedro.org/en/stable/configure/project_settings/"""

from ttc_bench.hooks import Preflight

HOOKS = (Preflight(),)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
}
