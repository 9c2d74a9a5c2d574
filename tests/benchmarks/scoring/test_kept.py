"""What an encoder made of a text is the same to the bit, whether it is kept or made anew."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ttc_bench.benchmarks.scoring.encoder import EMBEDDED, LISTS, SENTENCES, Encoder
from ttc_bench.benchmarks.scoring.kept import Kept, Kind, _machine, keeping
from ttc_bench.metrics.bertscore import PAIRS, _Matcher, bert_scores

TEXTS = ["Close the case.", "close the case.", "", "Käse \0", "Look up the account " * 40]
PLANS = [("ask the owner", "ask the owner", "wait"), ("wait", "ask the owner")]
ANSWERS = [("Close the case.", "Keep the case."), ("a\0b", "c"), ("a", "b\0c")]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "folder" / "encoded.sqlite")


KIND = Kind("rows", 99, ())


def ones(kind: Kind, *texts: str) -> dict[str, np.ndarray]:
    return {text: np.ones(3, np.float32) for text in texts}


def test_a_later_process_gets_the_same_bits_and_loads_no_model(kept: Kept) -> None:
    def made(store: Kept | None) -> tuple[list[bytes], bool]:
        encoder, matcher = Encoder(EMBEDDED), _Matcher(EMBEDDED)
        with keeping(store):
            vectors = encoder.embed(TEXTS)
            ties = encoder.official_similarity(*PLANS)
            scores = matcher.made(ANSWERS)
        assert list(scores.values()) == bert_scores(ANSWERS, EMBEDDED)
        is_loaded = encoder._model is not None or "_model" in vars(matcher)
        return [vectors.tobytes(), ties.tobytes(), repr(scores).encode()], is_loaded

    without, _ = made(None)
    assert made(kept) == (without, True)
    assert made(kept) == (without, False)


def test_another_model_keeps_nothing(kept: Kept, tmp_path: Path) -> None:
    with keeping(kept):
        assert Encoder(str(tmp_path))._kept_as(SENTENCES) is None
    assert {kind.name for kind in (SENTENCES, LISTS, PAIRS)} == {"sentences", "lists", "pairs"}


def test_other_code_finds_nothing_of_it_and_code_is_what_was_loaded(
    kept: Kept, tmp_path: Path
) -> None:
    code = tmp_path / "code.py"
    code.write_text("one")
    loaded = Kind("rows", 9, (str(code),))
    code.write_text("two")
    kept.put(loaded, {"text": np.ones(3, np.float32)})
    assert not kept.get(Kind("rows", 9, (str(code),)), ["text"])
    code.write_text("one")
    assert kept.get(Kind("rows", 9, (str(code),)), ["text", "other"]).keys() == {"text"}


def test_another_way_of_rounding_finds_nothing_of_it(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(KIND, ones(KIND, "text"))
    try:
        for name in ("ATEN_CPU_CAPABILITY", "MKL_CBWR"):
            with monkeypatch.context() as environment:
                environment.setenv(name, "other")
                _machine.cache_clear()
                assert not kept.get(KIND, ["text"])
    finally:
        _machine.cache_clear()
    assert kept.get(KIND, ["text"])


def test_the_oldest_go_first(kept: Kept) -> None:
    kind = Kind("rows", 3, ())
    for number in range(5):
        kept.put(kind, ones(kind, str(number)))
    kept.put(kind, ones(kind, "2"))
    assert kept.get(kind, "01234").keys() == {"2", "3", "4"}


def changed(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("update rows set value = cast(value || x'00' as blob)")


def nulls(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.executescript("drop table rows; create table rows (key blob primary key, value)")
        file.executemany("insert into rows values (?, ?)", [(KIND.key("new"), 1), (b"", None)])


def swapped(path: Path) -> None:
    """A value stands under the key of another text."""
    with sqlite3.connect(path) as file:
        file.execute("update rows set value = (select value from rows order by key desc limit 1)")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a value changed": changed,
    "values swapped": swapped,
    "numbers for bytes": nulls,
    "a name that is no text": lambda path: path.write_bytes(
        path.read_bytes().replace(b"CREATE TABLE rows", b"CREATE TABLE \xf0ows")
    ),
    "no database": lambda path: path.write_bytes(b"text" * 999),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "another table": lambda path: sqlite3.connect(path).executescript(
        "drop table rows; create table rows (x)"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_not_taken_and_can_be_kept_anew(damage: str, kept: Kept) -> None:
    kind = KIND
    texts = {f"\ud800{number}": float(number) for number in range(50)}
    kept.put(kind, {text: np.full(3, number, np.float32) for text, number in texts.items()})
    DAMAGE[damage](kept._path)
    for text, numbers in kept.get(kind, texts).items():
        assert numbers.tolist() == [texts[text]] * 3
    kept.put(kind, ones(kind, "new"))
    kept.put(kind, ones(kind, "new"))
    if damage != "another table":
        assert kept.get(kind, ["new"])["new"].tolist() == [1.0, 1.0, 1.0]


def test_a_file_that_is_locked_or_cannot_be_costs_nothing_but_time(
    kept: Kept, tmp_path: Path
) -> None:
    kind = Kind("rows", 99, ())
    kept.put(kind, ones(kind, "text"))
    with sqlite3.connect(kept._path) as other:
        other.execute("begin exclusive")
        begun = time.monotonic()
        assert not kept.get(kind, ["text"])
        for _ in range(20):
            kept.put(kind, ones(kind, "new"))
        assert time.monotonic() - begun < 15, "it is waited for once"
    assert Kept(kept._path).get(kind, ["text", "new"]).keys() == {"text"}
    (tmp_path / "file").write_text("")
    nowhere = Kept(tmp_path / "file" / "encoded.sqlite")
    nowhere.put(kind, ones(kind, "text"))
    assert not nowhere.get(kind, ["text"])
