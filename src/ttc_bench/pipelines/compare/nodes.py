"""What a comparison of two runs writes; what changed is in `ttc_bench.reporting.run_changes`."""

from __future__ import annotations

from shutil import get_terminal_size

import click

from ttc_bench.reporting.run_choice import ComparedRuns
from ttc_bench.reporting.sheet import NO_TERMINAL
from ttc_bench.types import DataFrame


def show_changes(
    compared_runs: ComparedRuns,
    run_changes: DataFrame,
    changed_settings: DataFrame,
    not_compared: DataFrame,
) -> str:
    """Print what changed as wide as the terminal, and return it with all its columns."""
    from ttc_bench.reporting.changes import render

    tables = (compared_runs.pairs, run_changes, changed_settings, not_compared)
    click.echo(render(*tables, width=get_terminal_size(NO_TERMINAL).columns))
    return render(*tables)


def write_changes(
    compared_runs: ComparedRuns,
    run_changes: DataFrame,
    changed_answers: DataFrame,
    changed_settings: DataFrame,
    not_compared: DataFrame,
    changes_plot: bytes,
) -> str:
    """Return what changed as one HTML file that needs nothing else to be opened."""
    from ttc_bench.reporting.changes import render_html

    tables = {
        "answers": changed_answers,
        "settings": changed_settings,
        "not_compared": not_compared,
    }
    return render_html(compared_runs.pairs, run_changes, tables, changes_plot)
