"""Pruning keeps a subsequence that carries enough surprisal; keeping all is the baseline."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.engines.completion import TokenLogprob
from ttc_bench.policies.token_pruning import Entropy, TopP
from ttc_bench.types import Job, Message, Role

SURPRISALS = st.lists(st.floats(0, 20), max_size=30)


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(letter in rest for letter in short)


@given(surprisals=SURPRISALS, p=st.floats(0.01, 1.0))
def test_top_p_keeps_the_mass_it_promises_with_the_fewest_tokens(
    surprisals: list[float], p: float
) -> None:
    kept = TopP(p=p).keeps(surprisals)
    mass = sum(s for s, stays in zip(surprisals, kept, strict=True) if stays)
    assert mass >= p * sum(surprisals) - 1e-9
    if p < 1 and any(kept):
        least = min(s for s, stays in zip(surprisals, kept, strict=True) if stays)
        assert mass - least < p * sum(surprisals) + 1e-9


@given(surprisals=SURPRISALS, threshold=st.floats(0, 20))
def test_entropy_drops_exactly_what_is_below_the_threshold(
    surprisals: list[float], threshold: float
) -> None:
    assert Entropy(threshold_nats=threshold).keeps(surprisals) == [
        s >= threshold for s in surprisals
    ]


@given(text=st.text(max_size=60), data=st.data())
def test_pruned_text_is_a_subsequence_that_keeps_the_instruction(
    text: str, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)) | {0, len(text)})
    spans = pairwise(cuts)
    tokens = [TokenLogprob(a, b, -data.draw(st.floats(0, 9))) for a, b in spans]
    policy = TopP(p=0.5, keep_lines=1)
    message = Message(role="user", content=text)
    pruned, dropped = policy.prune(text, tokens, policy.prunable(message, is_last=True))
    assert is_subsequence(pruned, text)
    assert (pruned == text) == (dropped == 0)
    assert pruned.count("\n") == text.count("\n"), "line breaks stay"
    first = text.splitlines(keepends=True)[:1]
    if first:
        assert pruned.startswith(first[0])


def test_only_facts_are_pruned_never_instructions() -> None:
    policy = TopP(p=0.5, keep_lines=1, sections=("# Facts",))
    system = "You help.\n# Facts\n## A\nx\n# Form\nOne line.\n"

    def open_text(role: Role, text: str, is_last: bool) -> list[str]:
        spans = policy.prunable(Message(role=role, content=text), is_last)
        return [text[span.start : span.stop] for span in spans]

    assert open_text("system", system, False) == ["## A\nx\n"]
    assert open_text("user", "Who?\nrecord 1\nrecord 2", True) == ["record 1\nrecord 2"]
    assert open_text("user", "Who?", True) == []
    assert open_text("user", "an example\nrecord", False) == []
    assert open_text("assistant", "an example\nAnswer: x", False) == []


def test_pruning_shortens_the_prompt_and_the_bill_says_so(answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, session = answer("token_pruning.top_p", job, p=0.6)
        _, plain = answer("baseline.greedy", job)
        own = next(call for call in session.ledger.calls if call.role == "target")
        assert own.prompt_tokens < plain.ledger.calls[0].prompt_tokens
        assert own.prompt_share_kept == outcome.info["prompt_share_kept"] < 1.0
        scorer = next(call for call in session.ledger.calls if call.role == "draft")
        assert scorer.flops is not None
        assert scorer.flops > 0, "the scorer's reading is part of the price"
