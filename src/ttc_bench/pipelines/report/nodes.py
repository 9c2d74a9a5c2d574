"""From the tables and plots of a run to its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttc_bench.measured import settings_of
from ttc_bench.reporting.html import PEOPLE
from ttc_bench.reporting.tracker import Tracker
from ttc_bench.types import DataFrame

TABLES = (
    "bench_summary",
    "intervals",
    "comparisons",
    "speeds",
    "floors",
    "frontier",
    "choices",
    "verdicts",
    "decision",
    "scaling",
    "failures",
    *PEOPLE,
)
"""Tables that the report shows."""


def write_report(run_settings: Mapping[str, Any], all_scores: DataFrame, **inputs: Any) -> str:
    """Return the report as one HTML file.

    Args:
        run_settings: All parameters of this command.
        all_scores: Scores of all responses, which say what they were made with.
        inputs: The `TABLES` and those of the plots as frames, and each plot as the bytes of a PNG
            file, by name.
    """
    import yaml

    from ttc_bench.reporting.html import render
    from ttc_bench.reporting.plots import plots
    from ttc_bench.reporting.provenance import facts

    stills = {plot.name: inputs.pop(plot.name) for plot in plots()}
    settings = settings_of(all_scores, run_settings)
    text = yaml.safe_dump(settings, sort_keys=True, allow_unicode=True)
    return render({"all_scores": all_scores, **inputs}, stills, facts(all_scores, settings), text)


TRACKED = (
    "decision",
    "verdicts",
    "frontier",
    "choices",
    "scaling",
    "comparisons",
    "speeds",
    "floors",
    "failures",
)
"""Tables that MLflow shows with the run of the pipeline."""


def log_report(
    report_html: str,
    tracker: Tracker,
    run_settings: Mapping[str, Any],
    all_scores: DataFrame,
    **inputs: Any,
) -> dict[str, str]:
    """Log plots, tables and the report to the MLflow run of the pipeline; return its id.

    Args:
        report_html: The report.
        tracker: Where they go.
        run_settings: All parameters of this command.
        all_scores: Scores of all responses, which say what they were made with.
        inputs: The `TRACKED` tables, and every plot, still and interactive, by name.
    """
    from ttc_bench.reporting.mlflow_runs import log_parent
    from ttc_bench.reporting.plots import plots

    def send() -> dict[str, str]:
        return log_parent(
            {name: inputs[name] for name in TRACKED},
            {plot.name: inputs[plot.name] for plot in plots()},
            {plot.name: inputs[f"{plot.name}_interactive"] for plot in plots()},
            report_html,
            tracker.run,
            settings_of(all_scores, run_settings),
        )

    return tracker.log("plots and report", send, {})
