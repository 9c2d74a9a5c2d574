"""How long the dashboard takes on a large run: python tests/performance/bench_dashboard.py.

Generates 22 variants x 1,000 questions x 2 benchmarks as Parquet (into --folder, kept if given) and
times the first view of each page and then each change of a filter, from the request to the last
element, without the browser; with --browser also as chromium shows them, from a server that is just
up. It prints seconds; nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

# As a script, only its own folder would be searched.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import pandas as pd
from streamlit.testing.v1 import AppTest
from tests.conftest import make_project
from tests.dashboard.conftest import SCRIPT
from tests.dashboard.test_browser import Tab, browser, served_at
from tests.reporting.support import PARAMS, marts_of

from ttc_bench.datasets import JobsDataset
from ttc_bench.metrics.base import all_metrics
from ttc_bench.pipelines.aggregate.nodes import confidence, name_run
from ttc_bench.policies import VARIANTS
from ttc_bench.policies.responses import response_schema
from ttc_bench.reporting.scaling import scaling
from ttc_bench.reporting.scopes import verdicts_on
from ttc_bench.types import Job, Message

BENCHMARKS = ("crm_sim", "worf_sim")
TASKS = ("handle_time", "case_routing", "lead_qualification", "monthly_trend_analysis")


def variants(count: int) -> list[tuple[str, str]]:
    """Names of ``count`` variants, the baseline among them."""
    names = [(cls.policy, cls.name) for cls in VARIANTS.values()]
    names = [("baseline", "greedy"), *(n for n in names if n != ("baseline", "greedy"))]
    more = [(policy, f"{name}[n=2]") for policy, name in names[1:]]
    return [*names, *more][:count]


def scores_of(name: tuple[str, str], samples: int, seed: int) -> pd.DataFrame:
    """Scores of one variant, with plausible rewards and costs."""
    rng = np.random.default_rng(seed)
    n = samples * len(BENCHMARKS)
    skill = rng.uniform(0.4, 0.8)
    latency = rng.lognormal(rng.uniform(-2, 1), 0.4, n)
    # As a run has it: controls beside a few jobs, and a speed where there is one.
    control = np.where(rng.random(n) < 0.1, latency * rng.lognormal(0.2, 0.1, n), np.nan)
    first, control_first = latency * rng.uniform(0.1, 0.3, n), control * rng.uniform(0.1, 0.3, n)
    benchmark = np.repeat(BENCHMARKS, samples)
    number = np.tile(np.arange(samples), len(BENCHMARKS))
    table = pd.DataFrame({spec.name: rng.random(n) for spec in all_metrics()})
    return table.assign(
        job_id=[f"{b}/{i}" for b, i in zip(benchmark, number, strict=True)],
        benchmark=benchmark,
        task=[TASKS[i % len(TASKS)] for i in number],
        difficulty=[("easy", "medium", "hard")[i % 3] for i in number],
        model="target",
        engine="local",
        policy=name[0],
        variant=name[1],
        status="ok",
        error_type=None,
        error_message=None,
        replayed=False,
        lossless=False,
        answer=[f"{seed}-{i}" for i in range(n)],
        reward=(rng.random(n) < skill).astype(float),
        latency_s=latency,
        control_latency_s=control,
        speed=control / latency,
        ttft_s=first,
        control_ttft_s=control_first,
        ttft_ratio=first / control_first,
        total_tokens=rng.integers(100, 2000, n).astype(float),
        flops=rng.lognormal(21, 0.3, n),
        usd=0.0,
        samples=None,
        null_reasons="{}",
    )


def responses_of(scores: pd.DataFrame) -> pd.DataFrame:
    """A table of responses for scores."""
    names = response_schema().names
    table = scores[[name for name in names if name in scores]].copy()
    for name in names:
        if name not in table:
            table[name] = None
    text = "- a step of the reasoning\n" * 6
    table["text"] = [f"{text}Answer: {i}" for i in range(len(table))]
    table["samples"] = [[] for _ in range(len(table))]
    return table.assign(info="{}", bill="[]")[names]


def generate(folder: Path, count: int, samples: int) -> None:
    """Write a project with the tables of a large run."""
    make_project(folder)
    for place in ("05_model_input", "07_model_output/responses", "08_reporting"):
        (folder / "data" / place).mkdir(parents=True, exist_ok=True)
    own = [scores_of(name, samples, seed) for seed, name in enumerate(variants(count))]
    ids = own[0][["job_id", "benchmark", "task", "difficulty"]].to_dict("records")
    JobsDataset(str(folder / "data/05_model_input/jobs.jsonl")).save([job_of(row) for row in ids])
    for table in own:
        name = f"{table['policy'][0]}.{table['variant'][0]}"
        responses_of(table).to_parquet(folder / f"data/07_model_output/responses/{name}.parquet")
    scores = name_run(pd.concat(own, ignore_index=True), "large", {}, PARAMS)
    tables = {
        **marts_of(scores),
        "all_scores": scores,
        "intervals": confidence(scores, PARAMS),
        "verdicts": verdicts_on(scores, PARAMS),
        "scaling": scaling(scores, PARAMS),
    }
    for name, table in tables.items():
        table.to_parquet(folder / f"data/08_reporting/{name}.parquet", index=False)


def job_of(row: dict[str, str]) -> Job:
    """A question of a benchmark."""
    return Job(
        id=row["job_id"], benchmark=row["benchmark"], task=row["task"],
        difficulty=row["difficulty"], references=("1",), reward_metric="exact_match",
        max_tokens=256, messages=(Message(role="user", content="How long? " * 40),),
    )  # fmt: skip


def timed(label: str, run: object) -> None:
    """Print how long a call takes."""
    start = time.perf_counter()
    test = run()  # type: ignore[operator]
    seconds = time.perf_counter() - start
    print(f"{seconds:6.2f} s  {label}{'' if not test.error else '  ERROR'}")


def measure(folder: Path) -> None:
    """Print the seconds of every view."""
    from ttc_bench.dashboard.serving import warm

    warm(folder)
    at = {}
    for name in ("decide", "compare", "answers"):
        script = SCRIPT.format(name=name, project=str(folder))
        at[name] = AppTest.from_string(script, default_timeout=120)
        timed(f"{name}: first view", at[name].run)
    for key, value in (("benchmark", "crm_sim"), ("task", TASKS[0]), ("difficulty", "hard")):
        for name, page in at.items():
            timed(f"{name}: {key}", page.selectbox(key=key).set_value(value).run)
    decide, compare, answers = at["decide"], at["compare"], at["answers"]
    timed("decide: least reward", decide.slider(key="reward").set_value(0.5).run)
    timed("compare: quantile", compare.selectbox(key="figure").set_value("p95").run)
    second = answers.selectbox(key="second").options[3]
    timed("answers: variant", answers.selectbox(key="second").set_value(second).run)
    show = "first right, second wrong"
    timed("answers: filter", answers.selectbox(key="show").set_value(show).run)
    for title in ("Quality by variant", "Quality by variant and task", "Quality against cost"):
        script = SCRIPT.format(name="compare", project=str(folder))
        plot = AppTest.from_string(script, default_timeout=120)
        plot.query_params["view"], plot.query_params["plot"] = "Plots", title
        timed(f"compare: plot {title}", plot.run)


WATCH = """
    window.watched = {begun: 0, changed: 0};
    const isShown = node => !!(node.parentElement || node).closest?.('.stApp');
    new MutationObserver(changes => {
        const state = document.querySelector('.stApp')?.dataset.testScriptState;
        if (state === 'running' && !window.watched.begun) window.watched.begun = performance.now();
        if (changes.some(one => isShown(one.target))) window.watched.changed = performance.now();
    }).observe(document, {subtree: true, childList: true, characterData: true, attributes: true,
                          attributeFilter: ['data-test-script-state']});
