"""The verifier: a process reward model, trained on the target's own samples and on slips.

Input is a question with a (partial) solution. At the last token of every step, at the line
break after it and at the end token, the model says how likely it is that the solution is right
so far. The labels come from code, which knows all ways to derive an answer: the first step that is
on none of them is the first wrong one (see `Task.first_error`).
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
from ttc_bench.reference.formats import solution_lines
from ttc_bench.reference.network import hidden_states
from ttc_bench.reference.problems import LEVELS, Problem
from ttc_bench.reference.sampling import complete, prompt_text
from ttc_bench.reference.settings import TrainParams
from ttc_bench.reference.tokenizer import END
from ttc_bench.reference.training import autocast
from ttc_bench.reference.worf_tasks import WORF_TASKS

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Judged:
    """A solution and its first wrong step.

    Attributes:
        prompt: Chat up to where the assistant starts.
        text: The solution.
        wrong: First wrong step, counted from 1; ``None`` if there is none.
    """

    prompt: str
    text: str
    wrong: int | None


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
    count: int,
    temperature: float,
    seed: int,
) -> list[Judged]:
    """Return the target's samples on problems, judged by code."""
    prompts = [prompt_text(p) for p in problems]
    samples = complete(model, tokenizer, prompts, count, temperature, seed)
    return [
        Judged(prompt, text, TASKS[problem.task].first_error(problem, text))
        for prompt, problem, texts in zip(prompts, problems, samples, strict=True)
        for text in dict.fromkeys(texts)
    ]


def judge_slips(problems: Sequence[Problem], rng: random.Random) -> list[Judged]:
    """Return gold and slipped solutions, judged by code."""
    return [Judged(prompt_text(p), *draft_of(p, rng)) for p in problems]


def encode_judged(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Judged]) -> list[Encoded]:
    """Return tokens and, per token, a label: 1 right so far, 0 wrong, `IGNORE` not asked."""
    texts = [row.prompt + row.text + END for row in rows]
    coded = tokenizer.backend_tokenizer.encode_batch(texts)
    return [Encoded(c.ids, _labels(c.offsets, row)) for c, row in zip(coded, rows, strict=True)]


def _labels(offsets: Sequence[tuple[int, int]], row: Judged) -> list[Any]:
    """Label the token that ends each line, its line break, and the end token."""
    marks: dict[int, int] = {}
    at, step = len(row.prompt), 0
    for line in row.text.split("\n"):
        step += len(solution_lines(line))
        right = int(row.wrong is None or step < row.wrong)
        marks[at + len(line)] = right
        marks[at + len(line) + 1] = right
        at += len(line) + 1
    whole = int(row.wrong is None)
    marks[at - 1] = whole
    marks[at - 1 + len(END)] = whole
    first = len(row.prompt)
    return [marks.get(end, IGNORE) if end > first else IGNORE for _, end in offsets]


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
    """Return the binary cross-entropy at the judged tokens."""
    wanted = batch.labels != IGNORE
    with autocast(batch.inputs.device):
        states = hidden_states(model.model, batch.inputs)[0][wanted]
    scores = model.score(states.float())[:, 0]
    loss = F.binary_cross_entropy_with_logits(scores, batch.labels[wanted].float())
    return loss, loss.detach()


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
