"""An estimate makes no call, and the run that follows makes the calls that it told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.conftest import KedroRun
from tests.engines.hosted.conftest import FaultServer

PRICES = {"openai/known": {"prompt": 10.0, "completion": 100.0}}
JOBS, TOKENS = 5, 8
RUN = ("--env=served", "--tags=ingest_benchmarks,generate")


@pytest.fixture
def served(server: FaultServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose environment ``served`` is the fault server; its model has a price."""
    monkeypatch.setenv("OPENAI_API_KEY", "any-key-0123456789")
    server.plan(tokens=TOKENS)
    model = {"engine": "hosted", "target": "openai/known", "prices": PRICES}
    settings = {
        "benchmarks": ["crm_sim"],
        "limit": JOBS,
        "model": {**model, "api_base": server.api_base},
        "estimate": {"completion_tokens": TOKENS},
    }
    (project / "conf" / "served").mkdir()
    (project / "conf" / "served" / "parameters.yml").write_text(yaml.safe_dump(settings))
    return project


def estimated(project: Path) -> pd.DataFrame:
    """Return the table of the last estimate, by policy and variant."""
    table = pd.read_parquet(project / "data" / "08_reporting" / "cost_estimate.parquet")
    return table.set_index(["policy", "variant"])


def test_the_run_makes_the_calls_of_its_estimate_and_a_second_estimate_finds_them_paid(
    served: Path, server: FaultServer, kedro_run: KedroRun
) -> None:
    arguments = ("--env=served", "--pipeline=estimate")
    wanted = "--params=estimate.pipeline=self_consistency"
    result = kedro_run(*arguments, wanted)
    assert result.exit_code == 0, result.output
    assert server.log() == [], "an estimate makes no call"
    before = estimated(served)

    assert kedro_run(*RUN, "--pipeline=self_consistency").exit_code == 0
    seen = server.log()
    controls = 2 * JOBS
    calls = JOBS * (1 + 8) + controls
    assert before["paid_calls"].sum() == len(seen) == calls, "a pool is paid once"
    assert before["completion_tokens"].sum() == TOKENS * len(seen)
    dollars = before["prompt_tokens"] * 10e-6 + before["completion_tokens"] * 100e-6
    pd.testing.assert_series_equal(
        before["usd"], dollars, check_names=False, check_dtype=False, rtol=1e-9
    )

    assert kedro_run(*arguments, wanted).exit_code == 0
    after = estimated(served)
    assert after["paid_calls"].sum() == 0, "what the journal holds is not paid again"
    assert after["usd"].sum() == 0
    assert len(server.log()) == len(seen)


def test_every_policy_that_a_hosted_model_can_run_stays_within_its_estimate(
    served: Path, server: FaultServer, kedro_run: KedroRun
) -> None:
    draft = f"model.draft=openai/small,model.draft_api_base={server.api_base}"
    assert kedro_run("--env=served", "--pipeline=estimate", f"--params={draft}").exit_code == 0
    table = estimated(served)
    assert {"self_consistency", "self_refine", "cascade"} <= {policy for policy, _ in table.index}
    for policy in ("self_refine", "cascade"):
        server.plan(tokens=TOKENS)
        arguments = (f"--pipeline={policy}", f"--params={draft}")
        assert kedro_run(*RUN, *arguments).exit_code == 0
        rows = table.loc[[policy]]
        assert 0 < len(server.log()) <= rows["calls"].sum() + table.loc[["baseline"], "calls"].sum()


def test_an_unknown_price_is_null_and_said(served: Path, kedro_run: KedroRun) -> None:
    changed = "--params=estimate.pipeline=baseline"
    file = served / "conf" / "served" / "parameters.yml"
    settings = yaml.safe_load(file.read_text())
    del settings["model"]["prices"]
    file.write_text(yaml.safe_dump(settings))
    assert kedro_run("--env=served", "--pipeline=estimate", changed).exit_code == 0
    assert estimated(served)["usd"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--env=base",), "makes no paid calls"),
        (("--env=served", "--params=estimate.pipeline=self_consitency"), "'self_consistency'"),
    ],
)
@pytest.mark.usefixtures("served")
def test_what_cannot_be_estimated_is_one_line(
    kedro_run: KedroRun, arguments: tuple[str, ...], words: str
) -> None:
    result = kedro_run("--pipeline=estimate", *arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output
