"""Tables of questions: CSV, TSV, JSON, JSONL, Parquet and Excel files, folders and the hub.

A table is read whole, and everything that is wrong with it is told at once.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

from ttc_bench.benchmarks.records import fetch_parquet
from ttc_bench.errors import DataError

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        number: Where it stands, as its file counts: rows of a sheet with the header as row 1, lines
            of a JSONL file, else records from 1.
        cells: Its values by column; text as it is written.
    """

    number: int
    cells: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """Return the cell of a column, or a part of what it holds by a dotted name.

        Of a list it is the part of each of its objects; ``None`` where there is none.
        """
        if name in self.cells:
            return self.cells[name]
        column, *parts = name.split(".")
        value = self.cells.get(column)
        for part in parts if column in self.cells else ():
            value = json_of(value)
            if isinstance(value, list):
                value = [item.get(part) if isinstance(item, dict) else None for item in value]
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value


def json_of(value: Any) -> Any:
    """Return what a cell is the JSON text of, an object or a list; any other cell as it is."""
    if not (isinstance(value, str) and value.strip()[:1] in ("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


class Faults:
    """What is wrong with a file, row by row; equal faults are told together.

    Args:
        file: The file, as messages name it.
        key: The parameter that names it.
    """

    def __init__(self, file: str, key: str) -> None:
        self._file, self._key = file, key
        self._rows: dict[str, list[int]] = {}

    @property
    def source(self) -> str:
        """Parameters of the source that the file is of."""
        return self._key.rpartition(".")[0]

    def note(self, number: int | None, what: str) -> None:
        """Note a fault of a row, or of the whole file."""
        self._rows.setdefault(what, []).extend([] if number is None else [number])

    def tell(self) -> None:
        """Raise one error with all faults, if there are any.

        Raises:
            DataError: A line per kind of fault, with the numbers of its rows.
        """
        if not self._rows:
            return
        lines = [f"{_rows_named(rows)}{what}" for what, rows in self._rows.items()]
        raise DataError("\n".join(f"{self._key}: {self._file}: {line}." for line in lines))


def _rows_named(numbers: list[int]) -> str:
    """Return the rows of a fault in words, neighbours as a range: all of them, however many."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    named = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    if not named:
        return ""
    return f"row {named[0]}: " if len({*numbers}) == 1 else f"rows {', '.join(named)}: "


class Table(NamedTuple):
    """A table as it was read.

    Attributes:
        name: The file or data set, as messages name it.
        rows: Its rows, in order.
        faults: Collects what is wrong with it; what reading found is in it.
    """

    name: str
    rows: list[Row]
    faults: Faults

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order in which they first occur."""
        return list(dict.fromkeys(name for row in self.rows for name in row.cells))


def read_tables(path: str, key: str, subset: str | None, split: str | None) -> list[Table]:
    """Return the tables of a file, of a folder of files, or of a data set on the hub.

    Args:
        path: File, folder, or id of a Hugging Face data set (``owner/name``); what lies here goes
            before what has the same name on the hub.
        key: The parameter that gave the path, for error messages.
        subset: Folder (of a folder or of the hub's data set) to keep, or file by its name without
            ending, which then is all of the subset; ``None`` keeps all.
        split: Split to keep, by the name of its folder or the beginning of its file's name.

    Raises:
        DataError: If there is no such file, it cannot be read as what its name says, or holds
            nothing.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return [read_table(place, key)]
    if place.is_dir():
        files = [f for f in sorted(place.rglob("*")) if f.suffix.lower() in _READERS]
        files = [f for f in files if _is_of(f.relative_to(place), subset, split)]
        if not files:
            asked = "".join(f" of {name!r}" for name in (subset, split) if name)
            raise DataError(f"{key}: the folder {path!r} holds no {_KINDS} file{asked}.")
        return [read_table(file, key) for file in files]
    if not _HUB.fullmatch(path) or Path(path).suffix.lower() in _READERS:
        raise DataError(
            f"{key}: there is no file or folder {path!r}. Give the path of a {_KINDS} file, or the"
            " id of a Hugging Face data set (owner/name)."
        )
    return [read_table(f, key) for f in fetch_parquet(path, split or "", key, subset or "")]


def _is_of(file: Path, subset: str | None, split: str | None) -> bool:
    folders = file.parts[:-1]
    if subset is not None and file.stem == subset:
        return True
    is_of_split = split is None or split in folders or re.split(r"[-_.]", file.name)[0] == split
    return is_of_split and (subset is None or subset in folders)


def read_table(file: Path, key: str) -> Table:
    """Return the rows of one file.

    Raises:
        DataError: If it is of another kind, or cannot be read at all.
    """
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise DataError(f"{key}: {file.name!r} is no {_KINDS} file.")
    faults = Faults(str(file), key)
    try:
        rows = list(reader(file, faults))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{key}: {file} is not in UTF-8 (byte {error.start}). Save it as UTF-8."
        ) from error
    except (ValueError, OSError, csv.Error) as error:
        raise DataError(f"{key}: {file} cannot be read as {file.suffix[1:]}: {error}") from error
    if not rows:
        faults.note(None, "holds no question")
    return Table(str(file), rows, faults)


def _text(file: Path) -> str:
    """Return the text of a file.

    Raises:
        ValueError: If it holds what no text does, as one in UTF-16 without its mark.
    """
    text = file.read_text(encoding="utf-8-sig")
    if "\0" in text:
        raise ValueError("it holds NUL characters; save it as UTF-8")
    return text


_SEPARATOR = re.compile(r"sep=([,;|\t])[ \t]*(?=\r?\n)")


def _read_csv(file: Path, faults: Faults) -> Iterator[Row]:
    text = _text(file)
    told = _SEPARATOR.match(text)
    # The sign that parts the header parts the rows; a sniffer is misled by long texts.
    unquoted = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    sign = "\t" if file.suffix.lower() == ".tsv" else max(",;\t|", key=unquoted.count)
    if told:
        # As Excel writes it for itself; an empty row in its place, so that rows keep their numbers.
        sign, text = told[1], text[told.end() :]
    # Cells of any length: the library's own bound is 128 KiB.
    csv.field_size_limit(2**31 - 1)
    sheet = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    return _sheet(_counted(sheet), faults)


def _counted(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file by their numbers.

    Raises:
        ValueError: At the first row that cannot be read, with its number.
    """
    number = 0
    while True:
        number += 1
        try:
            yield number, next(sheet)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"row {number}: {error}; check its quotes") from error


def _read_excel(file: Path, faults: Faults) -> Iterator[Row]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise DataError(
            f'{file}: Excel files need openpyxl: pip install "ttc-bench[questions]", or save it as'
            " CSV."
        ) from error
    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # zipfile's, openpyxl's and the XML parser's own
        raise ValueError(error) from error
    lines = ([_shown(c.value, c.number_format) for c in line] for line in book.active.iter_rows())
    return _sheet(enumerate(lines, start=1), faults)


def _shown(cell: Any, form: str | None) -> str:
    """Return a cell of a sheet as its reader sees it: 15 digits, percent where it is shown so."""
    if cell is None:
        return ""
    if isinstance(cell, float) or (isinstance(cell, int) and "%" in (form or "")):
        return f"{100 * cell:.15g}%" if "%" in (form or "") else f"{cell:.15g}"
    return shown_date(cell) if isinstance(cell, date | time) else str(cell)


def shown_date(moment: date | time) -> str:
    """Return a date or a time as text; a day that spreadsheets and pandas keep as its midnight."""
    if isinstance(moment, datetime) and moment.timetz() == time():
        return moment.date().isoformat()
    return moment.isoformat()


def _sheet(lines: Iterable[tuple[int, list[str]]], faults: Faults) -> Iterator[Row]:
    """Yield the rows below the header, blank ones left out; a row counts as its sheet shows it."""
    filled = ((number, line) for number, line in lines if any(cell.strip() for cell in line))
    _, header = next(filled, (0, []))
    names = [name.strip() for name in header]
    while names and not names[-1]:
        names.pop()
    _note_twice(names, faults)
    for number, line in filled:
        if len(line) < len(names) or any(cell.strip() for cell in line[len(names) :]):
            faults.note(number, f"has {len(line)} cells, the header has {len(names)}")
        # A column without a name (pandas' index, the margin of a sheet) means nothing.
        yield Row(number, {n: cell for n, cell in zip(names, line, strict=False) if n})


def _note_twice(names: Sequence[str], faults: Faults) -> None:
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        faults.note(1, f"the column {name!r} is there twice")


def _read_jsonl(file: Path, faults: Faults) -> Iterator[Row]:
    for number, line in enumerate(_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield from _records([(number, json.loads(line, object_pairs_hook=_object))], faults)
        except ValueError as error:
            faults.note(number, f"is no JSON ({error})")


def _read_json(file: Path, faults: Faults) -> Iterator[Row]:
    data = json.loads(_text(file), object_pairs_hook=_object)
    if not isinstance(data, list):
        raise ValueError("the file must hold a list of records")
    return _records(enumerate(data, start=1), faults)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON.

    Raises:
        ValueError: If it says something twice, of which JSON's readers take the last in silence.
    """
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice in one object")
    return dict(pairs)


def _read_parquet(file: Path, faults: Faults) -> Iterator[Row]:
    import pyarrow.parquet

    _note_twice(pyarrow.parquet.read_schema(file).names, faults)
    # A table with one column twice cannot be read.
    faults.tell()
    table = pyarrow.parquet.read_table(file)
    single = [f.name for f in table.schema if pyarrow.types.is_float32(f.type)]
    try:
        records = table.to_pylist(maps_as_pydicts="strict")
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    except UnicodeDecodeError:
        _note_other_encodings(table, faults)
        faults.tell()
        raise
    for record in records:
        record.update({name: _widened(record[name]) for name in single})
    return _records(enumerate(records, start=1), faults)


def _note_other_encodings(table: Any, faults: Faults) -> None:
    """Note the cells of a Parquet file that are called text and hold no UTF-8."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        for number, cell in enumerate(column, start=1):
            try:
                cell.as_py()
            except UnicodeDecodeError:
                faults.note(number, f"{name!r} holds text that is not in UTF-8")


def _widened(value: float | None) -> float | None:
    """Return a number of single precision as the shortest decimal that it stands for."""
    import numpy as np

    return None if value is None else float(str(np.float32(value)))


def _records(records: Iterable[tuple[int, Any]], faults: Faults) -> Iterator[Row]:
    for number, record in records:
        if not isinstance(record, dict):
            faults.note(number, f"is {type(record).__name__}, not an object")
            continue
        if _HALF.search(repr(record)):
            faults.note(number, "holds half of a character (a surrogate), which is no text")
        yield Row(number, record)


_HALF = re.compile(r"\\ud[89a-f][0-9a-f]{2}")
"""A lone surrogate as Python prints it."""


_READERS: dict[str, Callable[[Path, Faults], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".xlsx": _read_excel,
}
_KINDS = "CSV, TSV, JSON, JSONL, Parquet or Excel"
