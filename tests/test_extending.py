"""Each part of the project is added by the files that README counts, and by nothing else.

One copy of the project gets one more of every part; two runs show that all of them are there,
and the tests that look over what is registered pass in the copy as they stand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.forked import Forked, Template

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Adding a policy")[1].split("\n## ")[0]
SHOWN = dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL))

PACKAGE = "src/ttc_bench"
METRIC = {
    f"{PACKAGE}/metrics/vowels.py": '''
"""Vowels of a response."""

from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, family


@family(
    "vowels",
    [MetricSpec("vowel_share", "1", (0.0, 1.0), None, "Vowels over characters.", "this test")],
)
def vowels(batch: ScoringBatch) -> Columns:
    """Return the share of vowels."""
    nothing = Null("the response is empty")
    shares = [sum(c in "aeiou" for c in t) / len(t) if t else nothing for t in batch.texts]
    return {"vowel_share": shares}
'''
}
SUMMARISED = {
    f"{PACKAGE}/dbt/dbt_project.yml": "    - vowel_share\n",
    f"{PACKAGE}/dbt/models/metrics.yml": None,
}
BENCHMARK = {
    f"{PACKAGE}/benchmarks/parity.py": '''
"""Parity: whether a number is even or odd, scored by a rule of its own."""

from collections.abc import Hashable

from ttc_bench.benchmarks.answers import parse_answer
from ttc_bench.benchmarks.base import BENCHMARKS, Benchmark, Prompting
from ttc_bench.benchmarks.scoring.base import Figures, References, reward_rule, share
from ttc_bench.errors import UserError
from ttc_bench.params import Params
from ttc_bench.types import Job, Message, Sample


class ParityParams(Params):
    """How many numbers there are."""

    count: int = 10


@reward_rule("parity", reward="parity_named", metrics=[share("parity_named", "Said.", "this test")])
def _named(answer: str, references: References, _task: str | None) -> Figures:
    return {"parity_named": float(references[0] in answer.split())}


class Parity(Benchmark[ParityParams]):
    """Numbers from 0."""

    name = "parity"
    params = ParityParams
    max_tokens = 24

    def load(self, params: ParityParams) -> list[Sample]:
        """Return the numbers."""
        return [
            Sample(
                id=str(number),
                benchmark=self.name,
                task="parity",
                messages=(Message(role="user", content=f"Is {number} even or odd?"),),
                references=(("even", "odd")[number % 2],),
                reward_metric="parity",
            )
            for number in range(params.count)
        ]

    def examples(self, sample: Sample, count: int, params: ParityParams) -> list[Sample]:
        """Refuse: there is no train side."""
        raise UserError("parity has only a scored side.")

    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the question as it is."""
        return sample.messages

    def parse(self, text: str, job: Job) -> Hashable:
        """Return the words behind the marker."""
        return parse_answer(text)


BENCHMARKS.register(Parity.name)(Parity())
''',
    "conf/base/parameters_ingest_benchmarks.yml": "  parity: {count: 3}\n",
}
DECODING = {
    f"{PACKAGE}/engines/decoding/second_thought.py": '''
"""Greedy decoding that never begins with the likeliest token."""

from ttc_bench.engines.base import Decoding


class SecondThought(Decoding):
    """The second likeliest token first, then the likeliest."""

    def run(self, context):
        """Decode one sample."""
        cache = context.target.new_cache(context.capacity, [context.meter])
        logits = context.target.forward(context.tensor(context.prompt), cache)[0].clone()
        logits[logits.argmax()] = float("-inf")
        token = context.step(logits)
        while token is not None:
            token = context.step(context.target.forward(context.tensor([token]), cache)[0])
'''
}
PLOT = {
    f"{PACKAGE}/reporting/plots/words_plot.py": '''
"""Words of the responses."""

from ttc_bench.reporting.drawing.figure import Axis, Figure, Line, Panel
from ttc_bench.reporting.plots import plot
from ttc_bench.types import DataFrame


