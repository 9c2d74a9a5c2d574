"""A chat template is told whether to ask for reasoning; left alone, it decides."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.conftest import REFERENCE
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from ttc_bench.engines import engine_params
from ttc_bench.engines.runtime.chat import Prompter
from ttc_bench.errors import UserError
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
        tokenizer.decode(Prompter(tokenizer, variables).encode(question))
        for variables in (None, {"enable_thinking": True}, {"enable_thinking": False})
    ]
    assert prompts == ["answer as it is", "answer thinking", "answer at once"]


def test_what_was_thought_is_not_replayed_for_what_was_not() -> None:
    path = {"engine": "local", "target": str(REFERENCE / "target"), "device": "cpu"}
    settings = [path, {**path, "enable_thinking": True}, {**path, "enable_thinking": False}]
    assert len({engine_params(chosen).build().fingerprint() for chosen in settings}) == 3


def test_a_variable_that_the_template_reads_is_set_and_another_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "target")
    tokenizer.chat_template = TEMPLATE + "{{ style }}"
    target = shutil.copytree(REFERENCE / "target", tmp_path / "target")
    (target / "chat_template.jinja").write_text(tokenizer.chat_template)
    path = {"engine": "local", "target": str(target), "device": "cpu"}
    kind, plain = (
        engine_params({**path, "template": template}).build()
        for template in ({"style": " kindly"}, {})
    )
    kind.check()
    question = (Message(role="user", content="answer"),)
    assert kind.prompt_text(question) == "answer as it is kindly"
    assert plain.prompt_text(question) == "answer as it is"
    assert kind.fingerprint() != plain.fingerprint()
    with pytest.raises(UserError, match=r"model\.template.*'stile'\. Did you mean 'style'"):
        engine_params({**path, "template": {"stile": "x"}}).build()


STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}[model]"
)
DEAF = STRICT.replace("{{ raise_exception('System role not supported') }}", "").replace(
    "{% for m in messages %}", "{% for m in messages if m.role != 'system' %}"
)
OPEN = STRICT.replace("{{ raise_exception('System role not supported') }}", "")


def test_a_system_message_that_the_template_refuses_goes_into_the_users_turn() -> None:
    """Whether the template raises, as Gemma 2's does, or leaves the message out."""
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "target")
    messages = tuple(
        Message(role=role, content=content)  # type: ignore[arg-type]
        for role, content in (
            ("system", " Be brief. "), ("user", "one"), ("assistant", "1"), ("user", "two"),
        )
    )  # fmt: skip
    prompts = []
    for template in (STRICT, DEAF, OPEN):
        tokenizer.chat_template = template
        prompts.append(Prompter(tokenizer).text(messages))
    folded = "[user]Be brief. \n\none[assistant]1[user]two[model]"
    assert prompts == [folded, folded, "[system]Be brief.[user]one[assistant]1[user]two[model]"]
    tokenizer.chat_template = STRICT
    only = Prompter(tokenizer).text(messages[:1])
    assert only == "[user]Be brief.[model]"


def test_no_end_is_put_behind_a_plain_prompt() -> None:
    """Some tokenizers end every text by themselves; the answer would begin behind the end."""
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "target")
    tokenizer.chat_template = None
    question = (Message(role="user", content="Hi"),)
    usual = Prompter(tokenizer).encode(question)
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    assert tokenizer("Hi")["input_ids"][-1] == tokenizer.eos_token_id
    assert Prompter(tokenizer).encode(question) == usual
