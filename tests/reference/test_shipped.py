"""The weights in the repository: what the card says, and that the auto classes load them."""

import re
from pathlib import Path

import pytest

from ttc_bench.reference.card import sha256

FOLDER = Path(__file__).parents[2] / "data/06_models/reference"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "README.md").exists(), reason="the reference models are not in this checkout"
)


def test_checksums_are_those_of_the_card() -> None:
    card = (FOLDER / "README.md").read_text()
    told = dict(re.findall(r"- `(\w+/[\w.-]+\.safetensors)`: `([0-9a-f]{64})`", card))
    found = {f"{p.parent.name}/{p.name}": sha256(p) for p in FOLDER.glob("*/*.safetensors")}
    assert set(told) == set(found)
    assert {p.split("/")[0] for p in told} == {"target", "draft", "verifier"}
    assert told == found


def test_weights_fit_in_forty_megabytes() -> None:
    assert sum(p.stat().st_size for p in FOLDER.glob("*/*")) < 40e6


def test_auto_classes_load_each_model() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    roles = ("target", "draft", "verifier")
    models = {role: AutoModelForCausalLM.from_pretrained(FOLDER / role) for role in roles}
    assert models["target"].config.num_hidden_layers == 8
    assert set(models["verifier"].config.implicit_reward) == {"beta"}
    assert {m.dtype for m in models.values()} == {torch.float32}
    vocabularies = [AutoTokenizer.from_pretrained(FOLDER / role).get_vocab() for role in roles]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


def test_the_draft_costs_at_most_a_third() -> None:
    from transformers import AutoConfig

    def cost(name: str) -> int:
        c = AutoConfig.from_pretrained(FOLDER / name)
        layer = 4 * c.hidden_size**2 + 3 * c.hidden_size * c.intermediate_size
        return int(c.num_hidden_layers * layer + c.vocab_size * c.hidden_size)

    assert cost("draft") <= cost("target") / 3


@pytest.mark.parametrize(("benchmark", "bar"), [("crm_sim", 0.55), ("worf_sim", 0.8)])
def test_the_target_solves_easy_problems(benchmark: str, bar: float) -> None:
    from ttc_bench.pipelines.train_reference.evaluation import Arm, held_out_jobs, run
    from ttc_bench.policies.journal import Journal
    from ttc_bench.reference.recipe import EvaluationParams

    jobs = held_out_jobs(benchmark, EvaluationParams(samples={benchmark: 90}, seed=1))
    easy = [job for job in jobs if job.difficulty == "easy"]
    folders = {role: FOLDER / role for role in ("target", "draft", "verifier")}
    # Batches answer as the baseline does, in half of the time.
    scores = run(Arm("greedy", "elastic_batch.sorted"), easy, folders, 0, Journal())
    assert scores["reward"].mean() > bar


def test_a_name_is_the_same_token_in_the_records_and_in_the_answer() -> None:
    from transformers import AutoTokenizer

    from ttc_bench.benchmarks.sim.crm_base import NAMES, PRODUCTS, STATES

    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "target")
    for word in (*NAMES, *PRODUCTS, *STATES):
        for text in (f"q\n- {word} 12", f"- {word}: 3", f"Answer: {word}, 7"):
            assert f"\u0120{word}" in tokenizer.tokenize(text)
