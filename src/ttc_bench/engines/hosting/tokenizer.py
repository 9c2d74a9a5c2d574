"""A model's own tokenizer, for servers that count no tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ttc_bench.engines.completion import Usage
from ttc_bench.engines.hosting.answer import Answer
from ttc_bench.errors import UserError


class Tokenizer:
    """Counts what a server computed and did not count.

    Args:
        path: Folder of the tokenizer, in Hugging Face's layout.

    Raises:
        UserError: If there is none.
    """

    def __init__(self, path: str) -> None:
        from transformers import AutoTokenizer

        if not Path(path).is_dir():
            raise UserError(f"parameter model.tokenizer: there is no folder {path}.")
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise UserError(f"parameter model.tokenizer: {path} holds no tokenizer.") from error

    def exact(self, estimate: Usage, messages: Sequence[dict[str, Any]], answer: Answer) -> Usage:
        """Return an estimate with its tokens counted: chat template and end token included."""
        choice, reasoning = answer.choice, "".join(answer.choice.reasoning)
        is_continued = messages[-1]["role"] == "assistant"
        prompt = self._tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=not is_continued,
            continue_final_message=is_continued,
        )
        hidden, visible = self._count(reasoning), self._count("".join(choice.text))
        end = 0 if choice.finish == "length" else 1
        return replace(
            estimate,
            prompt_tokens=self._count(prompt),
            completion_tokens=hidden + visible + end,
            reasoning_tokens=hidden,
            is_estimated=False,
        )

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))
