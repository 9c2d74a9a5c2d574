"""The plots and the report: complete, self-contained, and the same in every form."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ttc_bench.metrics.base import all_metrics
from ttc_bench.reporting.colours import COLOURS
from ttc_bench.reporting.decision import decide, headline, lines, sentences
from ttc_bench.reporting.drawing import interactive, still
from ttc_bench.reporting.drawing.figure import INK, Axis, Cells, Dot, Dots, Figure, Line, Panel
from ttc_bench.reporting.drawing.words import finding
from ttc_bench.reporting.floors import floors
from ttc_bench.reporting.html import render, summary_sheet
from ttc_bench.reporting.params import AggregateParams, DecideParams
from ttc_bench.reporting.plots import plots
from ttc_bench.reporting.sheet import Sheet
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.table import absent_lines, not_run
from ttc_bench.reporting.verdicts import verdicts

EVIL = "<script>alert(1)</script> $x^ & <img src=http://evil.example/x.png>"


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
                | {"n_replayed": 0, "latency_s_nulls": 0}
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
    all_scores = (
        pd.DataFrame(scores)
        .reindex(columns=[*dict.fromkeys([*scores[0], *(spec.name for spec in all_metrics())])])
        .astype({"reward": "Float64", "latency_s": "Float64"})
        .copy()
    )
    words = verdicts(all_scores, no_speeds(), AggregateParams())
    return {
        "all_scores": all_scores,
        "verdicts": words,
        "decision": decide(words, DecideParams()),
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
        "speeds": no_speeds(),
        "floors": floors([]),
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


def no_speeds() -> pd.DataFrame:
    return speeds(pd.DataFrame(columns=["model", "benchmark"]), AggregateParams())


CASES = {
    "plain": {},
    "two models": {"models": ("a", "b $x")},
    "no baseline": {"names": ("best_of_n.verifier", "cascade.confidence")},
    "one variant": {"names": ("baseline.greedy",)},
    "one sample": {"jobs": 1},
    "some failures": {"failing": ("cascade.confidence",)},
    "all failures": {"failing": ("baseline.greedy", "best_of_n.verifier", "cascade.confidence")},
}


@cache
def tables_of(case: str) -> dict[str, pd.DataFrame]:
    """The tables of a case, which nobody changes."""
    return tables(**CASES[case])


@dataclass(frozen=True)
class Drawn:
    """A plot: its description, its Matplotlib figure and file, its Plotly figure as JSON."""

    figure: Figure
    canvas: Any
    png: bytes
    web: dict[str, Any]


def drawn(marts: Mapping[str, pd.DataFrame]) -> dict[str, Drawn]:
    """Draw every plot by its name, to the last pixel."""
    found = {}
    for plot in plots():
        figure = plot.describe(*(marts[name] for name in plot.tables))
        canvas, buffer = still.draw(figure), io.BytesIO()
        canvas.savefig(buffer, dpi=40)
        web = json.loads(interactive.draw(figure, plot.title).to_json())
        found[plot.name] = Drawn(figure, canvas, buffer.getvalue(), web)
    return found


@cache
def drawn_of(case: str) -> dict[str, Drawn]:
    """Draw every plot of a case, once for all tests that look at it."""
    return drawn(tables_of(case))


def report(marts: dict[str, pd.DataFrame], drawings: Mapping[str, Drawn] | None = None) -> str:
    """Render tables with pictures, which are those of the plain case unless others are handed."""
    stills = {name: own.png for name, own in (drawings or drawn_of("plain")).items()}
    facts = {"run": "r", "models": "m", "responses": "1", "commit": "abc"}
    return render(marts, stills, facts, f"note: {EVIL}")


class Page(HTMLParser):
    """What a browser would load, and what it would show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.alts: list[str] = []
        self.loads: list[str] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.alts += [value or "" for name, value in attrs if (tag, name) == ("img", "alt")]
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.shown += data.replace("\N{NO-BREAK SPACE}", " ") + "\n"


@pytest.mark.parametrize("case", CASES)
def test_report_shows_everything_and_loads_nothing(case: str) -> None:
    marts = tables_of(case)
    text = report(marts, drawn_of(case))
    page = Page(text)
    assert all(load.startswith(("data:image/png;base64,", "#")) for load in page.loads)
    assert not page.tags & {"link", "iframe", "object"}
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert "alert" not in script, "the only one sorts tables"
    assert "url(" not in text
    assert "@import" not in text
    assert EVIL in page.shown, "text of models is shown as it is, and never run"
    for row in marts["bench_summary"].to_dict("records"):
        assert f"\n{row['policy']}.{row['variant']}\n" in page.shown
    for row in marts["failures"].to_dict("records"):
        assert row["error_class"] in page.shown
    for row in marts["intervals"].query("metric == 'reward'").to_dict("records"):
        assert f"{row['mean']:.4g} [0.123, 0.988]" in page.shown
    for row in marts["comparisons"].to_dict("records"):
        assert f"{row['difference']:+.3f} [-0.083, +0.167]" in page.shown


