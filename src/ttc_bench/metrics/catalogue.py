"""The catalogue of metrics as a Markdown table.

``python -m ttc_bench.metrics.catalogue`` prints it; with a file name it rewrites the part of
that file between the marks ``<!-- metrics: begin -->`` and ``<!-- metrics: end -->``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ttc_bench.metrics.base import METRICS, MetricSpec, all_metrics

BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"

_ARROWS = {True: "higher", False: "lower", None: "-"}


def catalogue() -> str:
    """Return a Markdown table of every metric, under a line that counts them."""
    rows = [
        "| family | metric | unit | range | better | definition | source |",
        "|---|---|---|---|---|---|---|",
        *(_row(spec) for spec in all_metrics()),
    ]
    off = [f"`{name}`" for name, entry in METRICS.items() if not entry.default]
    note = f"; off unless asked for: {', '.join(off)}" if off else ""
    count = f"{len(rows) - 2} metrics in {len(METRICS)} families{note}."
    return "\n".join([count, "", *rows]) + "\n"


def insert(text: str) -> str:
    """Return ``text`` with the catalogue between its marks; without marks it stays as it is."""
    if BEGIN not in text or END not in text:
        return text
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n{catalogue()}{END}{after}"


def _row(spec: MetricSpec) -> str:
    low, high = ("open" if end is None else f"{end:g}" for end in spec.range)
    cells = (
        spec.family,
        f"`{spec.name}`",
        spec.unit,
        f"{low} to {high}",
        _ARROWS[spec.higher_is_better],
        spec.definition,
        spec.source,
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def main(arguments: list[str]) -> None:
    """Print the catalogue, or write it into the files named."""
    if not arguments:
        print(catalogue(), end="")
    for name in arguments:
        path = Path(name)
        path.write_text(insert(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
