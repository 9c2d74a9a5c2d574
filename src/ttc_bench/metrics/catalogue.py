"""The catalogue of metrics as a page: ``python -m ttc_bench.metrics.catalogue`` prints it."""

from __future__ import annotations

from ttc_bench.metrics.base import METRICS, MetricSpec, all_metrics

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


if __name__ == "__main__":
    print(catalogue(), end="")
