"""The printed table: it fits, what matters most stays, and nothing is cut off unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.reporting.sheet import wrapped
from ttc_bench.reporting.table import notes
from ttc_bench.reporting.table_columns import COLUMNS, Entry, fitting, ordered, sheet, telling


def entry(name: str, reward: float | None, **figures: Any) -> Entry:
    """A variant with some figures; the others are not known."""
    policy, variant = name.split(".", 1)
    columns = ("latency_s_p50", "latency_s_mean", "total_tokens_mean", "flops_mean", "usd_mean")
    row: Mapping[str, Any] = {
        **dict.fromkeys(columns),
        "policy": policy,
        "variant": variant,
        "n": 24,
        "n_valid": 24,
        "n_replayed": 0,
        "reward_mean": reward,
        **figures,
    }
    bounds = {"mean": reward, "mean_low": 0.1, "mean_high": 0.9, "difference": 0.1}
    more = {"difference_low": -0.1, "difference_high": 0.3}
    speed = {"speed": 1.5, "speed_low": 1.2, "speed_high": 1.8}
    speed |= {"ttft_ratio": 1.1, "ttft_ratio_low": 0.9, "ttft_ratio_high": 1.3}
    return Entry(row, {**bounds, **more}, speed, "undecided", same_share=0.97)


ENTRIES = [
    entry("baseline.greedy", 0.5, latency_s_mean=1.0, total_tokens_mean=150.0, flops_mean=1e9),
    entry("early_exit.fixed_layer[layers=0.75]", 0.4, latency_s_mean=0.8, flops_mean=8e8),
    entry("best_of_n.verifier", 0.75, latency_s_mean=4.0, flops_mean=8e9, acceptance_rate_mean=0.8),
    entry("cascade.agreement", 0.75, latency_s_mean=2.0, flops_mean=3e9),
]


@settings(deadline=None)
@given(st.integers(min_value=45, max_value=250))
def test_a_table_is_no_wider_than_there_is_room_and_the_most_important_columns_stay(
    width: int,
) -> None:
    columns = fitting(ENTRIES, width)
    assert max(map(len, sheet(ENTRIES, columns).splitlines())) <= width
    assert [c.heading for c in columns[:1]] == ["policy.variant"]
    wider = fitting(ENTRIES, width + 30)
    least = {column for column in telling(ENTRIES) if column.rank <= 1}
    assert set(columns) >= least
    assert len(wider) >= len(columns)


def test_beside_the_speed_stands_how_many_answers_are_the_baselines() -> None:
    headings = [column.heading for column in telling(ENTRIES)]
    assert headings.index("same") == headings.index("speed") + 2
    lines = sheet(ENTRIES, telling(ENTRIES)).splitlines()
    assert ["97%" in line for line in lines if "." in line.split()[0]][-4:] == [False, *[True] * 3]


def test_without_a_width_every_column_that_tells_anything_is_there() -> None:
    headings = [column.heading for column in fitting(ENTRIES, None)]
    assert headings == [c.heading for c in COLUMNS if c.heading not in ("US$", "p50 s")]
    paid = [*ENTRIES, entry("baseline.paid", 0.5, usd_mean=0.00012)]
    table = sheet(paid, fitting(paid, 80))
    assert "US$" in table
    assert "0.00012" in table, "what is paid for stays where there is little room"


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("policy", ["greedy", "verifier", "agreement", "fixed_layer[layers=0.75]"]),
        ("best", ["agreement", "verifier", "greedy", "fixed_layer[layers=0.75]", "unknown"]),
    ],
)
def test_rows_are_ordered_as_one_likes(order: Any, names: list[str]) -> None:
    entries = ENTRIES if order == "policy" else [entry("a.unknown", None), *ENTRIES]
    assert [e.row["variant"] for e in ordered(entries, order)] == names


@given(st.text(alphabet="ab -", max_size=300), st.integers(min_value=20, max_value=120))
def test_wrapping_loses_no_word(text: str, width: int) -> None:
    lines = wrapped(text, width, "    ")
    assert lines.split() == text.split()
    longest = max(map(len, text.split()), default=0)
    assert all(len(line) <= max(width, longest + 4) for line in lines.splitlines())


@pytest.mark.parametrize(
    ("names", "told", "untold"),
    [
        (["baseline.greedy"], [], ["Intervals", "speed", "same"]),
        (["baseline.greedy", "cascade.agreement"], ["and speeds hold", "speed is", "same is"], []),
    ],
)
def test_only_what_a_table_shows_is_explained(
    names: list[str], told: list[str], untold: list[str]
) -> None:
    own = [entry(name, 0.5) for name in names]
    text = "\n".join(notes(own, telling(own), 0))
    assert all(words in text for words in told)
    assert not any(words in text for words in untold)
    # Two ratios, both written with an x: each says which side of 1 is better.
    if told:
        assert "timed beside it: more is faster" in text
        assert "over plain decoding's: less is sooner" in text
    replayed = [entry(name, 0.5, n_replayed=1) for name in names]
    assert "which have no time" in "\n".join(notes(replayed, telling(replayed), 0))
    narrow = [column for column in telling(own) if column.heading not in ("speed", "same")]
    assert "speed" not in "\n".join(notes(own, narrow, 0)), "what is left out needs no word"
