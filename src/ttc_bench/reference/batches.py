"""Batches of generated conversations, made while training, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ttc_bench.reference.conversations import Piece, draw
from ttc_bench.reference.settings import DataParams
from ttc_bench.reference.tokenizer import MAX_LENGTH

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

POOL = 768
"""Conversations that are sorted by length together."""
IGNORE = -100


class Encoded(NamedTuple):
    """A tokenized conversation: token ids, and per token whether the loss is taken on it."""

    ids: list[int]
    learn: list[bool]


class Batch(NamedTuple):
    """Right-padded inputs and labels (already shifted: ``labels[t]`` is the token after t)."""

    inputs: torch.Tensor
    labels: torch.Tensor


def encode(tokenizer: PreTrainedTokenizerFast, pieces: Sequence[Sequence[Piece]]) -> list[Encoded]:
    """Return conversations as tokens; they are tokenized whole, as an engine will do it."""
    texts = ["".join(p.text for p in conversation) for conversation in pieces]
    core = tokenizer.backend_tokenizer
    found = []
    for conversation, coded in zip(pieces, core.encode_batch(texts), strict=True):
        spans, start = [], 0
        for piece in conversation:
            if piece.learn:
                spans.append((start, start + len(piece.text)))
            start += len(piece.text)
        learn = [any(a <= begin < b for a, b in spans) for begin, _ in coded.offsets]
        found.append(Encoded(coded.ids, learn))
    return found


def collate(rows: Sequence[Encoded], pad: int) -> Batch:
    """Return encoded conversations as one right-padded batch."""
    import torch

    width = max(len(row.ids) for row in rows) - 1
    inputs = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORE)
    for i, (tokens, learn) in enumerate(rows):
        inputs[i, : len(tokens) - 1] = torch.tensor(tokens[:-1])
        targets = [t if wanted else IGNORE for t, wanted in zip(tokens, learn, strict=True)]
        labels[i, : len(tokens) - 1] = torch.tensor(targets[1:])
    return Batch(inputs, labels)


def cut(rows: Sequence[Encoded], batch_tokens: int) -> list[list[Encoded]]:
    """Return rows sorted by length and cut into batches of at most ``batch_tokens``."""
    batches: list[list[Encoded]] = [[]]
    for row in sorted(rows, key=lambda r: len(r.ids)):
        if batches[-1] and (len(batches[-1]) + 1) * len(row.ids) > batch_tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def pool(tokenizer: PreTrainedTokenizerFast, data: DataParams, number: int) -> list[Encoded]:
    """Return the conversations of one pool, too long ones left out."""
    rng = random.Random(f"pool-{data.seed}-{number}")
    levels = {"easy": 1.0} if number < data.easy_pools else data.levels
    pieces = [draw(rng, data.formats, levels, data.worf_share)[1] for _ in range(POOL)]
    return [row for row in encode(tokenizer, pieces) if len(row.ids) <= MAX_LENGTH]


def batches(
    tokenizer: PreTrainedTokenizerFast, data: DataParams, batch_tokens: int, first_pool: int = 0
) -> Iterator[tuple[int, Batch]]:
    """Yield (pool number, batch) without end, starting at a pool."""
    number = first_pool
    pad = int(tokenizer.pad_token_id or 0)
    while True:
        rows = cut(pool(tokenizer, data, number), batch_tokens)
        random.Random(number).shuffle(rows)
        for chosen in rows:
            yield number, collate(chosen, pad)
        number += 1