@plot("words_plot", title="Words by response", caption="In order.", tables=("all_scores",))
def words_plot(scores: DataFrame) -> Figure:
    """Return one curve of all responses."""
    words = [float(count) for count in scores["response_words"].dropna()]
    curve = Line([float(place) for place in range(len(words))], words, "#212121", "words")
    marks = [curve] if words else []
    return Figure([Panel(0, 0, "all", Axis("response"), Axis("words"), marks)], (6.0, 4.0))
'''
}
ENGINE = {
    f"{PACKAGE}/engines/parrot.py": '''
"""An engine that says the last word of its prompt."""

from ttc_bench.engines.base import Capability, Engine
from ttc_bench.engines.completion import Completion, Timing, Usage
from ttc_bench.engines.selection import ENGINES, EngineParams
from ttc_bench.errors import CapabilityError


@ENGINES.register("parrot")
class ParrotModels(EngineParams):
    """Its name."""

    target: str

    def build(self):
        """Return the engine."""
        return ParrotEngine(self.target)


class ParrotEngine(Engine):
    """Answers with the last word of a prompt."""

    name = "parrot"
    concurrency = 1

    def __init__(self, target):
        self.target = target

    def roles(self):
        """Return the only role."""
        return frozenset({"target"})

    def model_name(self, role="target"):
        """Return its name."""
        return self.target

    def fingerprint(self, role="target"):
        """Return its name: it never changes."""
        return self.target

    def capabilities(self, role="target"):
        """Return that it completes."""
        return frozenset({Capability.GENERATE})

    async def complete(self, request):
        """Return the last word."""
        self.require(request)
        word = request.messages[-1].content.split()[-1]
        return tuple(
            Completion(
                index=request.first_index + place,
                text=f"Answer: {word}",
                token_ids=(),
                logprobs=(),
                finish_reason="stop",
                model=self.target,
                usage=Usage(prompt_tokens=1, completion_tokens=1),
                timing=Timing(latency_s=0.001),
            )
            for place in range(request.n)
        )

    async def verify(self, messages, solutions):
        """Refuse."""
        raise CapabilityError("a parrot verifies nothing.")

    async def prompt_logprobs(self, text, role="draft"):
        """Refuse."""
        raise CapabilityError("a parrot reads nothing.")

    async def close(self):
        """Do nothing."""
''',
    "conf/parrot/parameters.yml": """\
benchmarks: [parity]
model: {engine: parrot, target: polly}
""",
}
MART = {
    f"{PACKAGE}/dbt/models/marts/mart_longest.sql": """\
-- The longest latency of each benchmark.
select benchmark, max(latency_s) as longest_s
from {{ ref('stg_scores') }}
group by benchmark
""",
    f"{PACKAGE}/dbt/models/marts/marts.yml": """
  - name: mart_longest
    description: One row per benchmark.
    columns:
      - name: benchmark
        description: Name of the benchmark.
        data_tests: [not_null, unique]
      - name: longest_s
        description: The longest latency in seconds.
""",
}
PARTS = {
    "policy": SHOWN,
    "metric": METRIC,
    "metric in the summary": SUMMARISED,
    "benchmark": BENCHMARK,
    "decoding strategy": DECODING,
    "plot": PLOT,
    "engine": ENGINE,
    "mart": MART,
}
"""What each part adds to which files; what is there already is kept, and a file without anything is
written by `DESCRIBE`."""

DESCRIBE = ("-m", "ttc_bench.dbt.describe")

USER = {
    f"{PACKAGE}/policies/second_thought.py": '''
"""A variant that uses the decoding, under the policy that runs anyway."""

from ttc_bench.engines.decoding.second_thought import SecondThought
from ttc_bench.policies import DecodingVariant, variant


@variant("shortest_of_n", "second_thought")
class Second(SecondThought, DecodingVariant):
    """Decode by second thought."""
