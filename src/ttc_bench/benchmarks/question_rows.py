"""Rows of a table of questions become samples; what is wrong with any of them is told at once."""

from __future__ import annotations

import ast
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from ttc_bench.benchmarks.patterns import last_match
from ttc_bench.benchmarks.scoring.base import RewardRule
from ttc_bench.benchmarks.scoring.quantity import has_decimal_comma, is_figure, number
from ttc_bench.benchmarks.scoring.readers import LETTERS
from ttc_bench.benchmarks.tables import Faults, Row, json_of, shown_date
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
        return self.cell(names[0]) if names else None

    def cell(self, name: str) -> Any:
        """Return the cell of a column; bytes, of which Parquet has columns, as their text."""
        value = self.row.get(name)
        try:
            return _decoded(value, "strict")
        except UnicodeDecodeError:
            self.note(f"{name!r} holds bytes that are no text in UTF-8")
            return _decoded(value, "replace")

    def text(self, meaning: str, *, is_needed: bool = False) -> str | None:
        """Return the cell of a meaning as text; ``None`` if it is empty, noted if it is needed."""
        text = as_text(self.value(meaning))
        if text is not None and text.strip():
            self.check(meaning, text)
            return text
        if is_needed and meaning in self.columns:
            self.note(f"{self.columns[meaning][0]!r} is empty")
        return None

    def check(self, meaning: str, text: str) -> None:
        """Note a text that a spreadsheet writes where it could not compute one."""
        if _FAILED.fullmatch(text.strip()):
            self.note(f"{self.columns[meaning][0]!r} holds {text.strip()}, a spreadsheet's error")


_FAILED = re.compile(r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!)")


def _decoded(value: Any, errors: str) -> Any:
    """Return a cell with all bytes in it as text.

    Raises:
        UnicodeDecodeError: If some are none, and ``errors`` is strict.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8-sig", errors)
    if isinstance(value, list):
        return [_decoded(part, errors) for part in value]
    if isinstance(value, dict):
        return {name: _decoded(part, errors) for name, part in value.items()}
    return value


def as_text(value: Any) -> str | None:
    """Return a cell as text: what is no text as JSON, missing values as ``None``."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        # As pandas keeps whole numbers beside a missing one.
        value = int(value)
    if isinstance(value, date | time):
        return shown_date(value)
    if isinstance(value, Decimal | timedelta):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _prose(value: Any) -> Any:
    """Return what a cell says: paragraphs one below the other, the text of an object with one."""
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return value["text"]
    is_prose = isinstance(value, list) and all(isinstance(part, str) for part in value)
    return "\n\n".join(value) if is_prose else value


def messages_of(
    cells: Cells, choices: Sequence[str], is_shuffled: bool = False
) -> tuple[Message, ...]:
    """Return what a row asks: its messages or its question, with context and choices in one turn.

    Of a conversation this is the last turn, and what it says already is not said again.
    """
    context = as_text(_prose(cells.value("context")))
    listed = "\n".join(f"{letter}) {text}" for letter, text in zip(LETTERS, choices, strict=False))
    meaning = "prompt" if "prompt" in cells.columns else "messages"
    if meaning == "prompt" and not isinstance(cells.value(meaning), list):
        text = cells.text(meaning, is_needed=True) and as_text(_prose(cells.value(meaning)))
        asked = [Message(role="user", content=text or "")]
    else:
        asked = list(_conversation(cells, meaning))
        said = "\n".join(message.content for message in asked)
        context = None if context and context.strip() in said else context
        if choices and all(_says(said, choice) for choice in choices):
            listed = ""
            if is_shuffled:
                cells.note("its messages list its choices, whose order cannot be shuffled there")
    if asked:
        parts = (context, asked[-1].content, listed)
        asked[-1] = Message(role="user", content="\n\n".join(p for p in parts if p and p.strip()))
    return tuple(asked)


