"""The columns of the table that a run prints, and which of them a terminal has room for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ttc_bench.reporting.params import Order
from ttc_bench.reporting.row_dicts import Row, full_name
from ttc_bench.reporting.sheet import GAP, Sheet, known, number
from ttc_bench.types import BASELINE


class Entry(NamedTuple):
    """What is known of a variant on a benchmark.

    Attributes:
        row: Its row of the summary.
        reward: Its mean reward and the difference to the baseline, with intervals.
        speed: How many times as fast as plain decoding it is, and its share of that one's time to
            first token, with their intervals.
        verdict: Its verdict against the baseline; null for the baseline.
        same_share: Share of its answers that are the baseline's; null for the baseline.
    """

    row: Row
    reward: Row
    speed: Row
    verdict: Any
    same_share: Any = None

    @property
    def is_baseline(self) -> bool:
        """Whether the others are compared with it."""
        return bool(self.row["policy"] == BASELINE[0])


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        heading: Its name.
        rank: Its importance, from 0: where there is no room for all, the last ones go.
        text: Returns its cell.
        is_text: Whether it is flush left.
    """

    heading: str
    rank: int
    text: Callable[[Entry], str]
    is_text: bool = False


DETAILS: dict[str, tuple[str, Callable[[float], str]]] = {
    "acceptance_rate_mean": ("accept", lambda v: f"{v:.0%}"),
    "calls_mean": ("calls", lambda v: f"{v:.1f}"),
    "prompt_share_kept_mean": ("prompt", lambda v: f"{v:.0%}"),
    "kv_share_kept_mean": ("KV", lambda v: f"{v:.0%}"),
    "padding_share_mean": ("pad", lambda v: f"{v:.0%}"),
    "layers_per_token_mean": ("layers/tok", lambda v: f"{v:.1f}"),
}
"""What a policy changes; shown where it differs from a plain call."""

PLAIN = {
    "kv_share_kept_mean": 1.0,
    "prompt_share_kept_mean": 1.0,
    "padding_share_mean": 0.0,
    "calls_mean": 1.0,
}


def _detail(entry: Entry) -> str:
    for column, (name, form) in DETAILS.items():
        value = entry.row.get(column)
        if value is not None and known(value) and value != PLAIN.get(column):
            return f"{name} {form(value)}"
    return ""


def valid(entry: Entry) -> str:
    """Return how many responses are valid, marked where a call was replayed."""
    row = entry.row
    return f"{row['n_valid']}/{row['n']}{'r' if row['n_replayed'] else ' '}"


def _bounds(row: Row, name: str, form: str) -> str:
    ends = row.get(f"{name}_low"), row.get(f"{name}_high")
    return form.format(*ends) if all(map(known, ends)) else "-"


def _of_rivals(text: Callable[[Entry], str]) -> Callable[[Entry], str]:
    """Return a cell that the baseline, which is compared with nothing, leaves empty."""
    return lambda entry: "" if entry.is_baseline else text(entry)


def _mean(name: str, form: str, factor: float = 1.0) -> Callable[[Entry], str]:
    return lambda entry: number(entry.row.get(name), form, factor)


_speed = _of_rivals(lambda e: number(e.speed.get("speed"), "{:.2f}x"))
_ttft = _of_rivals(lambda e: number(e.speed.get("ttft_ratio"), "{:.2f}x"))
_ttft_ends = _of_rivals(lambda e: _bounds(e.speed, "ttft_ratio", "[{:.2f}, {:.2f}]"))
_speed_ends = _of_rivals(lambda e: _bounds(e.speed, "speed", "[{:.2f}, {:.2f}]"))
same = _of_rivals(lambda e: number(e.same_share, "{:.0%}"))


def speed(entry: Entry) -> str:
    """Return the speed beside plain decoding with its interval; nothing for the baseline."""
    return _with_ends(_speed(entry), _speed_ends(entry))


def ttft(entry: Entry) -> str:
    """Return the share of plain decoding's time to first token; nothing for the baseline."""
    return _with_ends(_ttft(entry), _ttft_ends(entry))


def _with_ends(ratio: str, ends: str) -> str:
    return ratio if ends in ("", "-") else f"{ratio} {ends}"


COLUMNS = (
    Column("policy.variant", 0, lambda e: full_name(e.row), is_text=True),
    Column("valid", 7, valid),
    Column("reward", 1, lambda e: number(e.reward.get("mean"), "{:.3f}")),
    Column("[95%]", 12, lambda e: _bounds(e.reward, "mean", "[{:.2f}, {:.2f}]")),
    Column("vs base", 3, _of_rivals(lambda e: number(e.reward.get("difference"), "{:+.3f}"))),
    Column("[95%]", 9, _of_rivals(lambda e: _bounds(e.reward, "difference", "[{:+.2f}, {:+.2f}]"))),
    Column("verdict", 2, lambda e: str(e.verdict) if known(e.verdict) else "", is_text=True),
    Column("p50 s", 10, _mean("latency_s_p50", "{:.3f}")),
    Column("speed", 4, _speed),
    Column("[95%]", 11, _speed_ends),
    Column("same", 8, same),
    Column("TTFT", 14, _ttft),
    Column("[95%]", 15, _ttft_ends),
    Column("tokens", 9, _mean("total_tokens_mean", "{:.0f}")),
    Column("GFLOP", 6, _mean("flops_mean", "{:.2f}", 1e-9)),
    Column("US$", 5, _mean("usd_mean", "{:.2g}")),
    Column("detail", 13, _detail, is_text=True),
)


def telling(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns that tell anything: what nobody knows, or pays, has none."""
    return [
        column
        for column in COLUMNS
        if any(column.text(entry).strip() not in ("", "-", "0") for entry in entries)
    ]


def fitting(entries: Sequence[Entry], width: int | None) -> list[Column]:
    """Return the `telling` columns that fit beside each other, the most important ones first.

    Args:
        entries: All variants that are shown.
        width: Most characters of a line; ``None`` is any number.
    """
    there = telling(entries)
    taken: set[Column] = set()
    room = math.inf if width is None else width + len(GAP)
    for column in sorted(there, key=lambda column: column.rank):
        cells = (column.heading, *(column.text(entry) for entry in entries))
        needed = max(map(len, cells)) + len(GAP)
        if not taken or needed <= room:
            taken.add(column)
            room -= needed
    return [column for column in there if column in taken]


def sheet(entries: Sequence[Entry], columns: Sequence[Column]) -> str:
    """Return a row per variant as aligned text."""
    headings = [column.heading for column in columns]
    cells = [[column.text(entry) for column in columns] for entry in entries]
    return Sheet(headings, cells).aligned({c.heading for c in columns if c.is_text})


def ordered(entries: Sequence[Entry], order: Order) -> list[Entry]:
    """Return the variants by policy, the baseline first; or from the best mean reward on."""
    return sorted(entries, key=SORTED_BY[order])


def _by_reward(entry: Entry) -> tuple[float, float]:
    reward, latency_s = entry.row["reward_mean"], entry.row["latency_s_mean"]
    return (
        -reward if known(reward) else math.inf,
        latency_s if known(latency_s) else math.inf,
    )


SORTED_BY: Mapping[Order, Callable[[Entry], Any]] = {
    "policy": lambda entry: (not entry.is_baseline, entry.row["policy"]),
    "best": _by_reward,
}
"""What rows are sorted by; of equal rewards the faster one comes first."""
