"""Scaling curves: what further samples of a question buy."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.plots.base import Picture, canvas, finish, say, styled
from ttc_bench.types import DataFrame

TITLE = "Scaling with the number of samples"

NOTHING = "No policy of this run drew several samples of a question."


class Look(NamedTuple):
    """How a curve is drawn.

    Attributes:
        policy: The policy whose colour it has; ``None`` is a bound that no policy reaches.
        dash: Line style of Matplotlib.
        web: The same of Plotly.
    """

    policy: str | None
    dash: str
    web: str


LOOKS = {
    "pass@k": Look(None, "-", "solid"),
    "oracle@k": Look(None, "--", "dash"),
    "majority@k": Look("self_consistency", "-", "solid"),
    "best_of@k:verifier": Look("best_of_n", "-", "solid"),
    "best_of@k:likelihood": Look("best_of_n", "--", "dash"),
}
"""Looks of the known curves; others are dotted, in the colour of best_of_n."""

BOUND = "#8a8a8a"


def look_of(curve: str) -> tuple[str, Look]:
    """Return the colour and the look of a curve."""
    look = LOOKS.get(curve, Look("best_of_n", ":", "dot"))
    return (colour(look.policy) if look.policy else BOUND), look


def _rows(scaling: DataFrame) -> tuple[list[tuple[str, str]], list[str]]:
    models = sorted(set(zip(scaling["model"], scaling["pool"], strict=True)))
    return models, sorted(set(scaling["benchmark"]))


@styled
def still(scaling: DataFrame) -> Any:
    """Return the curves, drawn with Matplotlib: one row of panels per model and sampling."""
    rows, benchmarks = _rows(scaling)
    figure, axes = canvas(len(rows), len(benchmarks), (6.4, 4.0))
    if not rows:
        say(axes[0][0], NOTHING)
    for y, (model, pool) in enumerate(rows):
        for x, benchmark in enumerate(benchmarks):
            own = axes[y][x]
            own.set_title(benchmark if len(rows) == 1 else f"{benchmark}, {model}, {pool}", size=10)
            part = scaling[(scaling["model"] == model) & (scaling["pool"] == pool)]
            _curves(own, part[part["benchmark"] == benchmark])
    return figure


def _curves(axes: Any, part: DataFrame) -> None:
    if part.empty:
        say(axes, NOTHING)
        return
    ends: list[tuple[float, str, str]] = []
    most = int(part["k"].max())
    for name, curve in part.groupby("curve", sort=True):
        own = curve.sort_values("k").astype({"k": int})
        tint, look = look_of(str(name))
        value, low, high = (own[key].astype(float) for key in ("value", "low", "high"))
        if look.policy:
            axes.fill_between(own["k"], low, high, color=tint, alpha=0.1, lw=0)
        axes.plot(own["k"], value, look.dash, color=tint, lw=2, marker="o", ms=3.5)
        ends.append((float(value.iloc[-1]), str(name), tint))
    axes.set_xscale("log", base=2)
    ticks = [2**power for power in range(most.bit_length())]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("samples drawn per question, k")
    axes.set_ylabel("expected reward")
    low, high = axes.get_ylim()
    for y, (_, name, tint) in zip(spread(ends, 0.06 * (high - low)), sorted(ends), strict=True):
        axes.annotate(name, (1.01, y), xycoords=axes.get_yaxis_transform(), color=tint,
                      va="center", size=9, weight="bold", annotation_clip=False)  # fmt: skip


def spread(ends: list[tuple[float, str, str]], gap: float) -> list[float]:
    """Return heights of labels in rising order, at least ``gap`` apart and near their values."""
    places: list[float] = []
    for value, _, _ in sorted(ends):
        places.append(value if not places else max(value, places[-1] + gap))
    over = (places[-1] - max(value for value, _, _ in ends)) / 2 if places else 0.0
    return [place - over for place in places]


def interactive(scaling: DataFrame) -> Any:
    """Return the curves, drawn with Plotly."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    rows, benchmarks = _rows(scaling)
    titles = [f"{name}, {model}, {pool}" for model, pool in rows for name in benchmarks]
    figure = make_subplots(
        rows=max(len(rows), 1), cols=max(len(benchmarks), 1), subplot_titles=titles or [NOTHING]
    )
    for key, part in scaling.groupby(["model", "pool", "benchmark", "curve"], sort=True):
        model, pool, benchmark, name = (str(value) for value in key)
        place = {"row": rows.index((model, pool)) + 1, "col": benchmarks.index(benchmark) + 1}
        own = part.sort_values("k")
        tint, look = look_of(name)
        value, low, high = (own[column].astype(float) for column in ("value", "low", "high"))
        trace = go.Scatter(
            x=own["k"].astype(int).tolist(),
            y=value.tolist(),
            error_y={
                "array": (high - value).tolist(),
                "arrayminus": (value - low).tolist(),
                "thickness": 0.7,
            },
            mode="lines+markers",
            line={"color": tint, "dash": look.web},
            name=name,
            legendgroup=name,
            showlegend=place == {"row": 1, "col": 1},
        )
        figure.add_trace(trace, **place)
        figure.update_xaxes(type="log", dtick="D1", title="samples drawn per question, k", **place)
    figure.update_yaxes(title="expected reward", col=1)
    return finish(figure, TITLE, 440 * max(len(rows), 1))


PICTURE = Picture(
    name="scaling_plot",
    title=TITLE,
    caption="Expected reward when only k of the drawn samples were there, over all subsets; bands"
    " are intervals over questions. Grey curves are bounds: they know the answer.",
    tables=("scaling",),
    still=still,
    interactive=interactive,
)
