"""From chat messages to token ids, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ttc_bench.types import Message


class Prompter:
    """Renders chat messages for one model.

    A model without a chat template (a base model) gets a plain one, for want of anything its
    authors prescribe: each message is ``Role: content`` and a blank line, and the answer follows
    ``Assistant:``. Completions say so in ``extra["chat_template"]``.

    Args:
        tokenizer: The model's tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.has_template = getattr(tokenizer, "chat_template", None) is not None

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a prompt.

        If the last message is an assistant turn, its text follows the generation prompt verbatim,
        trailing spaces and line breaks included, and is tokenized from there: exactly the ids
        that the model could have generated itself.
        """
        continued = bool(messages) and messages[-1].role == "assistant"
        turns = messages[:-1] if continued else messages
        head = self._templated(turns) if self.has_template else self._plain(turns)
        if not continued:
            return head
        tail = self._tokenizer(messages[-1].content, add_special_tokens=False)["input_ids"]
        return head + list(tail)

    def _templated(self, messages: Sequence[Message]) -> list[int]:
        text = self._tokenizer.apply_chat_template(
            [m.model_dump() for m in messages], tokenize=False, add_generation_prompt=True
        )
        # The template writes the special tokens itself.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _plain(self, messages: Sequence[Message]) -> list[int]:
        turns = [f"{m.role.capitalize()}: {m.content}\n\n" for m in messages]
        return list(self._tokenizer("".join(turns) + "Assistant:")["input_ids"])
