"""The decoder layers of any model of the library, found by structure and run through its forward.

Whatever a model does before its layers (embeddings, masks, rotary angles) and after them (final
norm, head, scaling and capping of logits) stays its own code: a pass that shall run other layers
swaps the module list that this code walks over, and puts it back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn


class LayerStack:
    """The layers of a model, and what runs in their place.

    Args:
        owner: The module whose forward walks over the layers.
        name: Its attribute that holds them.
        path: Where the layers stand in the model, as module names tell it.

    Attributes:
        layers: The model's own layers, in order.
    """

    def __init__(self, owner: nn.Module, name: str, path: str) -> None:
        self._owner, self._name = owner, name
        self.path = path
        self.layers: list[Any] = list(getattr(owner, name))

    @classmethod
    def of(cls, model: nn.Module, n_layers: int) -> LayerStack | None:
        """Return the stack of a model: the one module list that is as long as it has layers.

        Where a tower for pictures is as long, it is the list in the model's decoder. ``None`` where
        no list, or more than one outside the layers themselves, is of that length.
        """
        places = [
            (f"{prefix}.{name}".lstrip("."), owner, name)
            for prefix, owner in model.named_modules()
            for name, part in owner.named_children()
            if isinstance(part, nn.ModuleList) and len(part) == n_layers
        ]
        outermost = [
            place
            for place in places
            if not any(place[0].startswith(f"{other[0]}.") for other in places)
        ]
        if len(outermost) > 1 and hasattr(model, "get_decoder"):
            decoder = set(cast(Any, model).get_decoder().modules())
            outermost = [place for place in outermost if place[1] in decoder]
        if len(outermost) != 1:
            return None
        path, owner, name = outermost[0]
        return cls(owner, name, path)

    @contextmanager
    def replaced(self, modules: Sequence[nn.Module]) -> Iterator[None]:
        """Let the model's forward walk over other modules for a while."""
        before = self._owner._modules[self._name]
        self._owner._modules[self._name] = nn.ModuleList(modules)
        try:
            yield
        finally:
            self._owner._modules[self._name] = before


class InPlaceOf(nn.Module):
    """Stands where a layer stood; a model that asks it for anything else reads the layer's own.

    Args:
        layer: The layer.
        run: What runs: takes the layer and its arguments, returns what the layer would.
    """

    def __init__(self, layer: Any, run: Callable[..., Any]) -> None:
        super().__init__()
        # Not a submodule: the layer already has its place in the model.
        object.__setattr__(self, "_layer", layer)
        self._run = run

    def __getattr__(self, name: str) -> Any:
        """Return what is not this module's own from the layer."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(object.__getattribute__(self, "_layer"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run what stands here."""
        return self._run(self._layer, *args, **kwargs)


def hidden_of(output: Any) -> Tensor:
    """Return the hidden states in what a layer returned: a tensor, or the first of several."""
    hidden: Tensor = output if isinstance(output, Tensor) else output[0]
    return hidden


class Stored(Exception):  # noqa: N818 (a signal, not an error)
    """Keys and values of a layer are stored, and nothing else of it shall run."""


class _Left(Exception):  # noqa: N818
    """The last layer is filled, and the logits are known: norm and head need not run again."""


class Climb:
    """One pass of a token through the layers, which it may leave early.

    Above the exit, a layer is called only up to the point where it stores keys and values, which
    it projects from the state at which the token left (CALM, arXiv 2207.07061, section 3.2); one
    that stores none (it shares another's) is not called.

    Args:
        stack: The layers.
        checks: Depths at which the head reads the state, below the full one.
        read: Returns the logits of a layer's output.
        is_sure: Whether to leave with these logits.
        stores: Whether the layer of an index keeps keys and values.
        fill: Given the index of a layer and what would run it, runs it until it has stored them.

    Attributes:
        depth: Layers run; that of the whole stack if the token did not leave.
        readings: Times that the head read.
    """

    def __init__(
        self,
        stack: LayerStack,
        checks: Sequence[int],
        read: Callable[[Any], Tensor],
        is_sure: Callable[[Tensor], bool],
        stores: Callable[[int], bool],
        fill: Callable[[int, Callable[[], Any]], None],
    ) -> None:
        self._stack, self._checks = stack, frozenset(checks)
        self._read, self._is_sure = read, is_sure
        self._stores, self._fill = stores, fill
        self._logits: Tensor | None = None
        self._output: Any = None
        self.depth = len(stack.layers)
        self.readings = 0

    def run(self, forward: Callable[[], Any]) -> Tensor:
        """Run the model's forward; return the logits of its last position, one row each."""
        places = [
            InPlaceOf(layer, self._gate(index)) for index, layer in enumerate(self._stack.layers)
        ]
        try:
            with self._stack.replaced(places):
                logits: Tensor = forward().logits[:, -1].float()
        except _Left:
            assert self._logits is not None
            return self._logits
        self.readings += 1
        return logits

    def _gate(self, index: int) -> Callable[..., Any]:
        last = index + 1 == len(self._stack.layers)

        def gate(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if self._logits is None:
                self._output = layer(*args, **kwargs)
                self._check(index + 1)
                return self._output
            if self._stores(index):
                # By forward itself: hooks see layers that run, and this one does not.
                self._fill(index, lambda: layer.forward(*args, **kwargs))
            if last:
                raise _Left
            return self._output

        return gate

    def _check(self, depth: int) -> None:
        if depth not in self._checks:
            return
        logits = self._read(self._output)
        self.readings += 1
        if self._is_sure(logits):
            self._logits, self.depth = logits, depth
