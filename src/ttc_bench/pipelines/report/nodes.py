"""From the tables of a run to its pictures and its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ttc_bench.params import plain
from ttc_bench.types import DataFrame

TABLES = (
    "bench_summary",
    "intervals",
    "comparisons",
    "frontier",
    "choices",
    "scaling",
    "failures",
)
"""Tables that the report shows."""


def drawing(name: str) -> Callable[..., tuple[Any, Any]]:
    """Return the node function that draws a picture, still and interactive.

    Args:
        name: Name of the picture; see `ttc_bench.reporting.plots.PICTURES`.
    """

    def draw(*tables: DataFrame) -> tuple[Any, Any]:
        from ttc_bench.reporting.plots import PICTURES

        picture = next(picture for picture in PICTURES if picture.name == name)
        return picture.still(*tables), picture.interactive(*tables)

    draw.__name__ = f"draw_{name}"
    return draw


def write_report(parameters: Mapping[str, Any], all_scores: DataFrame, **inputs: Any) -> str:
    """Return the report as one HTML file.

    Args:
        parameters: All parameters of the run.
        all_scores: Scores of all responses.
        inputs: The `TABLES` as frames, and each picture as the bytes of a PNG file, by name.
    """
    import yaml

    from ttc_bench.reporting.html import render
    from ttc_bench.reporting.provenance import facts

    tables = {name: inputs.pop(name) for name in TABLES}
    text = yaml.safe_dump(plain(parameters), sort_keys=True, allow_unicode=True)
    return render(tables, inputs, facts(all_scores, parameters), text)


TRACKED = ("frontier", "choices", "scaling", "comparisons", "failures")
"""Tables that MLflow shows with the run of the pipeline."""


def log_report(report_html: str, **inputs: Any) -> dict[str, str]:
    """Log pictures, tables and the report to the MLflow run of the pipeline; return its id.

    Args:
        report_html: The report.
        inputs: The `TRACKED` tables, and every picture, still and interactive, by name.
    """
    from ttc_bench.reporting.mlflow_runs import log_parent
    from ttc_bench.reporting.plots import PICTURES

    return log_parent(
        {name: inputs[name] for name in TRACKED},
        {picture.name: inputs[picture.name] for picture in PICTURES},
        {picture.name: inputs[f"{picture.name}_interactive"] for picture in PICTURES},
        report_html,
    )
