"""Names of points stand beside them or in a legend, where nothing strikes them through."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Curve
from matplotlib.text import Annotation, Text

from ttc_bench.reporting.drawing import interactive, still
from ttc_bench.reporting.drawing.figure import FAINT, Axis, Dot, Dots, Figure, Line, Panel


def panel(count: int, seed: int, choice: int = 0) -> Panel:
    """As many points as a whole suite has, and the frontier through the best of them."""
    rng = np.random.default_rng(seed)
    xs, ys = rng.lognormal(0, 0.7, count), rng.uniform(0.3, 0.95, count)
    best = [i for i in range(count) if not any(ys[j] >= ys[i] for j in np.flatnonzero(xs < xs[i]))]
    dots = [
        Dot(float(xs[i]), float(ys[i]), f"policy_{i}.variant_{i}", "#d70e73", strong=i in best)
        for i in sorted(range(count), key=lambda i: (i not in best, -ys[i]))
    ]
    steps = sorted((dot for dot in dots if dot.strong), key=lambda dot: float(dot.x))
    line = Line([float(d.x) for d in steps], [float(d.y) for d in steps], FAINT, steps=True)
    axes = Axis("cost", scale="decades"), Axis("reward")
    marks = [line, Dots(dots, "y", 1.0, named=True)]
    return Panel(0, 0, "", *axes, marks, choice=choice, choice_name=f"view {choice}")


def boxes(axes: Any) -> dict[str, Any]:
    axes.figure.draw_without_rendering()
    renderer = axes.figure.canvas.get_renderer()
    names = [text for text in axes.texts if isinstance(text, Annotation)]
    return {name.get_text(): Text.get_window_extent(name, renderer) for name in names}


@pytest.mark.parametrize("seed", range(3))
def test_every_point_of_a_still_has_its_name_beside_the_frontier(seed: int) -> None:
    shown = panel(22, seed)
    (axes,) = still.draw(Figure([shown], (6.6, 4.4))).axes
    line, dots = shown.marks
    assert isinstance(line, Line)
    assert isinstance(dots, Dots)
    named = boxes(axes)
    assert set(named) == {dot.name for dot in dots.dots}
    corners = [corner for x, y, before in zip(line.x, line.y, [line.y[0], *line.y], strict=False)
               for corner in ((x, before), (x, y))]  # fmt: skip
    curve = Curve(axes.transData.transform(corners))
    assert not [name for name, box in named.items() if curve.intersects_bbox(box, filled=False)]
    assert not [pair for pair in combinations(named.values(), 2) if pair[0].overlaps(pair[1])]
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 5 for box in named.values())


def test_every_point_is_in_the_legend_of_its_view() -> None:
    shown = [panel(22, 0), panel(9, 1, choice=1)]
    web = interactive.draw(Figure(shown, (6.6, 4.4)), "Names")
    (menu,) = web.layout.updatemenus
    for view, button in zip(shown, menu.buttons, strict=True):
        visible = button.args[0]["visible"]
        listed = [t.name for t, is_on in zip(web.data, visible, strict=True)
                  if is_on and t.showlegend]  # fmt: skip
        dots = view.marks[1]
        assert isinstance(dots, Dots)
        assert sorted(listed) == sorted(dot.name for dot in dots.dots)


@pytest.mark.parametrize("seed", range(5))
def test_names_on_the_frontier_are_never_where_its_line_goes(seed: int) -> None:
    shown = panel(22, seed)
    web = interactive.draw(Figure([shown], (6.6, 4.4)), "Names")
    sides = {trace.name: trace.textposition for trace in web.data if "text" in (trace.mode or "")}
    dots = shown.marks[1]
    assert isinstance(dots, Dots)
    assert sides
    assert set(sides) <= {dot.name for dot in dots.dots if dot.strong}
    assert set(sides.values()) <= {"top left", "bottom right"}


def test_names_stand_where_there_is_room_and_are_not_cut_off() -> None:
    places = (1.0, 1.1, 5.0, 9.0)
    dots = [Dot(x, x, f"speculative.prompt_lookup[k={x}]", "#222222") for x in places]
    web = interactive.draw(
        Figure([Panel(0, 0, "", marks=[Dots(dots, "y", 1.0, named=True)])], (6, 4)), "Names"
    )
    sides = {trace.x[0]: trace.textposition for trace in web.data}
    assert sides[1.0] == "bottom right", "to the left it would be cut off"
    assert sides[1.1] is None, "it would cover its neighbour: the legend names it"
    assert sides[9.0] == "top left"
    assert not any(trace.cliponaxis for trace in web.data)


def test_ticks_of_a_logarithmic_axis_are_whole_numbers_and_several() -> None:
    for low, high in ((0.6, 1.4), (0.2, 30.0), (3.0, 4.0), (1e-3, 2e4)):
        dots = [Dot(x, 0.5, f"at {x}", "#222222") for x in (low, high)]
        axis = Axis("cost", scale="decades")
        figure = Figure([Panel(0, 0, "", axis, marks=[Dots(dots, "y", 1.0)])], (6, 4))
        (axes,) = still.draw(figure).axes
        ends = axes.get_xlim()
        ticks = [t for t in axes.get_xticks() if ends[0] <= t <= ends[1]]
        assert 2 <= len(ticks) <= 20, (low, high)
        told = [axes.xaxis.get_major_formatter()(tick) for tick in ticks]
        assert [float(text) for text in told] == pytest.approx(ticks, rel=1e-4)
        assert interactive.draw(figure, "").layout.xaxis.tickformat == "~g"
