"""A chat template is told whether to ask for reasoning; left alone, it decides."""

from __future__ import annotations

from tests.conftest import REFERENCE
from transformers import AutoTokenizer

from ttc_bench.engines import engine_params
from ttc_bench.engines.runtime.chat import Prompter
from ttc_bench.types import Message

TEMPLATE = (
    "{{ messages[0].content }}"
    "{% if enable_thinking is not defined %} as it is{% elif enable_thinking %} thinking"
    "{% else %} at once{% endif %}"
)


def test_the_template_knows_whether_to_think() -> None:
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "target")
    tokenizer.chat_template = TEMPLATE
    question = (Message(role="user", content="answer"),)
    prompts = [
        tokenizer.decode(Prompter(tokenizer, choice).encode(question))
        for choice in (None, True, False)
    ]
    assert prompts == ["answer as it is", "answer thinking", "answer at once"]


def test_what_was_thought_is_not_replayed_for_what_was_not() -> None:
    path = {"engine": "local", "target": str(REFERENCE / "target"), "device": "cpu"}
    settings = [path, {**path, "enable_thinking": True}, {**path, "enable_thinking": False}]
    assert len({engine_params(chosen).build().fingerprint() for chosen in settings}) == 3
