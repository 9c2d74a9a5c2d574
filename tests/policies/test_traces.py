"""Traces tell what really became of each token, step and round."""

from __future__ import annotations

from collections import Counter

from tests.conftest import Answer

from ttc_bench.benchmarks.sim import formats
from ttc_bench.engines.trace import TraceRecord, of_completion
from ttc_bench.policies import Outcome
from ttc_bench.policies.journal import Journal
from ttc_bench.reporting.answers import legend, rounds, tokens_html, tree_text
from ttc_bench.types import Job


def test_drafted_tokens_are_those_of_the_bill(answer: Answer, jobs: list[Job]) -> None:
    for name in ("speculative.draft_model", "speculative.prompt_lookup"):
        outcome, _ = answer(name, jobs[0], Journal())
        completion = outcome.source
        trace = of_completion(completion.extra["trace"])
        states = Counter(record.state for record in trace)
        assert states["accepted"] == completion.usage.accepted_tokens
        assert states["accepted"] + states["rejected"] == completion.usage.draft_tokens
        emitted = [record.text for record in trace if record.state != "rejected"]
        assert len(emitted) == len(completion.token_ids)
        assert "".join(emitted).startswith(completion.text)


def test_each_token_tells_its_layer(answer: Answer, jobs: list[Job]) -> None:
    outcome, _ = answer("early_exit.confidence", jobs[0], Journal(), threshold=0.9)
    completion = outcome.source
    trace = of_completion(completion.extra["trace"])
    assert len(trace) == len(completion.token_ids)
    layers = Counter(str(record.layer) for record in trace[1:])
    assert layers == completion.extra["exit_layers"]
    assert len(layers) > 1


def test_a_replayed_completion_keeps_its_trace(answer: Answer, jobs: list[Job]) -> None:
    pool = Journal()
    first, _ = answer("early_exit.confidence", jobs[0], pool)
    again, _ = answer("early_exit.confidence", jobs[0], pool)
    assert again.source.replayed
    assert of_completion(again.source.extra["trace"]) == of_completion(first.source.extra["trace"])


def test_a_search_tells_its_tree(answer: Answer, marked_jobs: list[Job]) -> None:
    for name in ("tree_search.beam", "tree_search.dvts"):
        outcome, _ = answer(name, marked_jobs[0], beams=2, width=2)
        steps = outcome.trace
        assert {step.state for step in steps} == {"kept", "dropped"}
        for step in steps:
            assert step.score is not None
            assert step.parent is None or steps[step.parent].state == "kept"
        leaves = []
        for place, step in enumerate(steps):
            text, parent = step.text, step.parent
            while parent is not None:
                text, parent = steps[parent].text + text, steps[parent].parent
            leaves += [text] if step.state == "kept" else []
            assert place > (step.parent if step.parent is not None else -1)
        assert outcome.text in leaves


def test_a_refinement_tells_its_rounds(answer: Answer, marked_jobs: list[Job]) -> None:
    outcome, _ = answer("self_refine.feedback", marked_jobs[0])
    drafts = [record.text for record in outcome.trace if record.state != "critique"]
    assert tuple(drafts) == outcome.samples


def parts_of(outcome: Outcome, *states: str) -> list[TraceRecord]:
    assert {record.kind for record in outcome.trace} == {"part"}
    return [record for record in outcome.trace if record.state in states]


def joined(outcome: Outcome) -> str:
    """What is shown of a trace as the answer, without the blanks between its parts."""
    kept = parts_of(outcome, "accepted", "own", "added")
    return "".join("".join(record.text.split()) for record in kept)


def test_drafted_steps_are_told_with_their_scores(answer: Answer, jobs: list[Job]) -> None:
    for threshold in (0.0, 0.9, 1.01):
        outcome, _ = answer("speculative.step", jobs[0], threshold=threshold)
        drafted = parts_of(outcome, "accepted", "rejected")
        assert len(drafted) == outcome.info["steps"]
        assert len(parts_of(outcome, "accepted")) == outcome.info["drafted_steps"]
        for record in drafted:
            assert record.score is not None
            assert (record.score >= threshold) == (record.state == "accepted")
        assert "".join(r.text for r in parts_of(outcome, "accepted", "own")) == outcome.text


def test_a_cascade_tells_what_the_small_model_said_and_how_sure_it_was(
    answer: Answer, jobs: list[Job]
) -> None:
    for name in ("cascade.confidence", "cascade.agreement"):
        for threshold, state in ((0.0, "accepted"), (1.0, "rejected")):
            outcome, _ = answer(name, jobs[0], threshold=threshold)
            small, *large = outcome.trace
            assert (small.state, small.score) == (state, outcome.info["confidence"])
            assert [record.text for record in large] == (
                [outcome.text] if outcome.info["escalated"] else []
            )


def test_thinking_that_is_prolonged_tells_where(answer: Answer, marked_jobs: list[Job]) -> None:
    for waits in (0, 2):
        settings = {"waits": waits, "max_thinking_tokens": 30}
        outcome, _ = answer("self_refine.budget_forcing", marked_jobs[0], **settings)
        added = [record.text.strip() for record in parts_of(outcome, "added")]
        assert added.count(formats.WAIT) == outcome.info["waits"]
        assert joined(outcome) == "".join(outcome.text.split())


def test_probes_are_told_and_the_one_that_ended_the_chain_is_the_answer(
    answer: Answer, marked_jobs: list[Job]
) -> None:
    seen = set()
    for job in marked_jobs:
        for k in (1, 1000):
            outcome, _ = answer("early_exit.consistency", job, k=k, interval=8)
            asked = parts_of(outcome, "probe", "added")
            assert len(asked) == outcome.info["probes"]
            assert (outcome.trace[-1].state == "added") == outcome.info["exited"]
            assert joined(outcome) == "".join(outcome.text.split())
            seen.add(outcome.info["exited"])
    assert seen == {True, False}


def test_shown_tokens_are_escaped_and_counted() -> None:
    rows = [
        {"text": "<b>", "state": "accepted", "layer": None},
        {"text": "x", "state": "rejected", "layer": None},
    ]
    assert "<b>" not in tokens_html(rows)
    assert "&lt;b&gt;" in tokens_html(rows)
    assert "1 drafted and accepted (green), 1 drafted and rejected (red)" in legend(rows)


def test_a_tree_is_drawn_by_its_parents() -> None:
    rows = [
        {"place": 0, "parent": None, "score": 0.5, "state": "kept", "text": "a"},
        {"place": 1, "parent": None, "score": 0.4, "state": "dropped", "text": "b"},
        {"place": 2, "parent": 0, "score": 0.9, "state": "kept", "text": "c\n"},
    ]
    assert tree_text(rows) == "+ 0.500 a\n+ 0.900   c\n- 0.400 b"


def test_a_revision_is_shown_against_the_draft_before_its_critique() -> None:
    texts = (("draft", "1"), ("critique", "no"), ("revision", "2"))
    assert rounds([{"state": state, "text": text} for state, text in texts]) == [
        ("draft", "1"),
        ("critique", "no"),
        ("revision", "- 1\n+ 2"),
    ]
