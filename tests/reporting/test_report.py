"""The pictures and the report: complete, self-contained, and the same colours everywhere."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ttc_bench.policies import VARIANTS
from ttc_bench.reporting.colours import COLOURS, colour
from ttc_bench.reporting.html import render
from ttc_bench.reporting.plots import PICTURES
from ttc_bench.reporting.table import not_run

EVIL = "<script>alert(1)</script> $x^ & <img src=http://evil.example/x.png>"

MACHADO = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


def oklab(code: str, sight: np.ndarray) -> np.ndarray:
    rgb = np.array([int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(sight @ linear, 0, 1)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ np.cbrt(cones @ seen)


@pytest.mark.parametrize("sight", MACHADO)
def test_colours_are_told_apart(sight: str) -> None:
    seen = {name: oklab(code, MACHADO[sight]) for name, code in COLOURS.items()}
    least = min(np.linalg.norm(seen[a] - seen[b]) for a, b in combinations(seen, 2))
    assert least > 0.1


def test_every_policy_has_a_colour_of_its_own() -> None:
    policies = {cls.policy for cls in VARIANTS.values()}
    assert policies <= set(COLOURS)
    assert len({colour(policy) for policy in policies}) == len(policies)


def tables(
    names=("baseline.greedy", "best_of_n.verifier", "cascade.confidence"),
    models=("m",),
    jobs=6,
    failing=(),
) -> dict[str, pd.DataFrame]:
    """Return tables as the aggregate stage makes them."""
    pairs = [tuple(name.split(".")) for name in names]
    scores, summary, intervals, frontier, comparisons, failures = [], [], [], [], [], []
    for model in models:
        for number, (policy, variant) in enumerate(pairs):
            key = {"model": model, "benchmark": "crm_sim", "policy": policy, "variant": variant}
            ok = f"{policy}.{variant}" not in failing
            for job in range(jobs):
                scores.append(
                    key
                    | {"job_id": f"j{job}", "task": f"t{job % 2}", "run_id": "r", "config": "c"}
                    | {"status": "ok" if ok else "error", "replayed": False}
                    | {"reward": float(job % 2) if ok else None}
                    | {"latency_s": 0.1 * (job + 1) if ok else None}
                )
            quality = 0.5 + number / 1000
            means = dict.fromkeys(("latency_s_p50", "latency_s_p95", "total_tokens_mean"), 1.2345)
            summary.append(
                key
                | means
                | {"n": jobs, "n_valid": jobs * ok, "n_failed": jobs * (not ok)}
                | {"flops_mean": 7.654e9 if ok else None, "usd_mean": None}
            )
            if not ok:
                failures.append(
                    key | {"error_class": "Timeout<b>", "n": jobs, "share": 1.0, "example": EVIL}
                )
                continue
            bound = {"mean": quality, "mean_low": 0.1234, "mean_high": 0.9876}
            intervals += [key | bound | {"metric": name} for name in ("reward", "latency_s")]
            frontier.append(
                key
                | {"level": "all", "cost_metric": "flops", "quality": quality, "n": jobs}
                | {"cost": 1e9 * (number + 1), "on_frontier": True, "dominated_by": None}
            )
            if number and "baseline.greedy" in names and "baseline.greedy" not in failing:
                comparisons.append(
                    {"model": model, "benchmark": "crm_sim", "metric": "reward"}
                    | {"policy_a": policy, "variant_a": variant, "n_pairs": jobs}
                    | {"policy_b": "baseline", "variant_b": "greedy", "difference": 0.0417}
                    | {"difference_low": -0.0831, "difference_high": 0.1673, "p_adjusted": 0.4321}
                    | {"test": "mcnemar", "n_needed": 777, "verdict": "undecided"}
                )
    key = ["model", "benchmark", "policy", "variant"]
    chosen = [{**row, "budget": row["cost"]} for row in frontier]
    return {
        "all_scores": pd.DataFrame(scores).astype({"reward": "Float64", "latency_s": "Float64"}),
        "bench_summary": pd.DataFrame(summary),
        "intervals": pd.DataFrame(
            intervals, columns=[*key, "metric", "mean", "mean_low", "mean_high"]
        ),
        "frontier": pd.DataFrame(
            frontier,
            columns=[
                *key,
                "level",
                "cost_metric",
                "quality",
                "n",
                "cost",
                "on_frontier",
                "dominated_by",
            ],
        ),
        "choices": pd.DataFrame(
            chosen, columns=[*key, "level", "cost_metric", "budget", "quality", "cost"]
        ),
        "comparisons": pd.DataFrame(
            comparisons,
            columns=[
                "model",
                "benchmark",
                "metric",
                "policy_a",
                "variant_a",
                "policy_b",
                "variant_b",
                "n_pairs",
                "difference",
                "difference_low",
                "difference_high",
                "p_adjusted",
                "test",
                "n_needed",
                "verdict",
            ],
        ),
        "scaling": pd.DataFrame(
            columns=["model", "benchmark", "pool", "curve", "k", "value", "low", "high"]
        ),
        "failures": pd.DataFrame(failures, columns=[*key, "error_class", "n", "share", "example"]),
    }


CASES = {
    "plain": {},
    "two models": {"models": ("a", "b $x")},
    "no baseline": {"names": ("best_of_n.verifier", "cascade.confidence")},
    "one variant": {"names": ("baseline.greedy",)},
    "one sample": {"jobs": 1},
    "some failures": {"failing": ("cascade.confidence",)},
    "all failures": {"failing": ("baseline.greedy", "best_of_n.verifier", "cascade.confidence")},
}


def report(found: dict[str, pd.DataFrame]) -> str:
    stills = {}
    for picture in PICTURES:
        buffer = io.BytesIO()
        picture.still(*(found[name] for name in picture.tables)).savefig(buffer, dpi=40)
        stills[picture.name] = buffer.getvalue()
    facts = {"run": "r", "models": "m", "responses": "1", "commit": "abc"}
    return render(found, stills, facts, f"note: {EVIL}")


class Page(HTMLParser):
    """What a browser would load, and what it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.shown += data + "\n"