def test_what_people_said_of_these_models_stands_there_and_of_others_does_not() -> None:
    marts = tables()
    without = report({**marts, "human_strengths": pd.DataFrame()})
    assert "What people said" not in without
    strengths = pd.DataFrame(
        {"model": ["m", "other"], "variant": [f"cascade.{EVIL}", "best_of_n.verifier"],
         "n": [40, 9], "strength": [0.8125, 7.77], "strength_low": [0.25, None]}
    )  # fmt: skip
    shown = report({**marts, "human_strengths": strengths})
    section = shown.split('<h2 id="people">')[1].split("<h2")[0]
    assert "0.8125" in section
    assert "40" in section
    assert "7.77" not in section
    assert EVIL not in section
    assert "What people said" not in report({**marts, "human_strengths": strengths[1:]})


def test_the_main_table_tells_speed_sameness_and_replays_as_the_terminal_does() -> None:
    marts = tables()
    marts["bench_summary"]["n_replayed"] = [0, 2, 0]
    marts["bench_summary"]["latency_s_nulls"] = [0, 2, 0]
    key = {"model": "m", "benchmark": "crm_sim", "policy_b": "baseline", "variant_b": "greedy"}
    own = {"policy_a": "best_of_n", "variant_a": "verifier", "n_pairs": 4, "verdict": "cheaper"}
    ratio = {"speed": 1.5625, "speed_low": 1.2, "speed_high": 2.1}
    marts["speeds"] = pd.DataFrame([{**key, **own, **ratio}])
    marts["verdicts"]["same_share"] = 0.75
    sheet = summary_sheet(marts["bench_summary"], marts)
    rows = [dict(zip(sheet.headings, row, strict=True)) for row in sheet.rows]
    base, timed, other = rows
    assert [row["valid"] for row in rows] == ["6/6", "6/6r", "6/6"]
    assert [row["timed"] for row in rows] == ["6", "4", "6"], "of how many answers a p50 is"
    assert timed["speed"] == "1.56x [1.20, 2.10]"
    assert [row["same"] for row in rows] == ["-", "75%", "75%"]
    assert base["speed"] == other["speed"] == "-"


def test_every_picture_has_its_finding_in_words_and_none_is_empty() -> None:
    alts = Page(report(tables_of("plain"))).alts
    shown = [plot for plot in plots() if not drawn_of("plain")[plot.name].figure.is_empty]
    assert [alt.partition(".")[0] for alt in alts] == [plot.title for plot in shown]
    quality = next(alt for alt in alts if alt.startswith("Quality against cost"))
    assert "mean reward from 0.5 (baseline.greedy) to 0.502 (cascade.confidence)" in quality
    assert "by rising mean GFLOP of a response: baseline.greedy, best_of_n.verifier" in quality
    page = Page(report(tables_of("all failures"), drawn_of("all failures")))
    assert not page.alts
    assert "No variant of this run drew samples and noted their pool" in page.shown
    assert "The cost in FLOPs is not known here" in page.shown or "No response" in page.shown


def test_a_figure_is_told_by_what_is_measured() -> None:
    rows = Axis(names=["a", "b"])
    dots = [Dot(0.25, "a", "a", INK), Dot(0.75, "b", "b", INK)]
    line = Line([1, 4], [0.5, 0.875], INK, "majority@k")
    cells = Cells(np.array([[0.0, 1.0], [np.nan, 0.25]]), "mean reward")
    empty = Panel(0, 1, "other", empty="Nothing here.")
    panels = [
        Panel(0, 0, "first", Axis("latency (s)"), rows, [Dots(dots, "x", 1.0)]),
        empty,
        Panel(1, 0, "", marks=[line, Line([1, 2], [1, 2], INK)]),
        Panel(1, 1, "map", Axis(names=["t", "u"]), rows, [cells]),
        Panel(1, 1, "map", Axis(names=["t", "u"]), rows, [cells], choice=1),
    ]
    assert finding(Figure(panels, (1, 1))) == (
        "first: mean latency from 0.25 (a) to 0.75 (b). other: Nothing here."
        " Majority@k from 0.5 at 1 to 0.875 at 4."
        " map: mean reward over the columns from 0.25 (b) to 0.50 (a)."
    )
    assert not Figure(panels, (1, 1)).is_empty
    assert Figure([empty], (1, 1)).is_empty
    assert finding(Figure([], (1, 1), "No response was scored.")) == "No response was scored."
    blank = Cells(np.full((2, 2), np.nan), "mean reward")
    assert Figure([Panel(0, 0, "map", y=rows, marks=[blank])], (1, 1)).is_empty


