"""Processes that train one model together."""

from __future__ import annotations

from typing import Any

import torch

from ttc_bench.errors import TrainingError

LOOK_S = 5.0
"""Seconds after which a process that waits for others looks whether they are still there."""


class Team:
    """What the processes of one training run share: gradients, orders and meeting points.

    On CPU, one single-threaded process per core beats one process with many threads, all the
    more when other programs use the cores: nobody waits inside an operation. The processes
    share the weights, take the parts of each step from a common counter, and each of them
    updates its own share of the weights.

    Args:
        size: Number of processes.
        weights: Number of weights of the model.
    """

    def __init__(self, size: int, weights: int) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.size = size
        self.grads = _shared(torch.zeros(size, weights))
        self.board = _shared(torch.zeros(3, dtype=torch.float64))  # share, stop, save
        self.losses = _shared(torch.zeros(size))
        self.next = context.Value("q", 0)
        self.workers: list[Any] = []  # known to the first process only
        # Not a barrier: if a process is killed in one, the others wait for it inside a lock.
        self.arrived = context.Semaphore(0)
        self.go = [context.Semaphore(0) for _ in range(size)]

    def claim(self) -> int:
        """Return the number of the next part that nobody has taken."""
        with self.next.get_lock():
            self.next.value += 1
            return int(self.next.value) - 1

    def meet(self, rank: int) -> None:
        """Wait for all processes.

        Raises:
            TrainingError: If one of them has ended.
        """
        if rank:
            self.arrived.release()
            self.go[rank].acquire()
            return
        for _ in range(1, self.size):
            while not self.arrived.acquire(timeout=LOOK_S):
                self._check()
        for gate in self.go[1:]:
            gate.release()

    def _check(self) -> None:
        codes = [worker.exitcode for worker in self.workers if worker.exitcode is not None]
        if codes:
            raise TrainingError(
                f"a training process ended with exit code {codes[0]} (-9 is often for lack of "
                "memory): run again to continue from the last checkpoint."
            )


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    tensor.share_memory_()  # type: ignore[no-untyped-call]
    return tensor
