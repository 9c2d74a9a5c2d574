"""Reading benchmark records from local files and from the Hugging Face hub."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ttc_bench.errors import DataError
from ttc_bench.storable import storable

logger = logging.getLogger(__name__)

PARQUET_BRANCH = "refs/convert/parquet"
"""The branch on which the hub keeps every dataset as Parquet files."""


class Entry(NamedTuple):
    """One record and where it was found.

    Attributes:
        where: File and position, as error messages name it.
        record: The record itself.
    """

    where: str
    record: Mapping[str, Any]

    def get(self, field: str, kind: type | tuple[type, ...]) -> Any:
        """Return a required field.

        Raises:
            DataError: If it is missing or of another type; names file, record and field.
        """
        if field not in self.record:
            raise self.fault(field, "is missing")
        value = self.record[field]
        if not isinstance(value, kind):
            names = kind if isinstance(kind, tuple) else (kind,)
            expected = " or ".join(k.__name__ for k in names)
            raise self.fault(field, f"is {type(value).__name__}, not {expected}")
        return value

    def text(self, field: str, kind: type | tuple[type, ...] = str) -> str:
        """Return a required field as text that is not empty, without white space around it.

        Raises:
            DataError: If it is missing, of another type or empty; names file, record and field.
        """
        text = str(self.get(field, kind)).strip()
        if not text:
            raise self.fault(field, "is empty")
        return text

    def fault(self, field: str, what: str) -> DataError:
        """Return the error that names this record and one of its fields."""
        return DataError(f"{self.where}: field {field!r} {what}.")


def read_entries(path: Path, key: str, id_field: str) -> list[Entry]:
    """Return the records of a JSON, JSONL or Parquet file, or of a folder of such files.

    Args:
        path: File or folder; the files of a folder are read in the order of their names.
        key: The parameter that gave the path, for error messages.
        id_field: Field that identifies a record in error messages.

    Raises:
        DataError: If there is no such file, or it cannot be read as what its name says.
    """
    if not path.exists():
        raise DataError(f"{key}: there is no file or folder {str(path)!r}.")
    files = [path]
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in _READERS]
    if not files:
        raise DataError(f"{key}: the folder {str(path)!r} holds no .json, .jsonl or .parquet file.")
    return [entry for file in files for entry in _read(file, key, id_field)]


def _read(file: Path, key: str, id_field: str) -> Iterator[Entry]:
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise DataError(f"{key}: {file.name!r} is not a .json, .jsonl or .parquet file.")
    try:
        records = list(reader(file))
    except (ValueError, OSError) as error:
        raise DataError(f"{file}: cannot be read as {file.suffix[1:]}: {error}") from error
    for number, record in enumerate(records, start=1):
        where = f"{file}: record {number}"
        if not isinstance(record, dict):
            raise DataError(f"{where}: is {type(record).__name__}, not an object.")
        kept = storable(record)
        name = kept.get(id_field)
        where = where if name is None else f"{where} ({id_field} {name})"
        if kept != record:
            logger.warning(
                "%s: what no table can hold was replaced, such as half characters", where
            )
        yield Entry(where, kept)


def _read_json(file: Path) -> list[Any]:
    data = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(data, list):
        raise ValueError("the file must hold a list of records")
    return data


def _read_jsonl(file: Path) -> Iterator[Any]:
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _read_parquet(file: Path) -> list[Any]:
    import pyarrow.parquet

    rows: list[Any] = pyarrow.parquet.read_table(file).to_pylist()
    return rows


_READERS: dict[str, Callable[[Path], Any]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def fetch_parquet(repository: str, split: str, key: str, subset: str = "") -> list[Path]:
    """Download the Parquet files of one split of a hub dataset and return where they lie.

    Args:
        repository: Name of the dataset, e.g. ``Salesforce/CRMArenaPro``.
        split: Folder of the split's files on the hub's Parquet branch; ``""`` takes all.
        key: The parameter by which a local path can be given instead.
        subset: Folder of the subset there; ``""`` takes all.

    Raises:
        DataError: If the hub cannot be reached, or has no such file; says what to do.
    """
    import httpx
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    hint = f"Give a local file or folder instead: `{key}: <path>`."
    try:
        listed = HfApi().list_repo_files(repository, repo_type="dataset", revision=PARQUET_BRANCH)
        names = [
            name
            for name in listed
            if name.endswith(".parquet") and _in_split(name, split) and _in_split(name, subset)
        ]
        files = [
            Path(hf_hub_download(repository, name, repo_type="dataset", revision=PARQUET_BRANCH))
            for name in names
        ]
    except (OSError, httpx.HTTPError, HfHubHTTPError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise DataError(
            f"the Hugging Face dataset {repository!r} cannot be fetched ({reason}). {hint}"
        ) from error
    if not files:
        raise DataError(
            f"the Hugging Face dataset {repository!r} has no"
            f" {' and no '.join(repr(n) for n in (subset, split) if n) or 'Parquet file'}. {hint}"
        )
    return files


def _in_split(name: str, split: str) -> bool:
    return not split or split in Path(name).parts[:-1]
