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
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    target = AutoModelForCausalLM.from_pretrained(FOLDER / "target")
    draft = AutoModelForCausalLM.from_pretrained(FOLDER / "draft")
    verifier = AutoModelForSequenceClassification.from_pretrained(FOLDER / "verifier")
    assert target.config.num_hidden_layers == 8
    assert verifier.config.num_labels == 1
    assert {m.dtype for m in (target, draft, verifier)} == {torch.float32}
    vocabularies = [
        AutoTokenizer.from_pretrained(FOLDER / n).get_vocab()
        for n in ("target", "draft", "verifier")
    ]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


def test_the_draft_costs_at_most_a_third() -> None:
    from transformers import AutoConfig

    def cost(name: str) -> int:
        c = AutoConfig.from_pretrained(FOLDER / name)
        layer = 4 * c.hidden_size**2 + 3 * c.hidden_size * c.intermediate_size
        return int(c.num_hidden_layers * layer + c.vocab_size * c.hidden_size)

    assert cost("draft") <= cost("target") / 3


def test_the_target_solves_easy_problems() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ttc_bench.reference.crm_tasks import CRM_TASKS
    from ttc_bench.reference.evaluate import jobs_of, reward
    from ttc_bench.reference.samples import generate
    from ttc_bench.reference.sampling import complete, prompt_text

    model = AutoModelForCausalLM.from_pretrained(FOLDER / "target").eval()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "target")
    problems = [p for p in generate(CRM_TASKS, 0, 60, "test") if p.level == "easy"]
    texts = complete(model, tokenizer, [prompt_text(p) for p in problems])
    jobs = jobs_of("crm_sim", problems)
    rewards = [reward("crm_sim", t[0], job) for t, job in zip(texts, jobs, strict=True)]
    assert sum(rewards) / len(rewards) > 0.4  # 0.6 when shipped; blind guessing gives 0.16
