"""What a decoding loop works with: the prompt, the models, a sampler and the output stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from ttc_bench.engines.completion import Usage
from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.runner import Runner, WhiteBox
from ttc_bench.engines.runtime.sampler import Sampler, token_logprobs
from ttc_bench.engines.runtime.stream import TokenStream
from ttc_bench.engines.trace import TokenTrace


@dataclass
class DecodeContext:
    """One sample being decoded.

    A loop runs passes on `target` with a cache made from `meter`, chooses tokens with `sampler`
    and hands them to `out` until it says that the sample is finished. Everything that runs is
    metered on the way.

    Attributes:
        prompt: Token ids of the rendered prompt.
        target: Runs the answering model.
        sampler: Draws tokens.
        out: Takes tokens.
        load_draft: Returns the runner of the draft model, checked to share the tokenizer.
        meter: What the answering model spent.
        draft_meter: What the draft model spent.
        draft_tokens: Tokens proposed by speculation.
        accepted_tokens: Of these, tokens that the target accepted.
        extra: Facts worth keeping with the completion; JSON-ready.
        prior: What of the model's turn stands in the prompt.
        trace: What became of each token, where the decoding tells.
        leads: The two highest logits before greedy tokens, shape ``(tokens, 2)`` each, where the
            model computes in half precision.
    """

    prompt: list[int]
    target: Runner
    sampler: Sampler
    out: TokenStream
    load_draft: Callable[[], Runner]
    meter: Meter = field(default_factory=Meter)
    draft_meter: Meter = field(default_factory=Meter)
    draft_tokens: int = 0
    accepted_tokens: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    prior: str = ""
    trace: list[TokenTrace] = field(default_factory=list)
    leads: list[Tensor] = field(default_factory=list)

    @property
    def capacity(self) -> int:
        """Positions that prompt and answer can take at most."""
        return len(self.prompt) + self.out.max_tokens

    @property
    def white_box(self) -> WhiteBox:
        """The target's runner, layer by layer.

        Whether its layers open is a capability, which a decoding says it requires.
        """
        return cast(WhiteBox, self.target)

    def tensor(self, tokens: list[int]) -> Tensor:
        """Return token ids as a batch of one row on the target's device."""
        return torch.tensor([tokens], device=self.target.device)

    def step(self, logits: Tensor) -> int | None:
        """Choose a token from ``logits``, shape ``(vocabulary,)``, and emit it.

        Returns:
            The token, or ``None`` if the sample is finished.
        """
        token = self.sampler.choose(logits)
        self.watch(logits.unsqueeze(0))
        done = self.out.emit([token], token_logprobs(logits.unsqueeze(0), [token]))
        return None if done else token

    def watch(self, logits: Tensor) -> None:
        """Keep what `near_ties` looks at, on its device: nothing waits for it.

        Args:
            logits: Those that tokens were chosen by, shape ``(tokens, vocabulary)``.
        """
        if self.sampler.greedy and self.target.dtype != torch.float32:
            self.leads.append(logits.topk(2).values)

    def near_ties(self) -> dict[str, str]:
        """Return the tokens whose two likeliest are equal or neighbours in the model's number type.

        Which one is chosen hangs on the order of the sums, and so on the shape of the pass.
        """
        if not self.leads:
            return {}
        best, second = torch.cat(self.leads).unbind(1)
        ulp = torch.finfo(self.target.dtype).eps * best.abs()
        count = int((best - second <= ulp).sum())
        return {"near_ties": f"{count} of {len(best)} tokens"} if count else {}

    def read_trace(self) -> dict[str, list[tuple[str, str, int | None]]]:
        """Return the trace by its name in ``extra``, with the texts of its tokens, if there is one.

        There is none where it does not tell of just the tokens of the sample, as of one that was
        put together. The clock has stopped by now: reading the texts costs no answer any time.
        """
        told = [token for token, state, _ in self.trace if state != "rejected"]
        if not told or told != list(self.out.tokens):
            return {}
        return {"trace": [(self.out.read(token), s, layer) for token, s, layer in self.trace]}

    def usage(self, reasoning_tokens: int) -> Usage:
        """Return the bill of the sample.

        Args:
            reasoning_tokens: Its tokens that are reasoning.
        """
        own, draft = self.meter, self.draft_meter
        # The last token was never fed back, so a full cache would not hold it.
        full = len(self.prompt) + max(0, len(self.out.tokens) - 1)
        return Usage(
            prompt_tokens=len(self.prompt),
            completion_tokens=len(self.out.tokens),
            reasoning_tokens=reasoning_tokens,
            draft_tokens=self.draft_tokens,
            accepted_tokens=self.accepted_tokens,
            forward_passes=own.passes,
            draft_forward_passes=draft.passes,
            layers_run=own.layers,
            prefill_flops=own.prefill_flops + draft.prefill_flops,
            decode_flops=own.decode_flops + draft.decode_flops,
            peak_kv_bytes=own.peak_kv_bytes + draft.peak_kv_bytes,
            kv_share_kept=min(1.0, own.peak_kv_positions / full),
            padding_share=own.padded_positions / own.positions if own.positions else 0.0,
            batch_size=own.batch_size,
        )