def test_the_verdict_stands_beside_the_name_and_intervals_are_never_torn() -> None:
    marts = tables_of("plain")
    sheet = summary_sheet(marts["bench_summary"], marts)
    assert list(sheet.headings[:2]) == ["policy.variant", "verdict"]
    text = report(marts)
    assert "[0.123,\N{NO-BREAK SPACE}0.988]" in text
    assert "[0.123, 0.988]" not in text


def test_columns_of_figures_are_told_from_text_and_empty_ones_left_out() -> None:
    table = Sheet(("name", "n", "US$", "gain"), [["a", "24/24", "0", "-"], ["b", "-", "-", "+1 x"]])
    assert list(table.numeric) == [False, True, True, True]
    assert table.telling().headings == ["name", "n", "gain"]
    assert Sheet(("name", "n"), []).numeric == [False, False]


def test_what_is_not_decided_is_called_undecided() -> None:
    marts = tables(jobs=8)
    variants = ("best_of_n.verifier", "cascade.confidence")
    told = sentences(marts["verdicts"])
    aims = lines(marts["decision"], "m")
    page = Page(report(marts))
    for name, sentence in zip(variants, told, strict=True):
        assert sentence.startswith(f"{name}: undecided")
        assert "+0.000 [" in sentence
        assert "questions would show a difference of 0.05" in sentence
        assert not any(name in line for line in aims)
    for text in (*aims, *told):
        assert text in page.shown


def test_each_reason_to_decide_nothing_is_told_as_itself() -> None:
    headlines = set()
    for case in ("no baseline", "one variant", "all failures"):
        marts = tables_of(case)
        text = headline(marts["decision"], "m", "crm_sim", marts["bench_summary"])
        assert text in Page(report(marts, drawn_of(case))).shown
        headlines.add(text)
    assert len(headlines) == 3


def test_a_variant_that_one_benchmark_lacks_is_named_there() -> None:
    marts = tables()
    everywhere = {name: table.copy() for name, table in marts.items()}
    for name, table in marts.items():
        if "benchmark" not in table or table.empty:
            continue
        policy = table["policy_a" if "policy_a" in table else "policy"]
        other = table[policy != "cascade"].assign(benchmark="worf_sim")
        everywhere[name] = pd.concat([table, other], ignore_index=True)
    summary = everywhere["bench_summary"]
    assert not_run(summary, "m", "worf_sim") == ["cascade.confidence"]
    assert not_run(summary, "m", "crm_sim") == []
    (line,) = absent_lines(summary).values()
    assert "worf_sim" in line
    assert "cascade.confidence" in line
    assert Page(report(everywhere, drawn(everywhere))).shown.count(line) == 1
    assert not absent_lines(marts["bench_summary"])


@pytest.mark.parametrize("case", CASES)
def test_still_and_interactive_plots_show_the_same_values(case: str) -> None:
    for own in drawn_of(case).values():
        dots, places = [], []
        for panel in own.figure.panels:
            for mark in panel.marks:
                if isinstance(mark, Dots):
                    rows = list(panel.y.names)
                    dots += [(dot.x, dot.y) for dot in mark.dots]
                    places += [(dot.x, rows.index(dot.y) if rows else dot.y) for dot in mark.dots]
        marks = [
            line for axes in own.canvas.axes for line in axes.lines if line.get_marker() in "osD^vP"
        ]
        assert sorted(places) == sorted((m.get_xdata()[0], m.get_ydata()[0]) for m in marks)
        traces = [t for t in own.web["data"] if (t.get("mode") or "").startswith("markers")]
        assert sorted(dots) == sorted((t["x"][0], t["y"][0]) for t in traces)
        for trace in traces:
            assert trace["name"] in trace["hovertemplate"]


@pytest.mark.parametrize("case", CASES)
def test_interactive_plots_have_the_colours_of_their_policies(case: str) -> None:
    for own in drawn_of(case).values():
        for trace in own.web["data"]:
            policy = (trace.get("name") or "").partition(".")[0]
            tints = [(trace.get(part) or {}).get("color") for part in ("line", "marker")]
            if policy in COLOURS:
                assert COLOURS[policy] in tints