def _says(text: str, choice: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", text) is not None


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
        values = [(as_text(cells.cell(name)) or "").strip() for name in names]
        # Fewer choices than columns are usual; one that is missing before others would shift them.
        while values and not values[-1]:
            values.pop()
        return _checked(cells, values), ()
    value = cells.value("choices")
    try:
        value = _literal(value) if isinstance(value, str) else value
    except ValueError as error:
        cells.note(f"{names[0]!r} holds {error}")
        return (), ()
    value = _listed(value) if isinstance(value, str) else value
    labels: Sequence[Any] = ()
    if isinstance(value, dict):
        labels, value = _labelled(value)
    if names and not isinstance(value, list):
        cells.note(
            f"{names[0]!r} is no list of choices: give a JSON list, one choice on each line, or"
            " parts between |"
        )
        return (), ()
    if isinstance(value, list) and value and all(_is_labelled(choice) for choice in value):
        labels, value = [c["label"] for c in value], [c["text"] for c in value]
    texts = [as_text(text) or "" for text in value] if isinstance(value, list) else []
    return _checked(cells, texts) if names else (), tuple(map(str, labels))


def _labelled(value: Mapping[str, Any]) -> tuple[Sequence[Any], Any]:
    """Return labels and texts of choices: ``{"text": [...], "label": [...]}``, or text by label."""
    if "text" in value or not all(isinstance(text, str) for text in value.values()):
        return value.get("label") or (), value.get("text")
    return list(value), list(value.values())


def _is_labelled(choice: Any) -> bool:
    return isinstance(choice, dict) and {"label", "text"} <= choice.keys()


def _listed(text: str) -> list[Any] | None:
    """Return the choices in a cell: one a line, or parted by ``|``."""
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


def references_of(cells: Cells, pattern: str | None, reward: str | None) -> tuple[str, ...]:
    """Return the gold answers of a row, read by a pattern where there is one.

    A list holds alternatives, unless answers are JSON: then it is one answer.
    """
    name = cells.columns["reference"][0] if "reference" in cells.columns else ""
    try:
        values = list(_golds(cells.value("reference"), reward, is_text=pattern is None))
    except ValueError as error:
        cells.note(f"{name!r} holds {error}")
        return ()
    texts = [as_text(item) for item in values]
    if name and (not texts or any(text is None or not text.strip() for text in texts)):
        cells.note(f"{name!r} is empty")
        return ()
    answers = [text.strip() for text in texts if text is not None]
    for answer in answers:
        cells.check("reference", answer)
    if pattern is None:
        return tuple(dict.fromkeys(answers))
    marks = [last_match(pattern, answer) for answer in answers]
    if None in marks:
        cells.note(f"{name!r} holds nothing that reference_pattern matches")
        return ()
    return tuple(mark for mark in marks if mark is not None)


_SAID = frozenset({None, "normalised", "token_f1"})
"""Rewards (or none yet) that compare whole answers in words: "yes" says what "true" does."""

_READ = _SAID | {"choice", "contains", "math", "numeric"}
"""Rewards by which a gold answer is read: by all others it is what its cell says, to the letter."""


def _golds(value: Any, reward: str | None, *, is_text: bool = True) -> Iterator[Any]:
    """Yield the gold answers that a cell holds.

    Args:
        value: The cell, or a part of it.
        reward: Name of the reward, if it is known.
        is_text: Whether a text may stand for an object or a list.

    Raises:
        ValueError: If it holds what is no answer, saying what.
    """
    is_object = reward in ("json", "json_schema", "judge") or "." in (reward or "")
    if isinstance(value, str) and reward in _READ and is_text:
        value = _parsed(value)
    if isinstance(value, list) and reward not in ("json", "json_schema"):
        for part in value:
            if isinstance(part, list) and not is_object:
                raise ValueError("a list in a list: a list holds answers of which any is right")
            yield from _golds(part, reward, is_text=False)
    elif isinstance(value, dict) and not is_object:
        for part in _answers(value):
            yield from _golds(part, reward, is_text=False)
    elif isinstance(value, bool) and reward in _SAID:
        yield from ("true", "yes") if value else ("false", "no")
    else:
        yield value


def _answers(value: Mapping[str, Any]) -> list[Any]:
    """Return the answers in an object of SQuAD (``text``) or TriviaQA (``value, aliases``)."""
    answers = [value[part] for part in ("value", "text", "aliases") if part in value]
    if not answers:
        raise ValueError(
            f"an object of {', '.join(map(str, value)) or 'nothing'}: name the part that is the"
            " answer by a dotted name (columns.reference: answer.text), or set reward: json if all"
            " of it is"
        )
    return answers


def _parsed(text: str) -> Any:
    """Return the object, or the list of texts, that a text writes in JSON or as Python prints it.

    Raises:
        ValueError: If it is the text of an array, whose parts cannot be told apart any more.
    """
    value = _literal(text)
    is_list = isinstance(value, list) and value and all(isinstance(v, str | dict) for v in value)
    return value if isinstance(value, dict) or is_list else text


def _literal(text: str) -> Any:
    """Return the object or list that a text writes in JSON or as Python prints it, else the text.

    Python's only where it cannot be anything else: a list of texts, or an object with their names.

    Raises:
        ValueError: If it is the text of an array, whose parts cannot be told apart any more.
    """
    value = json_of(text)
    if isinstance(value, str) and re.match(r"\s*(?:\{\s*'[^']*'\s*:|\[\s*['\"])", text):
        if re.search(r"\barray\(|'\s+'", text):
            raise ValueError("the text of an array: save the table as JSONL or Parquet")
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = ast.literal_eval(text.strip())
    return value


def _places(gold: str, choices: Sequence[str], labels: Sequence[str], first: int) -> dict[str, int]:
    """Return the places of choices that a gold answer may name, by the way in which it does.

    Args:
        gold: The gold answer.
        choices: Texts of the choices.
        labels: Labels that the data has for them.
        first: Number of the first choice.
    """
    sign = gold.strip("().").upper()
    places = {
        "text": _at(choices, gold),
        "label": _at(labels, gold),
        "letter": _at(LETTERS, sign) if len(sign) == 1 else -1,
        "number": int(gold) - first if gold.isdecimal() and len(gold) < 9 else -1,
    }
    return {way: place for way, place in places.items() if 0 <= place < len(choices)}


def _at(texts: Sequence[str], text: str) -> int:
    return list(texts).index(text) if text in texts else -1


class Keyed(NamedTuple):
    """The choices of a row, and what its gold answers may name of them.

    Attributes:
        choices: Texts of the choices.
        golds: Gold answers.
        places: Of each gold answer the place of a choice, by the way in which it is named.
    """

    choices: tuple[str, ...]
    golds: tuple[str, ...]
    places: tuple[Mapping[str, int], ...]

    @classmethod
    def of(cls, cells: Cells, golds: tuple[str, ...], first: int) -> Keyed:
        """Return the choices of a row; what is wrong with them is noted."""
        choices, labels = choices_of(cells)
        places = (_places(gold, choices, labels, first) for gold in golds)
        return cls(choices, golds, tuple(places))

    def letters(self, cells: Cells, way: str | None, first: int) -> tuple[str, ...]:
        """Return the letters of the choices that are right; what names none is noted."""
        letters = []
        for gold, places in zip(self.golds, self.places, strict=True):
            named = way if way in places else next(iter(places), None)
            if named is None:
                is_off = not first and gold == str(len(self.choices))
                hint = ": are they counted from 1? Set first_choice to 1" if is_off else ""
                cells.note(
                    f"the reference {gold[:40]!r} names none of its {len(self.choices)} choices"
                    f"{hint}"
                )
            elif named == "text" and self.choices.count(gold) > 1:
                cells.note(f"the reference {gold[:40]!r} is there twice among its choices")
            else:
                letters.append(LETTERS[places[named]])
        return tuple(letters)


def way_of(rows: Sequence[Keyed]) -> tuple[str | None, str]:
    """Return the way in which all gold answers of a table name their choices, and a doubt.

    One way for all of them: where choices are numbers, "2" is a text in one table and the third
    choice in another. Without any, each is named by the first way that names a choice.

    Args:
        rows: The rows; one whose answer names no choice at all decides nothing.
    """
    golds = [(gold, at) for row in rows for gold, at in zip(row.golds, row.places, strict=True)]
    named = [at for _, at in golds if at]
    ways = [way for way in (named[0] if named else ()) if all(way in at for at in named)]
    if not ways:
        return None, ""
    way, *others = ways
    for gold, at in golds:
        if other := next((o for o in others if at and at[o] != at[way]), None):
            return way, (
                f"the reference {gold[:40]!r} may be the {way} or the {other} of a choice, and is"
                f" read as its {way}"
            )
    return way, ""


def shuffled(
    choices: Sequence[str], letters: Sequence[str], seed: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return choices in an order drawn by the seed, and the letters of the right ones there."""
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)
    places = [LETTERS[order.index(LETTERS.index(letter))] for letter in letters]
    return tuple(choices[i] for i in order), tuple(places)


def guessed_reward(references: Sequence[Sequence[str]], has_choices: bool) -> str:
    """Return the reward that suits the gold answers, for sources that name none.

    A comma that parts no thousands may part two answers: no number is guessed from it, nor from
    what begins with an idle zero, as a postcode does.
    """
    if has_choices:
        return "choice"
    golds = [gold for row in references for gold in row]
    is_numeric = bool(golds) and all(
        is_figure(g) and not has_decimal_comma(g) and not re.match(r"0\d", g) for g in golds
    )
    return "numeric" if is_numeric else "normalised"


def read_otherwise(rows: Sequence[tuple[Cells, Sequence[str]]]) -> str:
    """Return, in words, the gold numbers that may be read in another way than they are.

    Decimal commas beside points, or beside commas that part thousands, are noted as faults.

    Args:
        rows: Rows with their gold answers, all of them numbers.
    """
    golds = [(cells, gold) for cells, row in rows for gold in row]
    commas = [(cells, gold) for cells, gold in golds if has_decimal_comma(gold)]
    english = (gold for _, gold in golds if _ENGLISH.search(gold) and not has_decimal_comma(gold))
    if commas and (other := next(english, None)):
        for cells, gold in commas:
            cells.note(
                f"the reference {gold[:40]!r} has a decimal comma, but {other[:40]!r} is written"
                " with a point, or with commas between thousands: write all numbers one way"
            )
    doubtful = [gold for _, gold in golds if has_decimal_comma(gold) or _LETTERED.search(gold)]
    shown = list(dict.fromkeys(doubtful))
    read = [f"{gold!r} is {float(value):.15g}" for gold in shown[:3] if (value := number(gold))]
    return ", ".join(read) + (f" and {len(shown) - 3} others" if len(shown) > 3 else "")


_ENGLISH = re.compile(r"\d\.\d|\d,\d{3}(?!\d)")
_LETTERED = re.compile(r"\d(?:[kKMB]|bn)(?!\w)")


def check_golds(
    cells: Cells, golds: Sequence[str], rule: RewardRule, options: Mapping[str, Any]
) -> None:
    """Note the gold answers of a row by which no answer could be scored."""
    for gold in golds if rule.fault else ():
        assert rule.fault is not None
        if what := rule.fault(gold, **options):
            cells.note(f"the reference {gold[:40]!r} {what}")
