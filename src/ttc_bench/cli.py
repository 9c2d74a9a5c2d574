"""``kedro run`` of this project: Kedro's own command, with errors that fit in a line."""

from __future__ import annotations

import warnings
from typing import Any

import click
from kedro import KedroDeprecationWarning
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.validation.exceptions import ParameterValidationError

from ttc_bench.errors import UserError


@click.group(context_settings=CONTEXT_SETTINGS, name="ttc-bench")
def cli() -> None:
    """Commands of the project."""


class Run(click.Command):
    """Kedro's run command; what a user can mend is told in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Check the pipeline names, then run."""
        warnings.filterwarnings("ignore", "Option '--pipeline'", KedroDeprecationWarning)
        requested = [ctx.params.get("pipeline"), *(ctx.params.get("pipelines") or ())]
        _check_pipelines([name for name in requested if name])
        try:
            return super().invoke(ctx)
        except Exception as error:
            raise (_cause(error) or error) from error


def _cause(error: BaseException | None) -> UserError | None:
    """Return the user error behind ``error``: Kedro wraps what a dataset raises."""
    if isinstance(error, ParameterValidationError):
        return UserError(" ".join(str(error).split()))
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def _check_pipelines(names: list[str]) -> None:
    from kedro.framework.project import pipelines

    from ttc_bench.params import unknown

    for name in names:
        if name not in pipelines:
            known = [p for p in pipelines if p != "__default__"]
            raise UserError(unknown("pipeline", name, known))


run = Run(name="run", params=kedro_run.params, callback=kedro_run.callback, help=kedro_run.help)
cli.add_command(run)
