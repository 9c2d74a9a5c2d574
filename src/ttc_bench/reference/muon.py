"""Muon for all matrices of one shape together, in bfloat16 only where that is quick."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from typing_extensions import override


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 itself.

    A CPU that does not goes by way of float32, forty to a hundred times slower than float32.
    """
    instructions = torch.cpu.get_capabilities()
    return device.type != "cpu" or bool(
        instructions.get("amx_bf16") or instructions.get("avx512_bf16")
    )


class GroupedMuon(torch.optim.Muon):
    """PyTorch's Muon, matrices of one shape orthogonalised together.

    PyTorch's takes them one by one and always in bfloat16: for dozens of small ones a GPU would
    mostly wait for orders, and a processor without bfloat16 arithmetic is far slower in it.

    Momentum is Nesterov's and the step is scaled to AdamW's (arXiv 2502.16982), whatever
    ``nesterov`` and ``adjust_lr_fn`` say.
    """

    @override
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.shape].append(weight)
            for weights in alike.values():
                self._move(group, weights)

    def _move(self, group: dict[str, Any], weights: list[torch.Tensor]) -> None:
        """Make the step of matrices of one shape."""
        grads = [weight.grad for weight in weights if weight.grad is not None]
        moved = [self._moment(weight) for weight in weights]
        torch._foreach_lerp_(moved, grads, 1 - group["momentum"])
        ahead = torch.stack(torch._foreach_lerp(grads, moved, group["momentum"]))
        kind = torch.bfloat16 if has_bfloat16(ahead.device) else ahead.dtype
        steps = orthogonal(
            ahead.to(kind), group["ns_coefficients"], group["ns_steps"], group["eps"]
        ).to(ahead.dtype)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        scale = 0.2 * math.sqrt(max(weights[0].shape)) * group["lr"]
        torch._foreach_add_(weights, list(steps.unbind()), alpha=-scale)

    def _moment(self, weight: torch.Tensor) -> torch.Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        moment: torch.Tensor = state["momentum_buffer"]
        return moment


def orthogonal(
    matrices: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """Return the nearest orthogonal matrices, nearly, by Newton and Schulz's iteration.

    Args:
        matrices: Shape ``(n, rows, columns)``.
        coefficients: Those of the quintic polynomial.
        steps: Iterations.
        eps: Smallest norm to divide by.
    """
    a, b, c = coefficients
    tall = matrices.size(1) > matrices.size(2)
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
