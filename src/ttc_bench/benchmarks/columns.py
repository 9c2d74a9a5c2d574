"""Which column of a table of questions means what: as it is set, else by the usual names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ttc_bench.benchmarks.tables import Faults
from ttc_bench.params import Params, unknown

_USUAL = {
    "prompt": (
        "question", "prompt", "input", "query", "problem", "instruction", "user", "text",
    ),
    "messages": ("messages", "conversation", "conversations", "chat"),
    "reference": (
        "reference", "references", "answer", "answers", "expected", "expected_answer",
        "expected_output", "gold", "gold_answer", "correct_answer", "target", "label", "output",
        "ideal", "completion", "response", "solution",
    ),
    "solution": ("solution", "rationale", "explanation", "worked_solution", "cot"),
    "context": ("context", "passage", "document", "article", "background"),
    "choices": ("choices", "options"),
    "task": ("task", "category", "subject", "type", "topic", "domain"),
    "difficulty": ("difficulty", "level"),
    "id": ("id", "question_id", "qid", "uid", "unique_id", "idx", "index"),
}  # fmt: skip


class Columns(Params):
    """Columns of a table of questions; ``None`` looks for one of the usual names.

    A dotted name is a part of the objects that a column holds, such as ``answer.aliases``.

    Attributes:
        prompt: The question.
        messages: The question as chat messages, a list of ``{role, content}``, in a prompt's place;
            context and choices go into the last one, unless they are there.
        reference: The gold answer, or a list of gold answers of which any is right; also SQuAD's
            ``{"text": [...]}`` and TriviaQA's ``{"value": ..., "aliases": [...]}``.
        solution: A worked solution, shown where the row is an example for few-shot prompts.
        context: What stands above the question, such as a passage that it is about.
        choices: The choices: a list, a text with one on each line or parted by ``|``, or several
            columns, one for each.
        task: Task type, by which results are shown.
        difficulty: Difficulty level.
        id: What identifies the question; without one, the number of its row does.
    """

    prompt: str | None = None
    messages: str | None = None
    reference: str | None = None
    solution: str | None = None
    context: str | None = None
    choices: str | tuple[str, ...] | None = None
    task: str | None = None
    difficulty: str | None = None
    id: str | None = None

    def resolve(self, present: Sequence[str], faults: Faults) -> dict[str, tuple[str, ...]]:
        """Return the columns of each meaning; a meaning without one is left out.

        Args:
            present: Columns of the table.
            faults: Takes what is missing.
        """
        by_name = {_plain(name): name for name in reversed(present) if name}
        columns: dict[str, tuple[str, ...]] = {}
        for meaning, usual in _USUAL.items():
            asked = getattr(self, meaning)
            names = (asked,) if isinstance(asked, str) else tuple(asked or ())
            for name in names:
                if name not in present and name.split(".")[0] not in present:
                    faults.note(None, f"columns.{meaning}: {unknown('column', name, present)[:-1]}")
            taken = {name for named in columns.values() for name in named}
            usual_ones = [by_name[n] for n in usual if by_name.get(n, "") in {*present} - taken]
            if names or usual_ones:
                columns[meaning] = names or (usual_ones[0],)
        if "choices" not in columns and (lettered := _lettered(by_name)):
            columns["choices"] = lettered
        is_input = self.prompt is None and columns.get("prompt") == (by_name.get("input"),)
        if is_input and (instruction := by_name.get("instruction")):
            # As Alpaca has them: what is to be done, and what it is to be done with.
            columns["context"] = columns.get("context") or columns["prompt"]
            columns["prompt"] = (instruction,)
        if "messages" in columns and "prompt" in columns:
            if self.messages is not None and self.prompt is not None:
                faults.note(None, "columns.prompt and columns.messages are both set: only one asks")
            columns.pop("prompt" if self.messages is not None else "messages")
        self._require(columns, present, faults)
        return columns

    @staticmethod
    def _require(
        columns: dict[str, tuple[str, ...]], present: Sequence[str], faults: Faults
    ) -> None:
        listed = ", ".join(present) or "none"
        for meaning in ("prompt", "reference"):
            is_there = meaning in columns or (meaning == "prompt" and "messages" in columns)
            if not is_there:
                usual = ", ".join(_USUAL[meaning][:4])
                faults.note(
                    None,
                    f"no column for the {meaning} (looked for {usual} and others; it has {listed}):"
                    f" name it by --params={faults.source}.columns.{meaning}=<column>",
                )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _lettered(by_name: dict[str, str]) -> tuple[str, ...]:
    """Return the columns of choices that are named A, B, C ... or choice_a, option_1 ..."""
    for head in ("", "choice_", "option_", "choice", "option"):
        for signs in ("abcdefghij", "123456789"):
            names: list[str] = []
            for sign in signs:
                if (name := by_name.get(f"{head}{sign}")) is None:
                    break
                names.append(name)
            if len(names) > 1 and (head or signs.startswith("a")):
                return tuple(names)
    return ()
