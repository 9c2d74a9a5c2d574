"""Names of points stand beside them or in a legend, where nothing strikes them through."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Curve
from matplotlib.text import Annotation, Text

from ttc_bench.reporting.drawing import interactive, still
from ttc_bench.reporting.drawing.callouts import (
    WIDTH,
    Box,
    Callout,
    Scale,
    beside,
    callouts,
    cost_of,
    mark_of,
    pieces,
    places,
    scales,
    shared,
    with_end,
)
from ttc_bench.reporting.drawing.figure import FAINT, INK, Axis, Dot, Dots, Figure, Line, Panel


def panel(count: int, seed: int, choice: int = 0) -> Panel:
    """As many points as a whole suite has, and the frontier through the best of them."""
    rng = np.random.default_rng(seed)
    xs, ys = rng.lognormal(0, 0.7, count), rng.uniform(0.3, 0.95, count)
    best = [i for i in range(count) if not any(ys[j] >= ys[i] for j in np.flatnonzero(xs < xs[i]))]
    names = ["baseline.greedy", *(f"policy_{i}.variant_{i}" for i in range(1, count))]
    dots = [
        Dot(float(xs[i]), float(ys[i]), names[i], "#d70e73", strong=i in best)
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


Page = tuple[Scale, Scale]

PAGES = [(1.0, 1.0), (1.6, 1.2), (3.0, 1.0), (4.0, 2.0)]
"""Pages, narrow and wide, by the factors of their widths and heights."""


def pages_of(shown: Panel) -> list[Page]:
    """How the dots of a panel lie on each of the pages."""
    dots = dots_of(shown)
    across, up = scales((shown.x, shown.y), dots, 1, reach_of(dots))
    return [
        (across._replace(length=across.length * wide), up._replace(length=up.length * high))
        for wide, high in PAGES
    ]


def reach_of(dots: list[Dot]) -> tuple[float, float]:
    heights = [float(dot.y) for dot in dots]
    return min(heights), max(heights)


def named_in(shown: Panel) -> dict[str, Callout]:
    """The texts of an interactive figure, by the dots that they name."""
    traces = interactive.draw(Figure([shown], (6.6, 4.4)), "Names").data
    named = [trace for trace in traces if "text" in (trace.mode or "")]
    return {
        one.legendgroup: Callout(one.text[-1], one.x[-1], one.y[-1], one.textposition, False)
        for one in named
    }


def on(page: Page, placed: dict[str, Callout], whole: bool = False) -> dict[str, Box]:
    """Where texts are on a page, with the places that they stand beside or without."""
    boxes = {}
    for name, one in placed.items():
        end = page[0].pixel(one.x), page[1].pixel(one.y)
        box = beside(end, one.side, one.text)
        boxes[name] = with_end(box, end) if whole else box
    return boxes


def dots_of(shown: Panel) -> list[Dot]:
    return [dot for mark in shown.marks if isinstance(mark, Dots) for dot in mark.dots]


@pytest.mark.parametrize("seed", range(5))
def test_the_frontier_and_the_baseline_are_named_and_nothing_strikes_them_through(
    seed: int,
) -> None:
    shown = panel(22, seed)
    line, own = shown.marks[0], dots_of(shown)
    assert isinstance(line, Line)
    placed = named_in(shown)
    told = {dot.name for dot in own if dot.strong or dot.name.startswith("baseline.")}
    assert set(placed) == told
    assert len(told) > 1
    for page in pages_of(shown):
        named = on(page, placed).values()
        assert not any(shared(one, other) for one, other in combinations(named, 2))
        assert not any(shared(box, piece) for box in named for piece in pieces(line, page))


@pytest.mark.parametrize("seed", [6, 9])
def test_a_far_name_ends_at_no_other_dot(seed: int) -> None:
    """There it would be taken for the name of that one."""
    shown = panel(22, seed)
    dots, (across, up) = dots_of(shown), pages_of(shown)[0]
    placed = callouts(dots, dots[:6], [], (across, up))
    far = {name: (one.x, one.y) for name, one in placed.items() if one.is_far}
    assert far
    for name, (x, y) in far.items():
        for dot in dots:
            aside = abs(across.pixel(float(dot.x)) - across.pixel(x))
            above = abs(up.pixel(float(dot.y)) - up.pixel(y))
            assert dot.name == name or max(aside, above) >= 5, (name, dot.name)


@given(st.lists(st.tuples(st.floats(0.01, 1e3), st.floats(0, 1)), min_size=1, max_size=9,
                unique_by=lambda place: place[0]))  # fmt: skip
def test_names_that_cover_nothing_on_a_narrow_page_cover_nothing_on_a_wide_one(
    places: list[tuple[float, float]],
) -> None:
    dots = [Dot(x, y, f"policy_{n}.of_its_own", INK) for n, (x, y) in enumerate(places)]
    axes = Axis("cost", scale="decades"), Axis("reward")
    narrow, *others = pages_of(Panel(0, 0, "", *axes, marks=[Dots(dots, "y", 1.0)]))
    placed = callouts(dots, dots, [], narrow)
    assert set(placed) == {dot.name for dot in dots}
    boxes = on(narrow, placed, whole=True)
    apart = [(a, b) for a, b in combinations(boxes, 2) if not shared(boxes[a], boxes[b])]
    for page in others:
        wide = on(page, placed, whole=True)
        assert not [(a, b) for a, b in apart if shared(wide[a], wide[b]) > 1e-6]


@given(st.lists(st.tuples(st.floats(0.01, 1e3), st.floats(0, 1)), min_size=1, max_size=9))
def test_no_place_that_was_not_tried_is_better(ends: list[tuple[float, float]]) -> None:
    """The search ends where what is left costs more by its distance alone."""
    dots = [Dot(x, y, f"policy_{n}.of_its_own", INK) for n, (x, y) in enumerate(ends)]
    axes = Axis("cost", scale="decades"), Axis("reward")
    page = scales(axes, dots, 1, (0.0, 1.0))
    taken: list[tuple[str, Box]] = []
    for name, callout in callouts(dots, dots, [], page).items():
        dot = next(dot for dot in dots if dot.name == name)
        others = [("dot", mark_of(other, page)) for other in dots if other.name != name]
        costs = {
            place: distance + cost_of(at, [*taken, *others], page, place.is_far, np.inf)
            for distance, place, at in places(dot, page)
        }
        assert costs[callout] == min(costs.values())
        taken.append(("name", on(page, {name: callout}, whole=True)[name]))


@pytest.mark.parametrize("x", [float("nan"), float("inf"), -float("inf")])
def test_a_dot_that_lies_nowhere_takes_no_name_from_the_others(x: float) -> None:
    dots = [Dot(x, 0.5, "a.lost", INK), Dot(1.0, 0.2, "b.here", INK), Dot(2.0, 0.9, "c.too", INK)]
    page = Scale(1.0, 2.0, 480.0), Scale(0.0, 1.0, 330.0)
    placed = callouts(dots, dots, [], page)
    others = callouts(dots[1:], dots[1:], [], page)
    assert {name: placed[name] for name in others} == others
    assert placed["a.lost"].text == "a.lost"


def test_names_are_not_cut_off_and_go_with_their_dots() -> None:
    places = (1.0, 1.1, 5.0, 9.0)
    dots = [Dot(x, x, f"speculative.prompt_lookup[k={x}]", INK) for x in places]
    shown = Panel(0, 0, "", marks=[Dots(dots, "y", 1.0, named=True)])
    boxes = on(pages_of(shown)[0], named_in(shown))
    assert set(boxes) == {dot.name for dot in dots}
    assert not any(shared(one, other) for one, other in combinations(boxes.values(), 2))
    assert all(box[0] >= 0 and box[2] <= WIDTH for box in boxes.values())
    web = interactive.draw(Figure([shown], (6, 4)), "Names")
    assert not any(trace.cliponaxis for trace in web.data)
    for dot in dots:
        own = [trace for trace in web.data if trace.legendgroup == dot.name]
        assert [trace.showlegend for trace in own] == [False, True], "the legend hides both"


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
