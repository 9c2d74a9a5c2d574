"""Fixtures: a project of one's own in a temporary folder, and ``kedro run`` in it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import inspect
import io
import logging
import os
import pickle
import resource
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from click.testing import CliRunner, Result
from kedro.framework.project import configure_project
from omegaconf import OmegaConf
from tests.forked import Forked, Template

# Tests run side by side: threads of one of them would wait for cores that another one has. It is
# read as torch is imported, here, in the workers and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Engine
from ttc_bench.params import parse_params
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest
from ttc_bench.pipelines.ingest_benchmarks.params import prompting_of
from ttc_bench.policies import VARIANTS, Outcome, Session
from ttc_bench.policies.journal import Journal
from ttc_bench.types import DataFrame, Job

# How long an example takes says how busy the machine is, and the same examples are everybody's; new
# ones, and twice as many, are looked for by `pytest --hypothesis-profile=explore`.
TIMELESS = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("suite", derandomize=True, max_examples=50, **TIMELESS)
hypothesis.settings.register_profile("explore", **TIMELESS)
hypothesis.settings.load_profile("suite")

# Garbage is looked for as rarely as in a run (`ttc_bench.hooks.garbage`).
gc.set_threshold(100_000, 50, 100)

# Workers and processes that tests start read the same sources dozens of times, and compile them
# anew each time where nothing is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def parse_once(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let `OmegaConf.load` parse a text once, and copy what came of it, in a twentieth of the time.

    Hundreds of sessions here read the same configuration.
    """
    parsed = cache(lambda text: pickle.dumps(parse(io.StringIO(text))))

    def load(file: Any) -> Any:
        return pickle.loads(parsed(file.read())) if isinstance(file, io.StringIO) else parse(file)

    return load


OmegaConf.load = staticmethod(parse_once(OmegaConf.load))

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "data" / "06_models" / "reference"
PAGES = [ROOT / "README.md", *sorted((ROOT / ".github" / "docs").glob("*.md"))]
"""The README, and the pages that it leads to."""

TEMPLATE = pytest.StashKey[Template]()
TEMPLATE_PLACE = "TTC_BENCH_TESTS_TEMPLATE"

KedroRun = Callable[..., Result]
Answer = Callable[..., tuple[Outcome, Session]]


TOGETHER = ("tests/engines/hosted/", "tests/engines/", "tests/dashboard/", "tests/policies/")
"""Folders whose tests share what one process loads, answers or measures once."""

WAITING = (
    *("tests/engines/hosted/", "tests/hooks/test_tracking_server.py", "tests/test_extending.py"),
    *("tests/pipelines/test_slices.py", "tests/reference/test_training.py", "tests/test_resume.py"),
    *("tests/notebooks/", "tests/dbt/test_ahead.py", "tests/hooks/test_progress.py"),
)
"""Where tests wait for servers and other processes for a large part of their time."""

