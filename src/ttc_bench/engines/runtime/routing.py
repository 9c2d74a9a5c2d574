"""Experts that some tokens are routed to and others are not, counted as they run.

Where a router may choose experts that do nothing (the zero-computation experts of LongCat-Flash,
arXiv 2509.01322, section 2.1.1), what a token costs goes with the token. What was chosen is read
where it is handed to the experts, and each choice of one that computes is two operations per
element of its matrices.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn


class VaryingExperts:
    """Counts the choices of experts that compute, in a model where some do not.

    Args:
        model: The model; without such experts nothing is counted.
    """

    def __init__(self, model: nn.Module) -> None:
        self._chosen: dict[str, Tensor] = {}
        self._costs: dict[str, int] = {}
        for name, part in model.named_modules():
            if getattr(part, "zero_expert_num", 0) and hasattr(part, "down_proj"):
                self._listen(name, part)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._costs)

    def spent(self, rows: int) -> list[int]:
        """Return the operations of the last pass in these experts, row by row.

        Args:
            rows: Sequences of the pass, all of as many tokens.
        """
        totals = [0] * rows
        for name, chosen in self._chosen.items():
            counts = chosen.reshape(rows, -1).sum(1).tolist()
            totals = [t + self._costs[name] * n for t, n in zip(totals, counts, strict=True)]
        self._chosen.clear()
        return totals

    def spent_in(self, layer: str) -> int:
        """Return the operations of the last pass in the experts of a layer, by its name.

        Args:
            layer: Its name in the model; empty for all layers.
        """
        prefix = f"{layer}." if layer else ""
        chosen = {name: part for name, part in self._chosen.items() if name.startswith(prefix)}
        return sum(self._costs[name] * int(part.sum()) for name, part in chosen.items())

    def _listen(self, name: str, experts: Any) -> None:
        matrices = (experts.gate_up_proj, experts.down_proj)
        if any(part is None for part in matrices):
            return
        self._costs[name] = 2 * sum(part[0].numel() for part in matrices)
        place = list(inspect.signature(experts.forward).parameters).index("top_k_index")

        def note(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            index = kwargs["top_k_index"] if "top_k_index" in kwargs else args[place]
            self._chosen[name] = index < experts.num_routed_experts

        experts.register_forward_pre_hook(note, with_kwargs=True)
