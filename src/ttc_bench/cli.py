"""``kedro run`` of this project: Kedro's own command, with errors that fit in a line."""

from __future__ import annotations

import contextlib
import copy
import gc
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from kedro import KedroDeprecationWarning
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.utils import find_kedro_project
from kedro.validation.exceptions import ParameterValidationError

from ttc_bench.errors import UserError
from ttc_bench.hooks.progress import PROGRESS
from ttc_bench.hooks.tracking import end_runs

SIGNALLED = 128
"""Exit status of a process that a signal ended, less the signal's number, as shells have it."""


_KEDROS = ("kedro.pipeline", "kedro.framework", "kedro.config", "kedro.runner", "kedro.utils")
"""Modules of Kedro that look up what options name."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as service managers, schedulers and containers send it: a run ends as by Ctrl-C."""


@click.group(context_settings=CONTEXT_SETTINGS, name="ttc-bench")
def cli() -> None:
    """Commands of the project."""


class Run(click.Command):
    """Kedro's run command; what a user can mend is told in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Check the pipeline names, then run in the project's folder: paths are from there."""
        warnings.filterwarnings("ignore", "Option '--pipeline'", KedroDeprecationWarning)
        PROGRESS.begin("reading the project")
        _spare_collections()
        requested = [ctx.params.get("pipeline"), *(ctx.params.get("pipelines") or ())]
        try:
            _check_pipelines([name for name in requested if name])
            with _terminable(), contextlib.chdir(_project_folder(ctx.params.get("conf_source"))):
                return super().invoke(ctx)
        except Exception as error:
            raise (_cause(error) or error) from error
        except KeyboardInterrupt as end:
            # Kedro tells no hook of it, and MLflow would call the run finished.
            end_runs("KILLED")
            terminated = isinstance(end, Terminated)
            word = "terminated" if terminated else "interrupted"
            click.echo(f"{word}: the same command replays what is computed and does the rest.")
            ctx.exit(SIGNALLED + (signal.SIGTERM if terminated else signal.SIGINT))
        finally:
            PROGRESS.end()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind the run as Ctrl-C does; only a main thread may take signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        # A second one, of an impatient manager, must not break off the closing.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _spare_collections() -> None:
    """Look for garbage less often: a tenth of a run went by in looking through its libraries."""
    gc.set_threshold(100_000, 50, 100)


def _project_folder(conf_source: str | None) -> Path:
    """Return the folder that a run's paths are from.

    That is the project's, or, of an installed package, the one that holds its configuration.
    """
    folder: Path | None = find_kedro_project(Path.cwd())
    if folder is None and (conf_source or Path("conf", "base").is_dir()):
        folder = Path.cwd()
    if folder is None:
        raise UserError(
            f"{Path.cwd()} is in no project and has no conf/: run in the project's folder, or, with"
            " the installed package, unpack the conf-ttc_bench.tar.gz here that was built with it"
            " (or name it by --conf-source); the reference models go to data/06_models/reference."
        )
    return folder


def _cause(error: BaseException | None) -> UserError | None:
    """Return the user error behind ``error``: Kedro wraps what a dataset raises."""
    if isinstance(error, ParameterValidationError) or _is_of_options(error):
        return UserError(" ".join(str(error).split()))
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def _is_of_options(error: BaseException | None) -> bool:
    """Return whether Kedro itself refuses what its options name: nodes, tags, folders, a runner."""
    if error is None or error.__traceback__ is None:
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    module = frame.f_globals.get("__name__", "")
    kinds = (ValueError, KeyError, AttributeError, MissingConfigException)
    return isinstance(error, kinds) and module.startswith(_KEDROS)


def _check_pipelines(names: list[str]) -> None:
    from kedro.framework.project import pipelines

    from ttc_bench.params import unknown

    for name in names:
        if name not in pipelines:
            known = [p for p in pipelines if p != "__default__"]
            raise UserError(unknown("pipeline", name, known))


def parse_params_option(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """Return ``--params`` as a nested dict; unlike Kedro's own, lists may hold commas.

    ``limit=8,best_of_n.verifier.n=[1,2,4]`` sets two parameters.

    Raises:
        UserError: If an item is not of the form key=value.
    """
    from omegaconf import OmegaConf

    if isinstance(value, dict):
        return value
    items = [item.strip() for item in _split(value) if item.strip()]
    for item in items:
        key, equals, _value = item.partition("=")
        if not key.strip() or not equals:
            raise UserError(f"--params: {item!r} is not of the form key=value.")
    return OmegaConf.to_container(OmegaConf.from_dotlist(items))


def _split(text: str) -> list[str]:
    """Return what commas part, but those within quotes, lists and mappings.

    Raises:
        UserError: If a quote or a bracket is not closed.
    """
    items, depth, quote, before = [""], 0, "", "="
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and before in "=[{,:":
            # Elsewhere it is an apostrophe, as in a model's name.
            quote = sign
        else:
            depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not quote and depth <= 0:
            items.append("")
        else:
            items[-1] += sign
        before = before if sign.isspace() else sign
    if quote or depth > 0:
        opened = f"the quote {quote}" if quote else "a bracket"
        raise UserError(f"--params: {opened} is not closed in {items[-1].strip()!r}.")
    return items


def _options() -> list[click.Parameter]:
    """Return Kedro's options of ``run``, with a parser of our own for ``--params``."""
    options = [copy.copy(option) for option in kedro_run.params]
    for option in options:
        if option.name == "params":
            option.callback = parse_params_option
    return options


run = Run(name="run", params=_options(), callback=kedro_run.callback, help=kedro_run.help)
cli.add_command(run)


@cli.command()
@click.option("--host", default="localhost", show_default=True, help="Address to listen at.")
@click.option("--port", default=8501, show_default=True, help="Port to listen at.")
@click.option("--env", "-e", default=None, help="Environment of the configuration.")
def dashboard(host: str, port: int, env: str | None) -> None:
    """Show what was measured in a browser: pictures, answers and a run at work."""
    import os

    from ttc_bench.dashboard.serving import serve, warning_of

    if env is not None:
        os.environ["KEDRO_ENV"] = env
    if warning := warning_of(host):
        click.echo(f"Warning: {warning}", err=True)
    with contextlib.chdir(_project_folder(None)):
        serve(host, port)
