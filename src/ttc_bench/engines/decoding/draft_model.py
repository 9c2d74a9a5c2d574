"""Speculative decoding with a small draft model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability, Decoding, Requirements
from ttc_bench.engines.decoding.speculation import VERIFIES, Proposal, speculate

if TYPE_CHECKING:
    from torch import Tensor

    from ttc_bench.engines.runtime.context import DecodeContext
    from ttc_bench.engines.runtime.runner import Runner
    from ttc_bench.engines.runtime.sampler import Sampler


class DraftModel(Decoding):
    """Speculative decoding (arXiv 2211.17192, 2302.01318) with drafts of the draft model.

    Attributes:
        k: Tokens drafted per round.
    """

    requires: ClassVar[Requirements] = {
        "target": VERIFIES,
        "draft": VERIFIES | {Capability.DRAFT},
    }
    lossless: ClassVar[bool] = True

    k: int = Field(default=4, ge=1, le=64)

    def run(self, context: DecodeContext) -> None:
        """Decode one sample."""
        runner = context.load_draft()
        cache = runner.new_cache(context.capacity + self.k, [context.draft_meter])
        drafter = ModelDrafter(runner, cache, context.sampler, context.target.outputs)
        speculate(context, drafter, self.k)


class ModelDrafter:
    """Drafts token by token with a model of its own; its cache follows the accepted text.

    Args:
        runner: Runs the draft model.
        cache: Its empty cache.
        sampler: The sample's sampler: drafts are drawn under the same settings.
        outputs: Width of the target's logits. Models of one tokenizer may pad theirs differently;
            what the target does not have is never drafted.
    """

    def __init__(self, runner: Runner, cache: Any, sampler: Sampler, outputs: int) -> None:
        self._runner, self._cache, self._sampler = runner, cache, sampler
        self._outputs = outputs

    def propose(self, sequence: list[int], limit: int) -> Proposal:
        """Return ``limit`` tokens that the draft model puts after ``sequence``.

        Fewer where its context window ends, which may be shorter than the target's, and none after
        a token that it has no embedding for.
        """
        import torch

        proposal = Proposal()
        # The last draft is proposed and not read.
        limit = min(limit, self._runner.max_positions - len(sequence) + 1)
        if limit < 1:
            return proposal
        # All but the rejected drafts of the last round are still in the cache, unchanged.
        self._cache.crop(min(self._cache.length, len(sequence) - 1))
        pending = sequence[self._cache.length :]
        if max(pending) >= self._runner.outputs:
            return proposal
        for _ in range(limit):
            tokens = torch.tensor([pending], device=self._runner.device)
            logits = self._fit(self._runner.forward(tokens, self._cache)[0])
            self._cache.allow_crop()
            pending = [self._choose(logits, proposal)]
        return proposal

    def _fit(self, logits: Tensor) -> Tensor:
        from torch.nn.functional import pad

        missing = self._outputs - len(logits)
        return pad(logits, (0, missing), value=-float("inf")) if missing else logits

    def _choose(self, logits: Tensor, proposal: Proposal) -> int:
        if self._sampler.greedy:
            token = int(logits.argmax())
        else:
            probabilities = self._sampler.probabilities(logits)
            token = self._sampler.draw(probabilities)
            proposal.probabilities.append(probabilities)
        proposal.tokens.append(token)
        return token
