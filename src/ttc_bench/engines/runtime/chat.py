"""From chat messages to token ids, by the model's own chat template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ttc_bench.engines.runtime.stream import encode
from ttc_bench.thinking import opening_at_end
from ttc_bench.types import Message

_LONGEST_OPENING = 16
"""Tokens that hold the beginning of a thinking block, and the line breaks behind it."""

PROMPTS = 64
"""Prompts whose tokens are remembered: a policy that writes in steps asks with the same again."""


class Prompter:
    """Renders chat messages for one model.

    A model without a chat template (a base model) gets a plain one, for want of anything its
    authors prescribe: each message is ``Role: content`` and a blank line, and the answer follows
    ``Assistant:``. Completions say so in ``extra["chat_template"]``.

    Args:
        tokenizer: The model's tokenizer.
        variables: Variables of its chat template, by name.
    """

    def __init__(self, tokenizer: Any, variables: Mapping[str, Any] | None = None) -> None:
        self._variables = dict(variables or {})
        self._tokenizer = tokenizer
        self.has_template = getattr(tokenizer, "chat_template", None) is not None
        self._head = lru_cache(PROMPTS)(self._templated if self.has_template else self._plain)
        self._opening = lru_cache(PROMPTS)(self._opened)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a prompt.

        If the last message is an assistant turn, its text follows the generation prompt verbatim,
        trailing spaces and line breaks included, and is tokenized from there: exactly the ids
        that the model could have generated itself.
        """
        continued = bool(messages) and messages[-1].role == "assistant"
        before = tuple(messages[:-1] if continued else messages)
        head = list(self._head(before))
        if not continued:
            return head
        # A thinking block that the template has opened is not opened twice.
        text = messages[-1].content.removeprefix(self._opening(before))
        return head + encode(self._tokenizer, text)

    def text(self, messages: Sequence[Message]) -> str:
        """Return a prompt as text; see `encode`."""
        continued = bool(messages) and messages[-1].role == "assistant"
        head = tuple(messages[:-1] if continued else messages)
        text = self._in_template(head) if self.has_template else _plain_text(head)
        turn = messages[-1].content if continued else ""
        return text + turn.removeprefix(opening_at_end(text))

    def prior(self, messages: Sequence[Message]) -> str:
        """Return what of the model's turn stands in a prompt: its text so far, or an open block."""
        if messages and messages[-1].role == "assistant":
            return messages[-1].content
        return self._opening(tuple(messages))

    def _opened(self, messages: tuple[Message, ...]) -> str:
        """Return the beginning of a thinking block with which a prompt ends; empty without one."""
        end = self._head(messages)[-_LONGEST_OPENING:]
        return opening_at_end(self._tokenizer.decode(end, skip_special_tokens=False))

    def _templated(self, messages: tuple[Message, ...]) -> list[int]:
        # The template writes the special tokens itself.
        return encode(self._tokenizer, self._in_template(messages))

    def _plain(self, messages: tuple[Message, ...]) -> list[int]:
        tokens = list(self._tokenizer(_plain_text(messages))["input_ids"])
        # What some tokenizers put behind every text would end the prompt before it is answered.
        ends = {getattr(self._tokenizer, f"{name}_token_id", None) for name in ("eos", "sep")}
        while tokens and tokens[-1] in ends:
            tokens.pop()
        return tokens

    def _in_template(self, messages: tuple[Message, ...]) -> str:
        """Return messages in the template, a system message that it refuses in the user's turn.

        Some templates raise at a system message (Gemma 2), others leave it out.
        """
        from jinja2 import TemplateError

        if not messages or messages[0].role != "system":
            return self._rendered(messages)
        try:
            text = self._rendered(messages)
        except TemplateError:
            return self._rendered(with_system_in_user_turn(messages))
        is_shown = messages[0].content.strip() in text
        return text if is_shown else self._rendered(with_system_in_user_turn(messages))

    def _rendered(self, messages: Sequence[Message]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                [m.model_dump() for m in messages],
                tokenize=False,
                add_generation_prompt=True,
                **self._variables,
            )
        )


_GIVEN = {"messages", "add_generation_prompt", "continue_final_message"} | {
    f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
}
"""What the library itself gives every template."""


def template_variables(tokenizer: Any) -> set[str] | None:
    """Return the variables that may be set in a chat template; ``None`` where that is not known."""
    from jinja2 import TemplateError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    template = getattr(tokenizer, "chat_template", None)
    if template is None:
        return set()
    if not isinstance(template, str):
        return None
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        # Marks of what a model itself wrote, a tag of the library's own.
        marked = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", template)
        return meta.find_undeclared_variables(environment.parse(marked)) - _GIVEN
    except TemplateError:
        return None


def with_system_in_user_turn(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return messages with what the system says above the first turn of the user."""
    system, *rest = messages
    for place, message in enumerate(rest):
        if message.role == "user":
            content = f"{system.content}\n\n{message.content}"
            rest[place] = message.model_copy(update={"content": content})
            return tuple(rest)
    return (system.model_copy(update={"role": "user"}), *rest)


def _plain_text(messages: Sequence[Message]) -> str:
    return "".join(f"{m.role.capitalize()}: {m.content}\n\n" for m in messages) + "Assistant:"
