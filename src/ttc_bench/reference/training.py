"""Training of the causal models: a clock-aware schedule, checkpoints, processes."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ttc_bench.reference.batches import IGNORE, Batch
from ttc_bench.reference.losses import language_loss
from ttc_bench.reference.muon import GroupedMuon
from ttc_bench.reference.network import can_fuse
from ttc_bench.reference.recipe import TrainParams
from ttc_bench.reference.team import Team

logger = logging.getLogger(__name__)

LOG_EVERY = 20


@dataclass
class Progress:
    """Where a training run stands.

    Attributes:
        step: Optimiser steps made.
        tokens: Tokens read.
        elapsed: Seconds trained, over all restarts.
        pool: Pool of data in use.
        curve: Logged points of the loss.
    """

    step: int = 0
    tokens: int = 0
    elapsed: float = 0.0
    pool: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def share(self, params: TrainParams) -> float:
        """Return the share of the budget that is used, by time or by tokens."""
        return max(self.elapsed / 60 / params.max_minutes, self.tokens / params.max_tokens)


def rate(share: float, params: TrainParams) -> float:
    """Return the learning rate as a share of its peak: rise, hold, fall to zero."""
    if share < params.warmup:
        return max(share / params.warmup, 0.02)
    return max(0.0, min(1.0, (1 - share) / (1 - params.hold)))


def device() -> torch.device:
    """Return where models are trained: a CUDA device if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Optimiser:
    """Muon for the matrices of the layers, AdamW for everything else.

    Args:
        model: The model.
        params: Learning rates.
        rank: Which share of the weights to update.
        size: Number of shares.
    """

    def __init__(
        self, model: torch.nn.Module, params: TrainParams, rank: int = 0, size: int = 1
    ) -> None:
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad][rank::size]
        matrices = [p for n, p in named if p.ndim == 2 and "layers." in n]
        others = [p for n, p in named if p.ndim != 2 or "layers." not in n]
        self.peaks = (params.matrix_lr, params.other_lr)
        self.parts: list[torch.optim.Optimizer] = [
            GroupedMuon(
                matrices,
                lr=params.matrix_lr,
                weight_decay=0.05,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                others, lr=params.other_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
            ),
        ]

    def step(self, scale: float) -> None:
        """Make a step at a share of the peak rates."""
        for part, peak in zip(self.parts, self.peaks, strict=True):
            for group in part.param_groups:
                group["lr"] = peak * scale
            part.step()
            part.zero_grad()

    def state_dict(self) -> list[Any]:
        """Return the state of all parts."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[Any]) -> None:
        """Restore the state of all parts."""
        for part, saved in zip(self.parts, state, strict=True):
            part.load_state_dict(saved)


Loss = Callable[[Any, Batch, TrainParams, random.Random], tuple[torch.Tensor, torch.Tensor]]
Feed = Callable[..., Iterator[tuple[int, Batch]]]


class Trainer:
    """Trains a model until its budget ends; resumes from its own checkpoint.

    Args:
        model: The model, changed in place.
        params: How to train.
        feed: Yields (pool, part of a batch) without end, given the tokens of a part and a pool.
        folder: Where checkpoints lie.
        loss: Loss of one part.
        team: Shared state if several processes train together.
        rank: Number of this process in the team.
    """

    def __init__(
        self,
        model: Any,
        params: TrainParams,
        feed: Feed,
        folder: Path,
        loss: Loss = language_loss,
        team: Team | None = None,
        rank: int = 0,
    ) -> None:
        self.model, self.params, self.feed, self.loss = model, params, feed, loss
        self.device = next(model.parameters()).device
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.team = team or Team(1, sum(p.numel() for p in self.weights))
        self.rank, self.folder = rank, folder
        self.optimiser = Optimiser(model, params, rank, self.team.size)
        self.progress = Progress()

    def restore(self) -> bool:
        """Continue from the checkpoint if there is one."""
        path = self._path()
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        if self.rank == 0:
            self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.progress.pool += 1
        logger.info("resumed at step %d", self.progress.step)
        return True

    def save(self) -> None:
        """Write a checkpoint; a kill in the middle leaves the last one whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict() if self.rank == 0 else {},
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        partial = self._path().with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._path())

    def run(self, max_steps: int | None = None) -> Progress:
        """Train until the budget (or a number of steps) ends and return the progress."""
        now = saved = time.monotonic()
        parts = self.feed(self.params.batch_tokens // self.params.parts, self.progress.pool)
        losses: list[torch.Tensor] = []
        self.model.train()
        while self._agree(max_steps, now - saved):
            if self.team.board[2]:
                self.save()
                saved = now
            step = [next(parts) for _ in range(self.params.parts)]
            losses.append(self._step([batch for _, batch in step]))
            before, now = now, time.monotonic()
            self._advance(step, now - before)
            if self.progress.step % LOG_EVERY == 0:
                if self.rank == 0:
                    self._log(losses)
                # Kept small ones lie between freed large ones, whose memory is then lost.
                losses = []
        self.save()
        self.team.meet(self.rank)
        self.model.eval()
        return self.progress

    def _path(self) -> Path:
        return self.folder / ("checkpoint.pt" if self.rank == 0 else f"checkpoint-{self.rank}.pt")

    def _agree(self, max_steps: int | None, unsaved: float) -> bool:
        """Let the first process decide on rate, end and checkpoint; return whether to go on."""
        if self.rank == 0:
            share = self.progress.share(self.params)
            done = max_steps is not None and self.progress.step >= max_steps
            done = done or share >= self.params.stop_at
            save = unsaved > 60 * self.params.checkpoint_minutes
            self.team.board[:] = torch.tensor([share, float(done), float(save)])
            self.team.next.value = 0
        self.team.meet(self.rank)
        return not self.team.board[1]

    def _step(self, parts: list[Batch]) -> torch.Tensor:
        counts = [int((part.labels != IGNORE).sum()) for part in parts]
        mean = torch.zeros((), device=self.device)
        early = float(self.team.board[0]) < self.params.exits_from
        without = {"layer_dropout": 0.0, "exit_weight": 0.0}
        active = self.params.model_copy(update=without) if early else self.params
        while (number := self.team.claim()) < len(parts):
            part = Batch(*(tensor.to(self.device, non_blocking=True) for tensor in parts[number]))
            weight = counts[number] / sum(counts)
            rng = random.Random(f"{self.params.seed}-{self.progress.step}-{number}")
            loss, plain = self.loss(self.model, part, active, rng)
            (loss * weight).backward()  # type: ignore[no-untyped-call]
            mean += plain * weight
        mean = self._exchange(mean)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step(rate(float(self.team.board[0]), self.params))
        self.model.zero_grad()
        return mean

    def _exchange(self, mean: torch.Tensor) -> torch.Tensor:
        """Put the sum of all processes' gradients in place and return that of their losses."""
        if self.team.size == 1:
            return mean
        self.team.losses[self.rank] = mean
        none = torch.zeros(())
        grads = [none.expand_as(p) if p.grad is None else p.grad for p in self.weights]
        self.team.grads[self.rank] = torch.cat([grad.reshape(-1) for grad in grads])
        self.team.meet(self.rank)
        sums = torch.split(self.team.grads.sum(0), [p.numel() for p in self.weights])
        for weight, grad in zip(self.weights, sums, strict=True):
            weight.grad = grad.view_as(weight)
        return self.team.losses.sum()

    def _advance(self, step: list[tuple[int, Batch]], seconds: float) -> None:
        self.progress.step += 1
        self.progress.tokens += sum(batch.inputs.numel() for _, batch in step)
        self.progress.elapsed += seconds
        self.progress.pool = step[-1][0]

    def _log(self, losses: list[torch.Tensor]) -> None:
        point = {
            "step": float(self.progress.step),
            "tokens": float(self.progress.tokens),
            "minutes": round(self.progress.elapsed / 60, 3),
            "loss": float(torch.stack(losses).mean()),
        }
        self.progress.curve.append(point)
        speed = self.progress.tokens / max(self.progress.elapsed, 1e-9)
        logger.info(
            "step %d, %.1f min, loss %.4f, %.0f tokens/s",
            self.progress.step,
            point["minutes"],
            point["loss"],
            speed,
        )


def train(
    model: Any,
    params: TrainParams,
    feed: Feed,
    folder: Path,
    loss: Loss = language_loss,
    max_steps: int | None = None,
) -> Progress:
    """Train a model with one process per worker (CPU), or in this one (CUDA).

    On CUDA a step has one part, and other processes make data ahead.

    Args:
        model: The model, changed in place.
        params: How to train.
        feed: Yields (pool, part of a batch) without end, given the tokens of a part and a pool;
            picklable.
        folder: Where checkpoints lie; a run that finds one there continues it.
        loss: Loss of one part; picklable.
        max_steps: Stop here at the latest (for smoke runs).
    """
    size, params = _suited(params)
    if device().type == "cuda":
        model.to(device())
        feed = partial(feed, loaders=params.loaders)
    model.share_memory()
    team = Team(size, sum(p.numel() for p in model.parameters() if p.requires_grad))
    arguments = (model, params, feed, folder, loss, team)
    context = torch.multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_work, args=(*arguments, rank, max_steps), daemon=True)
        for rank in range(1, size)
    ]
    for process in others:
        process.start()
    team.workers = others
    progress = _work(*arguments, 0, max_steps)
    for process in others:
        process.join()
    return progress


def _suited(params: TrainParams) -> tuple[int, TrainParams]:
    """Return how many processes train on this machine, and the settings that it can keep."""
    if device().type == "cuda":
        return 1, params.model_copy(update={"parts": 1, "fused": False})
    if params.fused and not can_fuse():
        logger.warning("no C++ compiler: training with the operations one by one, slower")
        params = params.model_copy(update={"fused": False})
    return params.workers, params


def _work(
    model: Any,
    params: TrainParams,
    feed: Feed,
    folder: Path,
    loss: Loss,
    team: Team,
    rank: int,
    max_steps: int | None,
) -> Progress:
    threads = torch.get_num_threads()
    if team.size > 1:
        torch.set_num_threads(1)
    if rank:
        threading.Thread(target=_end_with_the_parent, daemon=True).start()
    trainer = Trainer(model, params, feed, folder, loss, team, rank)
    trainer.restore()
    team.meet(rank)
    progress = trainer.run(max_steps)
    torch.set_num_threads(threads)
    return progress


def _end_with_the_parent() -> None:
    """End this process with the one that started it, which may be killed while others wait."""
    parent = torch.multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