''',
    "conf/base/parameters_shortest_of_n.yml": "  second_thought: {}\n",
}

OTHERS = """
import json
from pathlib import Path
from kedro.framework.startup import bootstrap_project
bootstrap_project(Path.cwd())
from ttc_bench.cli import cli
stages = ["--pipeline=baseline", "--tags=ingest_benchmarks,generate"]
cli(["run", "--env=parrot", *stages], standalone_mode=False)
from kedro_viz.api.rest.responses.pipelines import get_pipeline_response
from kedro_viz.server import load_and_populate_data
from ttc_bench.metrics.catalogue import catalogue
load_and_populate_data(Path.cwd(), pipeline_name="shortest_of_n")
nodes = get_pipeline_response("shortest_of_n").nodes
boxes = [node.name for node in nodes if node.type == "modularPipeline"]
print(json.dumps({"boxes": boxes, "catalogue": catalogue()}))
"""
"""A run on the engine, then kedro-viz' graph and the catalogue of metrics: one process, which
imports once."""

ROOMS = sorted(
    {Path(name).relative_to(PACKAGE).parts[0] for part in PARTS.values() for name in part
     if name.startswith(PACKAGE) and name.endswith(".py")}
)  # fmt: skip
"""Packages to which something is added."""

LOOK_OVER = (
    "tests/test_registry.py",
    "tests/test_imports.py::test_every_registry_is_in_a_room_below_the_stages",
    *(f"tests/test_imports.py::test_a_room_with_its_registries_full_needs_no_room_above[{room}]"
      for room in ROOMS),
    "tests/metrics/test_catalogue.py",
    "tests/benchmarks/scoring/test_base.py",
    "tests/hooks/test_preflight.py::test_a_suite_skips_what_cannot_run_and_says_why",
    "tests/ci/test_workflows.py::test_every_registered_policy_has_a_job",
    "tests/ci/test_workflows.py::test_what_is_kept_is_what_a_run_writes",
    "tests/dbt/test_project.py::test_every_column_of_every_model_is_described",
    "tests/dbt/test_project.py::test_every_model_is_tested",
    "tests/dbt/test_project.py::test_descriptions_are_those_of_the_catalogue_of_metrics",
    "tests/policies/test_answer_digests.py"
    "::test_the_digests_are_of_the_shipped_models_and_of_decodings_there_are",
    "tests/reporting/test_report.py::test_report_shows_everything_and_loads_nothing[plain]",
    "tests/reporting/test_report.py"
    "::test_interactive_plots_have_the_colours_of_their_policies[plain]",
)  # fmt: skip
"""Tests that look over everything that is registered or lies in a folder."""


def files(project: Path) -> dict[str, str]:
    """Every text file of source and configuration."""
    return {
        str(path.relative_to(project)): path.read_text("utf-8")
        for folder in ("conf", "src")
        for path in (project / folder).rglob("*.*")
        if path.suffix in (".py", ".yml", ".sql", ".html")
    }


Start = Callable[..., Forked]
"""Starts Python in a folder of the project."""


def add(project: Path, part: Mapping[str, str | None], start: Start) -> list[str]:
    """Add a part and return the files that differ from before."""
    before = files(project)
    for name, content in part.items():
        path = project / name
        if content is None:
            printed(start(project, *DESCRIBE))
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(content.lstrip("\n") if path.suffix == ".py" else content)
    after = files(project)
    assert before.keys() <= after.keys()
    return [name for name, text in after.items() if before.get(name) != text]


class Grown:
    """A copy of the project with one more of every part, and what its runs did.

    Args:
        folder: Where it lies.
        store: An MLflow store without runs, whose tables take seconds to make.
        start: Starts Python in it.
    """

    def __init__(self, folder: Path, store: Path, start: Start) -> None:
        self.project, self.other = folder / "project", folder / "other"
        # What is compiled comes along, but for files that are being written by others.
        unwanted = shutil.ignore_patterns(
            ".git", ".*_cache", ".hypothesis", "data", "local", "*.egg-info", "*.pyc.*"
        )
        shutil.copytree(ROOT, self.project, ignore=unwanted)
        (self.project / "conf" / "local").mkdir()
        (self.project / "data" / "mlflow").mkdir(parents=True)
        shutil.copy(store, self.project / "data" / "mlflow")
        (self.project / "data" / "06_models").symlink_to(ROOT / "data" / "06_models")
        self.touched = {name: add(self.project, part, start) for name, part in PARTS.items()}
        add(self.project, USER, start)
        shutil.copytree(self.project, self.other, symlinks=True)
        self.said = ""
        """What its run printed."""
        self.shown: dict[str, Any] = {}
        """What `OTHERS` printed last."""

    def table(self, name: str) -> pd.DataFrame:
        """A table that the run stored."""
        return pd.read_parquet(self.project / "data" / f"{name}.parquet")


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project / "src")}


def printed(process: Forked | subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


pytestmark = pytest.mark.timeout(900)  # two runs side by side, on a machine that may be busy


@pytest.fixture(scope="module")
def start(template: Template) -> Start:
    """Starts Python in a copy, of which it imports the source."""

    def started(project: Path, *arguments: str) -> Forked:
        return template.start(*arguments, cwd=project, env=environment(project))

    return started


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, start: Start) -> Grown:
    copy = Grown(tmp_path_factory.mktemp("extending"), empty_store, start)
    settings = (
        "limit=2,benchmarks=[crm_sim,parity],timing.jobs=1,score.families={bert_score: false}"
    )
    # What a user has: an interpreter that imports everything itself, in the order of a run.
    run = subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--pipeline=shortest_of_n", f"--params={settings}"],
        cwd=copy.project,
        env=environment(copy.project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    others = start(copy.other, "-c", OTHERS)
    copy.said = printed(run)
    copy.shown = json.loads(printed(others).splitlines()[-1])
    return copy


def test_a_run_says_last_what_to_open_and_its_libraries_end_in_silence(grown: Grown) -> None:
    assert "report.html" in "\n".join(grown.said.strip().splitlines()[-6:])
    assert "nanobind" not in grown.said
    assert "Exception ignored" not in grown.said


def test_readme_counts_what_each_part_changes(grown: Grown) -> None:
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (.*\d.*) \|$", SECTION, re.MULTILINE))
    assert list(rows) == list(PARTS)
    for name, row in rows.items():
        assert sorted(grown.touched[name]) == sorted(PARTS[name]), name
        assert sum(map(int, re.findall(r"\b\d\b", row))) == len(grown.touched[name]), row


def test_the_policy_is_in_table_report_graph_and_mlflow(grown: Grown) -> None:
    reports = grown.project / "data" / "08_reporting"
    for name in ("shortest_of_n.words", "baseline.greedy"):
        assert name in (reports / "summary.txt").read_text()
        assert name in (reports / "report.html").read_text()
    assert {"shortest_of_n", "shortest_of_n.words"} <= set(grown.shown["boxes"])
    client = mlflow.MlflowClient(f"sqlite:///{grown.project}/data/mlflow/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    names = {run.info.run_name for run in client.search_runs(experiments)}
    assert any("shortest_of_n.words" in name for name in names), names


def test_the_policy_answers_with_one_of_its_samples(grown: Grown) -> None:
    answered = grown.table("07_model_output/responses/shortest_of_n.words")
    assert len(answered) == 4
    assert (answered["status"] == "ok").all()
    for row in answered.to_dict("records"):
        assert len(row["samples"]) == 4
        assert row["text"] in set(row["samples"])


def test_the_metric_is_in_the_scores_and_in_the_catalogue(grown: Grown) -> None:
    texts = grown.table("07_model_output/responses/shortest_of_n.words")["text"]
    scores = grown.table("07_model_output/scores/shortest_of_n.words")
    shares = [sum(letter in "aeiou" for letter in text) / len(text) for text in texts]
    assert scores["vowel_share"].to_list() == shares
    assert max(shares) > 0
    assert "| vowels | `vowel_share` |" in grown.shown["catalogue"]


def test_the_metric_is_in_the_summary_and_in_mlflow(grown: Grown) -> None:
    scores = grown.table("07_model_output/scores/shortest_of_n.words")
    summary = grown.table("08_reporting/bench_summary").set_index(["variant", "benchmark"])
    means = scores.groupby("benchmark")["vowel_share"].mean()
    for benchmark, mean in means.items():
        assert summary.loc[("words", benchmark), "vowel_share_mean"] == pytest.approx(mean)
    client = mlflow.MlflowClient(f"sqlite:///{grown.project}/data/mlflow/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    logged = [
        run.data.metrics["summary/vowel_share_mean"]
        for run in client.search_runs(experiments, "tags.variant = 'words'")
    ]
    assert sorted(logged) == pytest.approx(sorted(means))


def test_the_benchmark_has_jobs_scores_by_its_own_rule_and_rows(grown: Grown) -> None:
    jobs = (grown.project / "data/05_model_input/parity.jsonl").read_text().splitlines()
    ids = [json.loads(job)["id"] for job in jobs]
    assert len(ids) == 2
    assert set(ids) < {"parity/0", "parity/1", "parity/2"}
    scores = grown.table("07_model_output/scores/baseline.greedy").set_index("job_id")
    assert set(scores["reward_rule"].filter(like="parity/")) == {"parity_named"}
    computed = scores.index[scores["parity_named"].notna()]
    assert sorted(computed) == sorted(ids)
    summary = grown.table("08_reporting/bench_summary")
    assert set(summary["benchmark"]) == {"crm_sim", "parity"}


def test_the_decoding_runs_its_own_loop(grown: Grown) -> None:
    plain, own = (
        grown.table(f"07_model_output/responses/{name}").set_index("job_id")["text"]
        for name in ("baseline.greedy", "shortest_of_n.second_thought")
    )
    assert len(own) == 4
    assert not (plain == own).any(), "the first token is another one in every answer"


def test_the_plot_is_drawn_saved_shown_and_logged(grown: Grown) -> None:
    reports = grown.project / "data" / "08_reporting"
    assert (reports / "plots" / "words.png").read_bytes().startswith(b"\x89PNG")
    (trace,) = json.loads((reports / "plots" / "words.json").read_text())["data"]
    assert trace["y"] == grown.table("08_reporting/all_scores")["response_words"].to_list()
    assert "<h3>Words by response</h3>" in (reports / "report.html").read_text()
    logged = {path.name for path in (grown.project / "data").rglob("words_plot.*")}
    assert logged == {"words_plot.png"}
    pages = (grown.project / "data/mlflow").rglob("plots.html")
    assert ['id="words_plot"' in page.read_text() for page in pages] == [True]


def test_the_mart_is_stored(grown: Grown) -> None:
    mart = grown.table("08_reporting/mart_longest").set_index("benchmark")["longest_s"]
    scores = grown.table("08_reporting/all_scores")
    assert mart.to_dict() == scores.groupby("benchmark")["latency_s"].max().to_dict()


def test_the_engine_answers(grown: Grown) -> None:
    responses = grown.other / "data" / "07_model_output" / "responses"
    answered = pd.read_parquet(responses / "baseline.greedy.parquet")
    assert set(answered["engine"]) == {"parrot"}
    assert set(answered["model"]) == {"polly"}
    assert answered["text"].to_list() == ["Answer: odd?"] * 3


def test_what_looks_over_all_parts_passes_in_the_copy_as_it_stands(
    grown: Grown, start: Start
) -> None:
    options = ("-q", "-n0", "-p", "no:cacheprovider")
    output = printed(start(grown.project, "-m", "pytest", *options, *LOOK_OVER))
    assert " passed" in output
    assert "answers of decoding.second_thought.SecondThought are not held yet: run" in output
    assert not re.search(r"\d+ skipped", output)