@pytest.mark.parametrize("case", CASES)
def test_report_shows_everything_and_loads_nothing(case: str) -> None:
    found = tables(**CASES[case])
    text = report(found)
    page = Page(text)
    assert all(load.startswith(("data:image/png;base64,", "#")) for load in page.loads)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text
    assert EVIL in page.shown, "text of models is shown as it is, and never run"
    for row in found["bench_summary"].to_dict("records"):
        assert f"\n{row['policy']}.{row['variant']}\n" in page.shown
    for row in found["failures"].to_dict("records"):
        assert row["error_class"] in page.shown
    for row in found["intervals"].query("metric == 'reward'").to_dict("records"):
        assert f"{row['mean']:.4g} [0.123, 0.988]" in page.shown
    for row in found["comparisons"].to_dict("records"):
        assert f"{row['difference']:+.3f} [-0.083, +0.167]" in page.shown


def test_what_is_not_decided_is_called_undecided() -> None:
    page = Page(report(tables()))
    assert "No variant is shown to answer better" in page.shown
    assert "Undecided: best_of_n.verifier" in page.shown
    assert "about 777 questions would be needed" in page.shown
    assert "There is no baseline" in Page(report(tables(**CASES["no baseline"]))).shown
    assert "No response is valid" in Page(report(tables(**CASES["all failures"]))).shown


def test_a_variant_that_one_benchmark_lacks_is_named_there() -> None:
    found = tables()
    everywhere = {name: table.copy() for name, table in found.items()}
    for name, table in found.items():
        if "benchmark" not in table or table.empty:
            continue
        policy = table["policy_a" if "policy_a" in table else "policy"]
        other = table[policy != "cascade"].assign(benchmark="worf_sim")
        everywhere[name] = pd.concat([table, other], ignore_index=True)
    line = "Not run on worf_sim, whose answers have no marker: cascade.confidence."
    assert not_run(everywhere["bench_summary"], "m", "worf_sim") == ["cascade.confidence"]
    assert not_run(everywhere["bench_summary"], "m", "crm_sim") == []
    assert Page(report(everywhere)).shown.count(line) == 1
    assert "Not run" not in Page(report(found)).shown


@pytest.mark.parametrize("case", CASES)
def test_interactive_pictures_have_the_colours_of_their_policies(case: str) -> None:
    found = tables(**CASES[case])
    for picture in PICTURES:
        drawn = json.loads(picture.interactive(*(found[name] for name in picture.tables)).to_json())
        for trace in drawn["data"]:
            policy = (trace.get("name") or "").partition(".")[0]
            tints = [(trace.get(part) or {}).get("color") for part in ("line", "marker")]
            if policy in COLOURS:
                assert COLOURS[policy] in tints
