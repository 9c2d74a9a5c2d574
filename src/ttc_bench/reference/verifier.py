"""The verifier: an implicit process reward model, trained on the target's own samples.

The reward of a solution, or of any part of it, is how much likelier the verifier finds it than
the target that wrote it: ``beta * sum_t log(p_verifier(y_t) / p_target(y_t))`` (Yuan et al.,
"Free process rewards without process labels", arXiv 2412.01981). It takes a causal language model
and labels of whole solutions only; the sum up to a token is the reward of that partial solution.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from ttc_bench.reference.batches import IGNORE, Batch, Encoded, collate, encode
from ttc_bench.reference.conversations import TASKS, Piece
from ttc_bench.reference.crm_tasks import CRM_TASKS
from ttc_bench.reference.network import hidden_states
from ttc_bench.reference.problems import LEVELS, Problem
from ttc_bench.reference.sampling import complete, prompt_text
from ttc_bench.reference.settings import TrainParams, VerifierParams
from ttc_bench.reference.training import autocast
from ttc_bench.reference.worf_tasks import WORF_TASKS

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

POOL = 192
"""Pairs that are sorted by length together."""


@dataclass(frozen=True)
class Judged:
    """A solution and whether it is right.

    Attributes:
        problem: Number of its problem.
        prompt: Chat up to where the assistant starts.
        text: The solution.
        right: Whether it answers the problem.
    """

    problem: int
    prompt: str
    text: str
    right: bool


@dataclass(frozen=True)
class Pair:
    """A right and a wrong solution of one problem, as tokens."""

    right: Encoded
    wrong: Encoded

    def __len__(self) -> int:
        """Return the tokens of the longer one."""
        return max(len(self.right.ids), len(self.wrong.ids))


def draw_problems(rng: random.Random, count: int, worf_share: float) -> list[Problem]:
    """Return problems of the train side, harder ones more often."""
    found = []
    for _ in range(count):
        task = rng.choice(WORF_TASKS if rng.random() < worf_share else CRM_TASKS)
        level = rng.choices(LEVELS, (1, 2, 3))[0]
        found.append(task.problem(rng, level, "train"))
    return found


def judge_samples(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    params: VerifierParams,
) -> list[Judged]:
    """Return the target's samples on problems, judged by code; CPU cores share the problems.

    A problem that no sample solves gets its gold solution.
    """
    size = 1 if torch.cuda.is_available() else params.sampling_workers
    numbered = list(enumerate(problems))
    shares = [(model, tokenizer, numbered[i::size], params, i) for i in range(size)]
    if size == 1:
        return _judge_share(*shares[0])
    model.share_memory()  # type: ignore[no-untyped-call]
    with torch.multiprocessing.get_context("spawn").Pool(size) as pool:
        return [row for rows in pool.starmap(_judge_share, shares, chunksize=1) for row in rows]


def _judge_share(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[tuple[int, Problem]],
    params: VerifierParams,
    number: int,
) -> list[Judged]:
    if params.sampling_workers > 1:
        torch.set_num_threads(1)
    prompts = [prompt_text(problem) for _, problem in problems]
    seed = params.train.seed + number
    samples = complete(model, tokenizer, prompts, params.samples, params.temperature, seed)
    found = zip(problems, samples, strict=True)
    return [row for numbered, texts in found for row in judge(*numbered, texts)]


def judge(number: int, problem: Problem, texts: Iterable[str]) -> list[Judged]:
    """Return different solutions of a problem, judged by code, with a right one among them."""
    task, prompt = TASKS[problem.task], prompt_text(problem)
    found = [
        Judged(number, prompt, text, task.solves(problem, text))
        for text in dict.fromkeys(texts)
        if text
    ]
    if not any(row.right for row in found):
        found.append(Judged(number, prompt, task.gold(problem), True))
    return found


def encode_pairs(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Judged]) -> list[Pair]:
    """Return every wrong solution with a right one of its problem, which serve in turn."""
    pieces = [[Piece(row.prompt), Piece(row.text, learn=True)] for row in rows]
    coded: dict[int, dict[bool, list[Encoded]]] = defaultdict(lambda: {True: [], False: []})
    for row, tokens in zip(rows, encode(tokenizer, pieces), strict=True):
        coded[row.problem][row.right].append(tokens)
    return [
        Pair(both[True][i % len(both[True])], wrong)
        for both in coded.values()
        if both[True]
        for i, wrong in enumerate(both[False])
    ]


def pair_feed(
    pairs: Sequence[Pair], pad: int, part_tokens: int, first: int = 0
) -> Iterator[tuple[int, Batch]]:
    """Yield (epoch, batch) without end; right and wrong solutions alternate in a batch."""
    epoch = first
    while True:
        order = list(pairs)
        random.Random(epoch).shuffle(order)
        for start in range(0, len(order), POOL):
            chosen = cut_pairs(order[start : start + POOL], part_tokens)
            random.Random(f"{epoch}-{start}").shuffle(chosen)
            for part in chosen:
                rows = [row for pair in part for row in (pair.right, pair.wrong)]
                yield epoch, collate(rows, pad)
        epoch += 1


def cut_pairs(pairs: Sequence[Pair], part_tokens: int) -> list[list[Pair]]:
    """Return pairs sorted by length and cut into parts of at most ``part_tokens``."""
    parts: list[list[Pair]] = [[]]
    for pair in sorted(pairs, key=len):
        if parts[-1] and 2 * (len(parts[-1]) + 1) * len(pair) > part_tokens:
            parts.append([])
        parts[-1].append(pair)
    return parts


def log_likelihoods(model: Any, batch: Batch) -> torch.Tensor:
    """Return the log-likelihood of each row's solution given its prompt, shape ``(rows,)``."""
    wanted = batch.labels != IGNORE
    with autocast(batch.inputs.device):
        states = hidden_states(model.model, batch.inputs)[0][wanted]
        logits = F.linear(states, model.lm_head.weight)
    found = -F.cross_entropy(logits.float(), batch.labels[wanted], reduction="none")
    rows = wanted.nonzero()[:, 0]
    return found.new_zeros(len(batch.labels)).index_add(0, rows, found)


def pair_loss(
    model: Any,
    batch: Batch,
    _params: TrainParams,
    _rng: random.Random,
    reference: Any,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of rewards on pairs, and for the log the part that compares them.

    The sum of three: the cross-entropy of each label under its reward (2412.01981, equation 5);
    that of the right solution being the better one of the pair (Bradley-Terry); and that of the
    tokens of right solutions, which keeps the verifier a language model.
    """
    ours = log_likelihoods(model, batch)
    with torch.no_grad():
        theirs = log_likelihoods(reference, batch)
    right, wrong = (beta * (ours - theirs)).view(-1, 2).unbind(1)
    labels = -(F.logsigmoid(right) + F.logsigmoid(-wrong)).mean() / 2
    compared = -F.logsigmoid(right - wrong).mean()
    language = -ours[::2].sum() / (batch.labels[::2] != IGNORE).sum()
    return labels + compared + language, compared.detach()


def verifier_from(target: LlamaForCausalLM, beta: float) -> LlamaForCausalLM:
    """Return a model with the target's weights, whose configuration says how it is read.

    The target is to lie beside it.
    """
    import copy

    verifier = copy.deepcopy(target)
    verifier.config.implicit_reward = {"beta": beta, "reference": "../target"}
    return verifier
