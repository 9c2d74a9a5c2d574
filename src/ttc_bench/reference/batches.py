"""Batches of generated conversations, made while training, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ttc_bench.reference.conversations import Piece, draw
from ttc_bench.reference.recipe import DataParams
from ttc_bench.reference.tokenizer import MAX_LENGTH

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

AHEAD = 2
"""Pools that each loading process makes ahead."""
IGNORE = -100
"""Label of a place that is there only to fill up."""
WIDTHS, ROWS, PLACES = 32, 8, 512
"""What lengths, rows and places are multiples of: a GPU is slow at each shape it has not seen."""


class Encoded(NamedTuple):
    """A tokenized conversation: token ids, and per token whether the loss is taken on it."""

    ids: list[int]
    learn: list[bool]


class Batch(NamedTuple):
    """Right-padded rows, and what is to be learnt from them.

    Where the loss is taken is told by numbers, not by a mask, so that a GPU need not be waited
    for to count them.

    Attributes:
        inputs: Token ids, shape ``(rows, length)``.
        places: Positions in the flattened inputs after which the loss is taken, and zeros.
        labels: The tokens that follow these positions, and `IGNORE` where there is none.
    """

    inputs: torch.Tensor
    places: torch.Tensor
    labels: torch.Tensor


Arrays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""A batch as it travels between processes."""


def encode(tokenizer: PreTrainedTokenizerFast, pieces: Sequence[Sequence[Piece]]) -> list[Encoded]:
    """Return conversations as tokens; they are tokenized whole, as an engine will do it."""
    texts = ["".join(p.text for p in conversation) for conversation in pieces]
    core = tokenizer.backend_tokenizer
    encoded = []
    for conversation, coded in zip(pieces, core.encode_batch(texts), strict=True):
        spans, start = [], 0
        for piece in conversation:
            if piece.learn:
                spans.append((start, start + len(piece.text)))
            start += len(piece.text)
        learn = [any(a <= begin < b for a, b in spans) for begin, _ in coded.offsets]
        encoded.append(Encoded(coded.ids, learn))
    return encoded


def collate(rows: Sequence[Encoded], pad: int) -> Arrays:
    """Return encoded conversations as the arrays of one right-padded batch."""
    width = up(max(len(row.ids) for row in rows) - 1, WIDTHS)
    inputs = np.full((len(rows), width), pad, np.int64)
    places, labels = [], []
    for i, (tokens, learn) in enumerate(rows):
        inputs[i, : len(tokens) - 1] = tokens[:-1]
        own = np.flatnonzero(learn[1:])
        places.append(own + i * width)
        labels.append(np.asarray(tokens[1:], np.int64)[own])
    learned, targets = np.concatenate(places), np.concatenate(labels)
    fill = (0, up(len(learned), PLACES) - len(learned))
    return inputs, np.pad(learned, fill), np.pad(targets, fill, constant_values=IGNORE)


def up(number: int, multiple: int) -> int:
    """Return the next multiple that is not below a number."""
    return -(-number // multiple) * multiple


def cut(rows: Sequence[Encoded], batch_tokens: int) -> list[list[Encoded]]:
    """Return rows sorted by length and cut into batches of at most ``batch_tokens``."""
    batches: list[list[Encoded]] = [[]]
    for row in sorted(rows, key=lambda r: len(r.ids)):
        if batches[-1] and (len(batches[-1]) + 1) * up(len(row.ids) - 1, WIDTHS) > batch_tokens:
            full = len(batches[-1]) // ROWS * ROWS or len(batches[-1])
            batches[-1:] = [batches[-1][:full], batches[-1][full:]]
        batches[-1].append(row)
    return batches


def pool(tokenizer: PreTrainedTokenizerFast, data: DataParams, number: int) -> list[Encoded]:
    """Return the conversations of one pool, too long ones left out."""
    rng = random.Random(f"pool-{data.seed}-{number}")
    level = "easy" if number < data.easy_pools else None
    pieces = [draw(rng, data, level)[1] for _ in range(data.pool)]
    return [row for row in encode(tokenizer, pieces) if len(row.ids) <= MAX_LENGTH]


class Pools:
    """All pools by number, as batches of at most ``batch_tokens`` tokens in a mixed order."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, data: DataParams, batch_tokens: int
    ) -> None:
        self.tokenizer, self.data, self.batch_tokens = tokenizer, data, batch_tokens

    def __getitem__(self, number: int) -> list[Arrays]:
        rows = cut(pool(self.tokenizer, self.data, number), self.batch_tokens)
        random.Random(number).shuffle(rows)
        pad = int(self.tokenizer.pad_token_id or 0)
        return [collate(chosen, pad) for chosen in rows]


def batches(
    tokenizer: PreTrainedTokenizerFast,
    data: DataParams,
    batch_tokens: int,
    first_pool: int = 0,
    loaders: int = 0,
) -> Iterator[tuple[int, Batch]]:
    """Yield (pool number, batch) without end, starting at a pool.

    Args:
        tokenizer: The tokenizer.
        data: What to make.
        batch_tokens: Tokens of a batch, padding included.
        first_pool: Where to start.
        loaders: Processes that make pools ahead; the batches and their order are the same.
    """
    import torch
    from torch.utils.data import DataLoader

    made: DataLoader[list[Arrays]] = DataLoader(
        Pools(tokenizer, data, batch_tokens),  # type: ignore[arg-type]
        batch_size=None,
        sampler=count(first_pool),
        num_workers=loaders,
        prefetch_factor=AHEAD if loaders else None,
        collate_fn=_as_it_is,
    )
    for number, rows in zip(count(first_pool), made, strict=False):
        for arrays in rows:
            yield number, Batch(*map(torch.from_numpy, arrays))


def _as_it_is(rows: list[Arrays]) -> list[Arrays]:
    return rows
