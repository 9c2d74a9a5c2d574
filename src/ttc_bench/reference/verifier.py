"""The verifier: a process reward model, trained on the target's own samples and on slips.

Input is a question with a (partial) solution. At every token of the solution the model says how
likely it is that the solution is right so far; at its last token, that it is right as a whole,
which also covers what was left out. The labels come from code, which knows all ways to derive an
answer (see `Task.right_characters`). Labels at every token rather than at the ends of steps are
from Cobbe et al. (2110.14168): they show where a solution goes wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from ttc_bench.reference.batches import IGNORE, Batch, Encoded, collate, cut
from ttc_bench.reference.conversations import TASKS, draft_of
from ttc_bench.reference.crm_tasks import CRM_TASKS
from ttc_bench.reference.network import hidden_states
from ttc_bench.reference.problems import LEVELS, Problem
from ttc_bench.reference.sampling import complete, prompt_text
from ttc_bench.reference.settings import TrainParams, VerifierParams
from ttc_bench.reference.training import autocast
from ttc_bench.reference.worf_tasks import WORF_TASKS

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Judged:
    """A solution and how far it is right.

    Attributes:
        prompt: Chat up to where the assistant starts.
        text: The solution.
        right: Characters that begin a right solution; ``None`` if the text is one.
    """

    prompt: str
    text: str
    right: int | None


def judge(problem: Problem, text: str) -> Judged:
    """Return a solution of a problem, judged by code."""
    right = TASKS[problem.task].right_characters(problem, text)
    return Judged(prompt_text(problem), text, right)


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
    """Return the target's samples on problems, judged by code; CPU cores share the problems."""
    size = 1 if torch.cuda.is_available() else params.sampling_workers
    shares = [(model, tokenizer, problems[i::size], params, i) for i in range(size)]
    if size == 1:
        return _judge_share(*shares[0])
    model.share_memory()  # type: ignore[no-untyped-call]
    with torch.multiprocessing.get_context("spawn").Pool(size) as pool:
        return [row for rows in pool.starmap(_judge_share, shares, chunksize=1) for row in rows]


def _judge_share(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    params: VerifierParams,
    number: int,
) -> list[Judged]:
    if params.sampling_workers > 1:
        torch.set_num_threads(1)
    prompts = [prompt_text(p) for p in problems]
    seed = params.train.seed + number
    samples = complete(model, tokenizer, prompts, params.samples, params.temperature, seed)
    return [
        judge(problem, text)
        for problem, texts in zip(problems, samples, strict=True)
        for text in dict.fromkeys(texts)
        if text
    ]


def judge_slips(problems: Sequence[Problem], rng: random.Random) -> list[Judged]:
    """Return gold and slipped solutions, judged by code."""
    return [judge(p, draft_of(p, rng)[0]) for p in problems]


def encode_judged(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Judged]) -> list[Encoded]:
    """Return tokens and, per token, a label: 1 right so far, 0 wrong, `IGNORE` for the prompt."""
    texts = [row.prompt + row.text for row in rows]
    coded = tokenizer.backend_tokenizer.encode_batch(texts)
    return [Encoded(c.ids, _labels(c.offsets, row)) for c, row in zip(coded, rows, strict=True)]


def _labels(offsets: Sequence[tuple[int, int]], row: Judged) -> list[Any]:
    """Label the tokens of the solution; the last one is right if the whole solution is."""
    first = len(row.prompt)
    right = first + (len(row.text) if row.right is None else row.right)
    labels = [int(end <= right) if end > first else IGNORE for _, end in offsets]
    return [*labels[:-1], int(row.right is None)]


def collate_judged(rows: Sequence[Encoded], pad: int) -> Batch:
    """Return a right-padded batch with the labels at the tokens that they judge."""
    plain = collate([Encoded([*r.ids, pad], [False] * (len(r.ids) + 1)) for r in rows], pad)
    for i, (ids, labels) in enumerate(rows):
        plain.labels[i, : len(ids)] = torch.tensor(labels)
    return plain


def judged_feed(
    rows: Sequence[Encoded], pad: int, part_tokens: int, first: int = 0
) -> Iterator[tuple[int, Batch]]:
    """Yield (epoch, batch) without end."""
    epoch = first
    while True:
        order = list(rows)
        random.Random(epoch).shuffle(order)
        pools = [order[i : i + 768] for i in range(0, len(order), 768)]
        for number, pool in enumerate(pools):
            chosen = cut(pool, part_tokens)
            random.Random(f"{epoch}-{number}").shuffle(chosen)
            for batch in chosen:
                yield epoch, collate_judged(batch, pad)
        epoch += 1


def verifier_from(model: LlamaForCausalLM) -> Any:
    """Return a sequence classifier with one output that starts from the target's weights."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    facts = model.config.to_dict()
    facts = {k: v for k, v in facts.items() if k not in ("id2label", "label2id")}
    config = LlamaConfig(**{**facts, "num_labels": 1, "architectures": None})
    verifier: Any = LlamaForSequenceClassification(config)  # type: ignore[no-untyped-call]
    verifier.model.load_state_dict(model.model.state_dict())
    verifier.score.weight.data.zero_()
    return verifier


def judge_loss(
    model: Any, batch: Batch, _params: TrainParams, _rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the binary cross-entropy: half over all tokens, half over whole solutions."""
    wanted = batch.labels != IGNORE
    with autocast(batch.inputs.device):
        states = hidden_states(model.model, batch.inputs)[0][wanted]
    scores = model.score(states.float())[:, 0]
    losses = F.binary_cross_entropy_with_logits(
        scores, batch.labels[wanted].float(), reduction="none"
    )
    whole = losses[wanted.sum(1).cumsum(0) - 1]
    return (losses.mean() + whole.mean()) / 2, whole.mean().detach()


Scorer = Callable[[Sequence[Judged]], list[float]]


@torch.inference_mode()
def score_rows(
    verifier: Any, tokenizer: PreTrainedTokenizerFast, rows: Sequence[tuple[str, str]]
) -> list[float]:
    """Return the verifier's probability that each (prompt, whole solution) is right."""
    texts = [prompt + text for prompt, text in rows]
    ids = [e.ids for e in tokenizer.backend_tokenizer.encode_batch(texts)]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    found = [0.0] * len(ids)
    pad = int(tokenizer.pad_token_id or 0)
    for start in range(0, len(order), 48):
        chosen = order[start : start + 48]
        batch = collate([Encoded([*ids[i], pad], [False] * (len(ids[i]) + 1)) for i in chosen], pad)
        states = hidden_states(verifier.model, batch.inputs.to(verifier.device))[0]
        last = [len(ids[i]) - 1 for i in chosen]
        scores = verifier.score(states[range(len(chosen)), last])[:, 0].sigmoid()
        for i, score in zip(chosen, scores.tolist(), strict=True):
            found[i] = score
    return found