LONGEST = (
    *(*TOGETHER, *WAITING, "tests/workers/", "tests/test_cli.py", "tests/hooks/"),
    *("tests/pipelines/", "tests/reporting/", "tests/reference/", "tests/ratings/", "tests/dbt/"),
)
"""Where the long tests are, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: at the end, no worker waits for another one's."""

    def place(item: pytest.Item) -> int:
        return next((at for at, start in enumerate(LONGEST) if item.nodeid.startswith(start)), 99)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Set aside what is loaded by now: libraries, half a million objects, live to the end.

    Their loggers tell the root's: pytest hands a handler to each that does not, six times a test.
    """
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.name.startswith(("torch", "streamlit")):
            logger.propagate = True
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand the tests out to workers file by file, but a folder of `TOGETHER` to one.

    Of three, the third has only what is `WAITING`: two cores are busy with two, and three that
    compute at once take a tenth longer for it. One in its place after a crash has anything.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folders = (folder for folder in TOGETHER if nodeid.startswith(folder))
            return next(folders, super()._split_scope(nodeid))

        def _assign_work_unit(self, node: Any) -> None:
            if self.numnodes == 3:
                waits = node.gateway.id == "gw2"
                own = (unit for unit in self.workqueue if unit.startswith(WAITING) == waits)
                if (unit := next(own, None)) is not None:
                    self.workqueue.move_to_end(unit, last=False)
                elif waits:
                    return node.shutdown()
            return super()._assign_work_unit(node)

    return ByFolder(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch of the test that takes minutes."""
    parser.addoption("--whole-split", action="store_true", help="check every sample of the split")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Fork all workers but the first: that one loads the libraries beside the template."""
    forked = [spec for spec in specs[1:] if spec.popen and not spec.python]
    if not forked:
        return
    folder = tempfile.TemporaryDirectory(prefix="ttc_bench_tests_")
    config.add_cleanup(folder.cleanup)
    place = Path(folder.name) / "template"
    os.environ[TEMPLATE_PLACE] = str(place)
    template = config.stash[TEMPLATE] = Template(place)
    for spec in forked:
        spec.python = shlex.join(template.command())


@contextlib.contextmanager
def full_after(path: Path, more: int) -> Iterator[None]:
    """A disk on which the file can only grow by so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def make_project(folder: Path) -> Path:
    """Copy configuration and link the models: what a run writes stays in ``folder``."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "src").mkdir()
    (folder / "data").mkdir()
    (folder / "data" / "06_models").symlink_to(ROOT / "data" / "06_models")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The published data that tests compare with: ``TTC_BENCH_SHARED``, or ``../shared``.

    It may not be redistributed, so it may be away.
    """
    folder = Path(os.environ.get("TTC_BENCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "benchmarks").is_dir():
        pytest.skip(f"published data are not at {folder} (set TTC_BENCH_SHARED)")
    return folder


def callers(context: int = 0) -> list[inspect.FrameInfo]:
    """Return what `inspect.stack` does, without any source whatever is asked for."""
    frames, frame = list[inspect.FrameInfo](), sys._getframe(1)
    while frame is not None:
        where = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frames.append(inspect.FrameInfo(frame, *where, None, None))
        frame = frame.f_back
    return frames


@cache
def configured() -> None:
    """Tell Kedro of the package, as the first thing that a process does.

    Once is enough, for all projects here are of the same package.
    """
    # Dynaconf and dbt ask for their callers with the source of each, for which all modules are
    # looked through: there are nine thousand, and a tenth of what a run here takes goes there.
    inspect.stack = callers
    # Kedro looks for it at each of the hundreds of parameters of a run.
    sys.modules.setdefault("ibis", None)  # type: ignore[arg-type]
    configure_project("ttc_bench")
    import dbt.cli.main  # noqa: F401  (else each run here loads it in a process of its own)


def run_here(*arguments: str) -> Result:
    """Run ``kedro run`` in the project that is the working folder, in this process."""
    configured()
    from ttc_bench.cli import cli

    return CliRunner().invoke(cli, ["run", *arguments])


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:  # fmt: skip
    """Return a folder that nobody writes: the first worker that needs it makes it for all."""
    with held(factory, name) as folder:
        if not folder.is_dir():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(folder)
    return folder


@contextlib.contextmanager
def held(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A path that is the same in all workers, and that one at a time has."""
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place / name


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs: its tables take seconds to make, and none to copy."""

    def make(folder: Path) -> None:
        import mlflow

        with contextlib.chdir(folder):
            mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return made_once(tmp_path_factory, "empty_store", make) / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A project in a temporary folder, which is the working folder of the test."""
    folder = make_project(tmp_path / "project")
    (folder / "data" / "mlflow").mkdir()
    shutil.copy(empty_store, folder / "data" / "mlflow")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def kedro_run(project: Path) -> Iterator[KedroRun]:
    """``kedro run`` in the test's own project, in this process."""
    yield run_here
    # A run that fails in a process of its own ends with it; here it would go on into other tests.
    from ttc_bench.hooks.tracking import end_runs

    end_runs("FAILED")


@pytest.fixture
def no_dbt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Make this process one that has not loaded dbt, as that of a run that begins."""
    from ttc_bench.dbt import ahead

    configured()
    yield lambda: monkeypatch.delitem(sys.modules, "dbt.cli.main")
    ahead.end()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A process with the libraries loaded, of which all workers have others forked."""
    with held(tmp_path_factory, "template") as place:
        return Template(Path(os.environ.get(TEMPLATE_PLACE, place)))


@pytest.fixture
def kedro_process(project: Path, template: Template) -> Callable[..., Forked]:
    """Start ``kedro run`` in the test's own project, in a process that can be killed."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return partial(template.start, "-m", "kedro", "run", cwd=project, env=environment)


def ingested(name: str, limit: int | None, prompting: Any = None, source: Any = None) -> list[Job]:
    """Return jobs of a benchmark at settings as they stand in a parameters file."""
    params = parse_params(BENCHMARKS[name].params, source or {}, f"sources.{name}")
    return ingest(name, [name], limit, prompting_of(name, prompting or {}), params, seed=0)


def generated(
    name: str,
    jobs: list[Job],
    engine: Engine,
    journal: Journal,
    settings: Any,
    seed: int,
    timed: int = 0,
) -> DataFrame:
    """Return the responses of ``{policy}.{variant}`` at settings as in a parameters file."""
    timing = TimingParams(jobs=timed)
    return generate(sweep(name, settings), jobs, engine, journal, seed, timing)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The reference models, all three roles."""
    paths = {role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    return engine_params({"engine": "local", **paths}).build()


@pytest.fixture(scope="session")
def jobs() -> list[Job]:
    """A few jobs of either simulated benchmark, of every difficulty."""
    return [job for name in ("crm_sim", "worf_sim") for job in ingested(name, 2)]


@pytest.fixture(scope="session")
def marked_jobs(jobs: list[Job]) -> list[Job]:
    """Those of the jobs whose answers stand behind a marker."""
    return [job for job in jobs if BENCHMARKS[job.benchmark].marked]


@pytest.fixture(scope="session")
def journal() -> Journal:
    """One pool of completions for all tests: equal requests are computed once."""
    return Journal()


@pytest.fixture(scope="session")
def answer(engine: Engine, journal: Journal) -> Answer:
    """Answer a job by ``{policy}.{variant}`` at some settings."""

    def run(name: str, job: Job, pool: Journal | None = None, **settings: Any) -> Any:
        session = Session(engine, journal if pool is None else pool, job)
        outcome = asyncio.run(VARIANTS[name](**settings).answer(session))
        return outcome, session

    return run