"""
"""Notes in the page itself when its script began, and when what it shows was changed last (what
lies above it, as an open list, goes when it likes), in milliseconds."""

STATE = """JSON.stringify([
    document.querySelector('.stApp')?.dataset.testScriptState === 'notRunning',
    window.watched.begun, performance.now() - window.watched.changed, window.watched.changed])"""

CALM_S = 0.7
"""How long a page has to stay as it is to count as shown; no part of what is printed."""


async def _seen(tab: Tab, label: str, act: Callable[[], Awaitable[object]]) -> None:
    """Print how long it takes from an act to the last change of the page that it brings about.

    Args:
        tab: The tab.
        label: What is done, in words.
        act: What is done; it starts ``watched`` anew.
    """
    await act()
    while True:
        await asyncio.sleep(0.05)
        answer = await tab.call("Runtime.evaluate", expression=STATE)
        if "value" not in answer["result"]:
            continue  # The page that is left.
        is_idle, begun, calm, changed = json.loads(answer["result"]["value"])
        if (
            is_idle
            and begun
            and calm > 1000 * CALM_S
            and "Quality against cost" in await tab.text()
        ):
            break
    start = await tab.call("Runtime.evaluate", expression="window.watched.start || 0")
    seconds = (changed - start["result"]["value"]) / 1000
    print(f"{seconds:6.2f} s  in chromium, decide: {label}")


async def _open(tab: Tab, address: str) -> None:
    await tab.call("Page.enable")
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    await tab.call("Page.navigate", url=address)


async def _pick(tab: Tab, label: str, value: str) -> None:
    """Choose a value of a box by keys; time is taken from the last one."""
    box = f"document.querySelector('input[aria-label*={json.dumps(label)}]')"
    await tab.call("Runtime.evaluate", expression=f"{box}.click()")
    await tab.call("Runtime.evaluate", expression=f"{box}.focus()")
    await tab.call("Input.insertText", text=value)
    now = "window.watched = {start: performance.now(), begun: 0, changed: performance.now()}"
    await tab.call("Runtime.evaluate", expression=now)
    await tab.press("\r", "Enter")


async def _switch(tab: Tab, name: str) -> None:
    """Press one of the buttons that are one of several; time is taken from the press."""
    button = (
        "[...document.querySelectorAll('[data-testid=stButtonGroup] button')]"
        f".find(one => one.innerText.trim() === {json.dumps(name)})"
    )
    now = "window.watched = {start: performance.now(), begun: 0, changed: performance.now()}"
    await tab.call("Runtime.evaluate", expression=f"{now}; {button}.click()")


async def _in_browser(address: str, folder: Path) -> None:
    choices = [("Benchmark", "crm_sim"), ("Task", TASKS[0]), ("Difficulty", "hard")]
    choices += [
        ("Task", TASKS[1]),
        ("Difficulty", "easy"),
        ("Task", TASKS[2]),
        ("Benchmark", "worf_sim"),
    ]
    async with browser(folder) as (tab,):
        await _seen(tab, "first view", partial(_open, tab, address))
        for name in ("tokens", "Difficulty", "Task", "Benchmark"):
            await _seen(tab, f"switched to {name}", partial(_switch, tab, name))
        for label, value in choices:
            await _seen(tab, f"{label.lower()} {value}", partial(_pick, tab, label, value))


def main() -> None:
    """Generate, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the project is, or is to be")
    parser.add_argument("--variants", type=int, default=22)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--browser", action="store_true", help="time chromium, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "project"
        if not (folder / "data/08_reporting/all_scores.parquet").exists():
            generate(folder, options.variants, options.samples)
        measure(folder)
        if options.browser:
            with served_at(folder) as address:
                asyncio.run(_in_browser(address, Path(temporary) / "browser"))


if __name__ == "__main__":
    main()
