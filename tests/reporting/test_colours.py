"""Colours of policies: told apart by everybody, and there for a new policy too."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.policies import VARIANTS
from ttc_bench.reporting.colours import COLOURS, CONTRAST, SPARE, colour, contrast, legible
from ttc_bench.reporting.drawing.figure import FAINT, INK

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
    seen = [oklab(code, MACHADO[sight]) for code in (*COLOURS.values(), *SPARE)]
    apart = [np.linalg.norm(a - b) for a, b in combinations(seen[: len(COLOURS)], 2)]
    assert min(apart) > 0.1
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.08


def test_every_policy_has_a_colour_of_its_own() -> None:
    policies = {cls.policy for cls in VARIANTS.values()}
    assert len({colour(policy) for policy in policies}) == len(policies)


@given(st.text().filter(lambda name: name not in COLOURS))
def test_a_new_policy_gets_a_colour_that_no_other_has(name: str) -> None:
    assert colour(name) in set(SPARE) - set(COLOURS.values())
    assert colour(name) == colour(name)


def channels(code: str) -> list[int]:
    return [int(code[at : at + 2], 16) for at in (1, 3, 5)]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast([255, 255, 255]) == pytest.approx(1)
    assert contrast([0, 0, 0]) == pytest.approx(21)
    assert contrast(channels("#767676")) == pytest.approx(4.54, abs=0.005)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_text_in_any_colour_can_be_read(rgb: list[int]) -> None:
    code = "#" + "".join(f"{part:02x}" for part in rgb)
    assert contrast(channels(legible(code))) >= CONTRAST
    if contrast(rgb) >= CONTRAST:
        assert legible(code) == code


def test_every_text_of_a_figure_can_be_read() -> None:
    drawn = [legible(code) for code in (*COLOURS.values(), *SPARE)] + [INK, FAINT]
    assert min(contrast(channels(code)) for code in drawn) >= CONTRAST
