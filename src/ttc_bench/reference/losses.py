"""Losses of the causal models: LayerSkip's early exits (arXiv 2404.16710) and distillation."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F

from ttc_bench.reference.batches import IGNORE, Batch
from ttc_bench.reference.muon import has_bfloat16
from ttc_bench.reference.network import hidden_states, skipped
from ttc_bench.reference.recipe import TrainParams


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return bfloat16 arithmetic for a device that has it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def language_loss(
    model: Any, batch: Batch, params: TrainParams, rng: random.Random, teacher: Any = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training loss, and the plain loss of the full model for the log.

    Logits are computed only where the loss is taken. With a teacher, its distribution is
    mixed in (distillation); with exits, two early layers a step speak through the shared head.
    """
    core, head = model.model, model.lm_head.weight
    skip = skipped(len(core.layers), params.layer_dropout, rng)
    taps = rng.sample(params.exits, min(2, len(params.exits))) if params.exit_weight else []
    with autocast(batch.inputs.device):
        states = hidden_states(core, batch.inputs, skip, taps, params.fused)
        logits = {tap: F.linear(at(batch.places, s), head) for tap, s in states.items()}
    plain = F.cross_entropy(logits[0].float(), batch.labels, ignore_index=IGNORE)
    loss = plain
    if teacher is not None and params.distil_weight:
        soft = distil_loss(teacher, batch, logits[0], params.fused)
        loss = (1 - params.distil_weight) * plain + params.distil_weight * soft
    for tap in taps:
        share = params.exit_weight * tap / len(core.layers)
        early = F.cross_entropy(logits[tap].float(), batch.labels, ignore_index=IGNORE)
        loss = loss + share * early
    return loss, plain.detach()


def at(places: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Return the states, shape ``(rows, length, width)``, at flat positions."""
    return states.flatten(0, 1).index_select(0, places)


def distil_loss(
    teacher: Any, batch: Batch, logits: torch.Tensor, fused: bool = False
) -> torch.Tensor:
    """Return the cross-entropy against the teacher's distribution."""
    with torch.no_grad(), autocast(batch.inputs.device):
        states = at(batch.places, hidden_states(teacher.model, batch.inputs, fused=fused)[0])
        target = F.linear(states, teacher.lm_head.weight).float().softmax(-1)
        real = batch.labels != IGNORE
    losses = -(target * logits.float().log_softmax(-1)).sum(-1)
    return (losses * real).sum() / real.sum()
