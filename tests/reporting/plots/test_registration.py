"""A plot that a run could not draw, or not keep, is refused where it is registered."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ttc_bench.reporting.drawing.figure import Figure
from ttc_bench.reporting.plots import PLOTS, Plot, plot

FACTS: dict[str, Any] = {"title": "t", "caption": "c"}


def one(scores: Any) -> Figure:
    """Return a figure of one table."""
    return Figure([], (1.0, 1.0))


def two(scores: Any, more: Any) -> Figure:
    """Return a figure of two tables."""
    return Figure([], (1.0, 1.0))


def unannotated(scores: Any):  # type: ignore[no-untyped-def]
    """Return who knows what."""


def text(scores: Any) -> str:
    """Return a text."""
    return "a figure"


@pytest.mark.parametrize(
    ("name", "tables", "describe", "fault"),
    [
        ("", ("a",), one, "lower case letters"),
        ("a/b_plot", ("a",), one, "lower case letters"),
        ("a.b_plot", ("a",), one, "lower case letters"),
        ("my plot", ("a",), one, "lower case letters"),
        ("words", ("a",), one, "end its name in _plot"),
        ("new_plot", "all_scores", one, "no names of tables"),
        ("new_plot", (), one, "no names of tables"),
        ("new_plot", ("a", "b"), one, "of 2 tables too many positional"),
        ("new_plot", ("a",), two, "of 1 tables missing a required"),
        ("new_plot", ("a",), unannotated, "annotated to return a Figure"),
        ("new_plot", ("a",), text, "annotated to return a Figure"),
    ],
)
def test_what_would_die_later_is_refused(name: str, tables: Any, describe: Any, fault: str) -> None:
    with pytest.raises((TypeError, ValueError), match=fault):
        plot(name, tables=tables, **FACTS)(describe)
    assert name not in PLOTS


def test_what_a_plot_describes_is_a_figure() -> None:
    with pytest.raises(TypeError, match="plot x_plot describes 'a figure': no figure"):
        Plot("x_plot", tables=("a",), describe=text, **FACTS).draw(pd.DataFrame())  # type: ignore[arg-type]
