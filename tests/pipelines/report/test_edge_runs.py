"""Runs at the edge, by the pipelines themselves: each ends with a report that says what it can."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import pandas as pd
from tests.conftest import KedroRun
from tests.reporting.support import scores

from ttc_bench.reporting.plots import plots

REPORTING = Path("data/08_reporting")


def store(tables: Mapping[str, pd.DataFrame]) -> None:
    folder = Path("data/07_model_output/scores")
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")


def baseline(rewards: list[float | None]) -> pd.DataFrame:
    return scores("baseline", "greedy", rewards)


def cascade(rewards: list[float | None]) -> pd.DataFrame:
    return scores("cascade", "agreement", rewards, flops=3e9, latency_s=0.5)


def finished(kedro_run: KedroRun) -> tuple[str, str]:
    """Aggregate and report what is stored; return the whole table and what the report shows."""
    result = kedro_run("--pipelines=aggregate,report", "--params=min_valid_share=0.0")
    assert result.exit_code == 0, result.output
    assert_names_what_to_open(result.stdout)
    for plot in plots():
        still, drawn = (
            next((REPORTING / "plots").glob(f"{plot.name.removesuffix('_plot')}.{kind}"))
            for kind in ("png", "json")
        )
        assert still.read_bytes().startswith(b"\x89PNG")
        assert json.loads(drawn.read_text())["layout"]
    report = html.unescape((REPORTING / "report.html").read_text())
    return (REPORTING / "summary.txt").read_text(), report


def assert_names_what_to_open(shown: str) -> None:
    """The last lines lead to the report and to MLflow's comparison of the variants of this run."""
    import mlflow

    last = shown[shown.index("Open next:") :]
    file = next(word for word in last.split() if word.endswith(".html"))
    assert Path(file).is_file()
    (link,) = re.findall(r"http://127\.0\.0\.1:5000/#/experiments/(\d+)/runs\?(\S+)", last)
    asked = dict(parse_qsl(link[1]))
    client = mlflow.MlflowClient(f"sqlite:///{Path('data/mlflow/mlflow.db').resolve()}")
    order = f"{asked['orderByKey']} {'ASC' if asked['orderByAsc'] == 'true' else 'DESC'}"
    compared = client.search_runs([link[0]], asked["searchFilter"], order_by=[order])
    ids = json.loads((REPORTING / "mlflow_runs.json").read_text())
    assert {run.info.run_id for run in compared} == set(ids.values())
    rewards = [run.data.metrics.get("key/reward", -1.0) for run in compared]
    assert rewards == sorted(rewards, reverse=True)


MODELS = {
    "no baseline": {"cascade": cascade([1.0, 0.0, 1.0])},
    "one $ample": {"baseline": baseline([1.0]), "cascade": cascade([0.0])},
    "equal/scores": {"baseline": baseline([1.0] * 80), "cascade": cascade([1.0] * 80)},
    "no answers": {"baseline": baseline([None, None]), "cascade": cascade([0.0, 1.0])},
}
"""Tables of scores by model: what is compared stays within a model."""


def row(shown: str, model: str, variant: str) -> str:
    """Return the row of a variant in the part of the terminal that is about a model."""
    part = shown.split(f"crm_sim, model {model}\n")[1].split("\n\n", maxsplit=1)[0]
    return next(line for line in part.splitlines() if line.startswith(variant))


def verdicts(report: str, model: str) -> str:
    """Return the row of the cascade in the report's table about a model."""
    tables = report[report.index('id="tables"') :]
    part = tables.split(f"<h3>crm_sim, model {model}</h3>")[1].split("</table>")[0]
    return part[part.index("cascade.agreement") :]


def test_models_at_the_edge_are_told_what_the_numbers_allow(kedro_run: KedroRun) -> None:
    for policy in ("baseline", "cascade"):
        own = [t[policy].assign(model=name) for name, t in MODELS.items() if policy in t]
        store({policy: pd.concat(own, ignore_index=True)})
    terminal, report = finished(kedro_run)
    alone, one, equal, failed = (row(terminal, name, "cascade.agreement") for name in MODELS)
    assert "+" not in alone, "no difference without a baseline"
    assert "0.667" in alone
    assert "-1.000" in one
    assert "[" not in one, "one response has no interval"
    assert "+0.000  [-0.03, +0.03]  as good" in equal
    assert "0/2" in row(terminal, "no answers", "baseline.greedy")
    assert "baseline.greedy: 2 of 2 failed: timeout: 2." in terminal
    assert "2/2" in failed
    assert "[-1.00, +1.00]" in failed, "a failure counts as 0; two questions decide nothing"
    shown = [verdicts(report, name) for name in MODELS]
    words = [set(re.findall(r'class="([\w-]+)"', text)) for text in shown]
    assert words == [set(), {"undecided"}, {"as-good"}, {"undecided"}]


def test_a_run_without_any_answer_says_so(kedro_run: KedroRun) -> None:
    store({"baseline.greedy": baseline([None, None]), "cascade.agreement": cascade([None, None])})
    terminal, report = finished(kedro_run)
    for name in ("baseline.greedy", "cascade.agreement"):
        assert "0/2" in row(terminal, "target", name)
        assert f"{name}: 2 of 2 failed: timeout: 2." in terminal
    assert not re.search(r'class="(better|worse|equal|as-good|identical)"', report)
    assert "no answer in 60 s" in report, "the failures have their reason"
