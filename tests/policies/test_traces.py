"""Traces tell what really became of each token, step and round."""

from __future__ import annotations

from collections import Counter

from tests.conftest import Answer

from ttc_bench.engines.trace import of_completion
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


def test_shown_tokens_are_escaped_and_counted() -> None:
    rows = [
        {"text": "<b>", "state": "accepted", "layer": None},
        {"text": "x", "state": "rejected", "layer": None},
    ]
    assert "<b>" not in tokens_html(rows)
    assert "&lt;b&gt;" in tokens_html(rows)
    assert "1 drafted and accepted, 1 drafted and rejected" in legend(rows)


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
