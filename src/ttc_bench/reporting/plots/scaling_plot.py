"""Scaling curves: what further samples of a question buy."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.drawing.figure import FAINT, Axis, Figure, Line, Panel
from ttc_bench.reporting.plots import plot
from ttc_bench.types import DataFrame

NOTHING = "No variant of this run drew samples and noted their pool, which a curve needs."


class Look(NamedTuple):
    """How a curve is drawn.

    Attributes:
        policy: The policy whose colour it has; ``None`` knows the answer, as no policy does.
        dash: Its line style.
    """

    policy: str | None
    dash: Literal["solid", "dash", "dot"]


LOOKS = {
    "pass@k": Look(None, "solid"),
    "oracle@k": Look(None, "dash"),
    "majority@k": Look("self_consistency", "solid"),
    "best_of@k:verifier": Look("best_of_n", "solid"),
    "best_of@k:likelihood": Look("best_of_n", "dash"),
}
"""Looks of the known curves; others are dotted, in the colour of best_of_n."""


@plot(
    "scaling_plot",
    title="Scaling with the number of samples",
    caption="Expected reward when only k of the drawn samples were there, over all subsets; bars"
    " are intervals over questions. Grey curves know the answer: pass@k is the chance that one of k"
    " is wholly right, oracle@k the best reward among k.",
    tables=("scaling",),
    rank=3,
)
def scaling_plot(scaling: DataFrame) -> Figure:
    """Return the curves, one row of panels per model and sampling."""
    pools = sorted(set(zip(scaling["model"], scaling["pool"], strict=True)))
    panels = []
    for row, (model, pool) in enumerate(pools):
        own = scaling[(scaling["model"] == model) & (scaling["pool"] == pool)]
        for column, benchmark in enumerate(sorted(set(scaling["benchmark"]))):
            curves = own[own["benchmark"] == benchmark].groupby("curve", sort=True)
            marks = [_line(str(name), curve) for name, curve in curves]
            title = f"{benchmark}, {model}, {pool}"
            axes = Axis("samples drawn per question, k", "doublings"), Axis("expected reward")
            panels.append(Panel(row, column, title, *axes, marks, NOTHING))
    return Figure(panels, (6.4, 4.0), NOTHING)


def _line(name: str, curve: DataFrame) -> Line:
    look = LOOKS.get(name, Look("best_of_n", "dot"))
    own = curve.sort_values("k")
    k, value, low, high = (own[column].astype(float).tolist() for column in _COLUMNS)
    tint = colour(look.policy) if look.policy else FAINT
    return Line(k, value, tint, name, low, high, look.dash, band=look.policy is not None)


_COLUMNS = ("k", "value", "low", "high")
