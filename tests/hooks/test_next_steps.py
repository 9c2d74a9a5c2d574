"""The last lines of a run lead to what it made; see also ``pipelines/report/test_edge_runs.py``."""

from __future__ import annotations

import pytest

from ttc_bench.hooks.next_steps import comparison_link


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/#/"),
        ("https://me:pa%40ss@tracking:8443/mlflow/", "https://tracking:8443/mlflow/#/"),
        ("https://tracking/?token=s3cret", "https://tracking/#/"),
    ],
)
def test_the_link_to_a_comparison_shows_no_login(address: str, shown: str) -> None:
    link = comparison_link(address, "1", "a1b2")
    assert link.startswith(f"{shown}experiments/1/runs?")
    assert not any(secret in link for secret in ("pa%40ss", "me:", "s3cret"))
