"""Rows of a table of questions become samples; what is wrong with any of them is told at once."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, NamedTuple

from ttc_bench.benchmarks.scoring.base import RewardRule
from ttc_bench.benchmarks.scoring.readers import LETTERS, is_figure
from ttc_bench.benchmarks.tables import Faults, Row
from ttc_bench.types import Message

_ROLES = ("system", "user", "assistant")


class Cells(NamedTuple):
    """A row as its columns are meant.

    Attributes:
        row: The row.
        columns: Columns by meaning.
        faults: Takes what is wrong with it.
    """

    row: Row
    columns: Mapping[str, tuple[str, ...]]
    faults: Faults

    def note(self, what: str) -> None:
        """Note a fault of the row."""
        self.faults.note(self.row.number, what)

    def value(self, meaning: str) -> Any:
        """Return the cell of a meaning; ``None`` if the table has no such column."""
        names = self.columns.get(meaning)
        return self.row.cells.get(names[0]) if names else None

    def text(self, meaning: str, *, is_needed: bool = False) -> str | None:
        """Return the cell of a meaning as text; ``None`` if it is empty, noted if it is needed."""
        text = as_text(self.value(meaning))
        if text is not None and text.strip():
            return text
        if is_needed and meaning in self.columns:
            self.note(f"{self.columns[meaning][0]!r} is empty")
        return None


def as_text(value: Any) -> str | None:
    """Return a cell as text: what is no text as JSON, missing values as ``None``."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def messages_of(cells: Cells, choices: Sequence[str]) -> tuple[Message, ...]:
    """Return what a row asks: its messages, or context, question and choices in one."""
    if "prompt" not in cells.columns and "messages" in cells.columns:
        return _conversation(cells, "messages")
    if isinstance(cells.value("prompt"), list):
        return _conversation(cells, "prompt")
    prompt = cells.text("prompt", is_needed=True) or ""
    listed = "\n".join(f"{letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False))
    parts = (cells.text("context"), prompt, listed)
    return (Message(role="user", content="\n\n".join(part for part in parts if part)),)


def _conversation(cells: Cells, meaning: str) -> tuple[Message, ...]:
    name, value = cells.columns[meaning][0], cells.value(meaning)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not value:
        cells.note(f"{name!r} is no list of messages")
        return ()
    turns = [
        (t.get("role"), t.get("content")) if isinstance(t, dict) else (None, None) for t in value
    ]
    if any(r not in _ROLES or not isinstance(c, str) or not c.strip() for r, c in turns):
        cells.note(f"{name!r} holds what is no {{role, content}} of {', '.join(_ROLES)}")
        return ()
    if turns[-1][0] != "user" or any(role == "system" for role, _ in turns[1:]):
        cells.note(f"{name!r} must end with the user, and may have a system message as its first")
        return ()
    return tuple(Message(role=role, content=content) for role, content in turns)


def choices_of(cells: Cells) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts of a row's choices and the labels that its data has for them."""
    names = cells.columns.get("choices", ())
    if len(names) > 1:
        values = [(as_text(cells.row.cells.get(name)) or "").strip() for name in names]
        # Fewer choices than columns are usual; one that is missing before others would shift them.
        while values and not values[-1]:
            values.pop()
        return _checked(cells, values), ()
    value = cells.value("choices")
    value = _listed(value) if isinstance(value, str) else value
    labels: Sequence[Any] = ()
    if isinstance(value, dict):
        # As ARC has them: {"text": [...], "label": [...]}.
        labels, value = value.get("label") or (), value.get("text")
    if names and not isinstance(value, list):
        cells.note(f"{names[0]!r} is no list of choices")
    if isinstance(value, list) and value and all(_is_labelled(choice) for choice in value):
        labels, value = [c["label"] for c in value], [c["text"] for c in value]
    texts = [as_text(text) or "" for text in value] if isinstance(value, list) else []
    return _checked(cells, texts) if names else (), tuple(map(str, labels))


def _is_labelled(choice: Any) -> bool:
    return isinstance(choice, dict) and {"label", "text"} <= choice.keys()


def _listed(text: str) -> list[Any] | None:
    """Return the choices in a cell: a JSON list, one a line, or parted by ``|``."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, list):
        return value
    parts = [part.strip() for part in text.split("\n" if "\n" in text.strip() else "|")]
    parts = [re.sub(r"^\(?[A-Z][).:]\s+", "", part) for part in parts if part]
    return parts if len(parts) > 1 else None


def _checked(cells: Cells, texts: Sequence[str]) -> tuple[str, ...]:
    name = cells.columns["choices"][0]
    if any(not text.strip() for text in texts):
        cells.note(f"{name!r} has an empty choice")
    elif not 2 <= len(texts) <= len(LETTERS):
        cells.note(f"{name!r} has {len(texts)} choices: 2 to {len(LETTERS)} can be asked for")
    return tuple(texts)


def references_of(cells: Cells, pattern: str | None, is_json: bool = False) -> tuple[str, ...]:
    """Return the gold answers of a row, read by a pattern where there is one.

    A list holds alternatives, unless answers are JSON: then it is one answer.
    """
    value = cells.value("reference")
    values = value if isinstance(value, list) and not is_json else [value]
    texts = [as_text(item) for item in values]
    name = cells.columns["reference"][0] if "reference" in cells.columns else ""
    if name and (not texts or any(text is None or not text.strip() for text in texts)):
        cells.note(f"{name!r} is empty")
        return ()
    answers = [text.strip() for text in texts if text is not None]
    if pattern is None:
        return tuple(answers)
    marks = [last_match(pattern, answer) for answer in answers]
    if None in marks:
        cells.note(f"{name!r} holds nothing that reference_pattern matches")
        return ()
    return tuple(mark for mark in marks if mark is not None)


def last_match(pattern: str, text: str) -> str | None:
    """Return the last match of a pattern, or its first group; ``None`` if there is none."""
    matches = list(re.finditer(pattern, text))
    if not matches:
        return None
    last = matches[-1]
    return str(last[1] if last.re.groups and last[1] is not None else last[0]).strip()


def letter_of(
    cells: Cells, gold: str, choices: Sequence[str], labels: Sequence[str], first: int
) -> str | None:
    """Return the letter of the choice that is right: its text, label, letter or number.

    Args:
        cells: The row.
        gold: The gold answer.
        choices: Texts of the choices.
        labels: Labels that the data has for them.
        first: Number of the first choice, where the gold answer is a number.
    """
    if list(choices).count(gold) > 1:
        cells.note(f"the reference {gold[:40]!r} is there twice among its choices")
        return None
    readings: tuple[Callable[[], int], ...] = (
        lambda: list(choices).index(gold),
        lambda: list(labels).index(gold),
        lambda: LETTERS.index(gold.strip("().").upper()) if len(gold.strip("().")) == 1 else -1,
        lambda: int(gold) - first,
    )
    for reading in readings:
        try:
            place = reading()
        except ValueError:
            continue
        if 0 <= place < len(choices):
            return LETTERS[place]
    is_off = gold.isdecimal() and int(gold) - first == len(choices)
    hint = ": are they counted from 1? Set first_choice to 1" if is_off and not first else ""
    cells.note(f"the reference {gold[:40]!r} names none of its {len(choices)} choices{hint}")
    return None


def shuffled(
    choices: Sequence[str], letters: Sequence[str], seed: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return choices in an order drawn by the seed, and the letters of the right ones there."""
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)
    places = [LETTERS[order.index(LETTERS.index(letter))] for letter in letters]
    return tuple(choices[i] for i in order), tuple(places)


def guessed_reward(references: Sequence[Sequence[str]], has_choices: bool) -> str:
    """Return the reward that suits the gold answers, for sources that name none."""
    if has_choices:
        return "choice"
    golds = [gold for row in references for gold in row]
    is_numeric = bool(golds) and all(is_figure(g) for g in golds)
    return "numeric" if is_numeric else "normalised"


def check_golds(
    cells: Cells, golds: Sequence[str], rule: RewardRule, options: Mapping[str, Any]
) -> None:
    """Note the gold answers of a row by which no answer could be scored."""
    for gold in golds if rule.fault else ():
        assert rule.fault is not None
        if what := rule.fault(gold, **options):
            cells.note(f"the reference {gold[:40]!r} {what}")
