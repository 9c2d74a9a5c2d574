from __future__ import annotations

import pytest
from tests.metrics.support import (
    PLAN,
    batch_of,
    is_null,
    make_job,
    make_response,
    run,
    workflow_job,
)

from ttc_bench.metrics.base import Value
from ttc_bench.metrics.coverage import _ENTITY, _ID, things
from ttc_bench.types import Job, Message


def covered(job: Job, text: str, **changes: object) -> dict[str, Value]:
    found = run("coverage", batch_of([(job, make_response(job, text, **changes))]))
    return {name: values[0] for name, values in found.items()}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("agent 005Wt000003NIXCIA4 and case C-1042", {"005wt000003nixcia4", "c-1042"}),
        ("in Q3 2024, the 15th, 20kg at 9am", set()),
        ("2021-04-10 and 42 and abc", set()),
        ("KB7.", {"kb7"}),
    ],
)
def test_record_ids(text: str, ids: set[str]) -> None:
    assert things(_ID, [text]) == ids


def test_entities() -> None:
    text = "Mail a.b@c.com by 2021-04-10: Ying Liu owes $1,200.50, that is 12 % more than in May"
    assert things(_ENTITY, [text]) == {
        "a.b@c.com", "2021-04-10", "ying liu", "$1,200.50", "12 %", "may",
    }  # fmt: skip


def test_ids_found_missed_and_invented() -> None:
    message = Message(role="user", content="Agents A-1, A-2, A-3: who?")
    job = make_job(references=("A-1", "A-2"), messages=(message,))
    found = covered(job, "A-3 is out, X-9 too.\nAnswer: A-1")
    assert found["ids_found"] == 0.5
    assert found["ids_missed"] == 1
    assert found["ids_invented"] == 1  # X-9; A-3 stands in the prompt


def test_nothing_wanted_is_null_and_inventions_still_count() -> None:
    found = covered(make_job(references=(None,)), "Answer: Z-1 of Anna Smith")
    assert is_null(found["ids_found"])
    assert is_null(found["entities_missed"])
    assert found["ids_invented"] == 1
    assert found["entities_invented"] == 1


def test_steps_and_tools_of_a_workflow() -> None:
    user = Message(role="user", content="Task: count\nThe action list you can take: bash: run\n"
                   "finish: end. search[keywords]")  # fmt: skip
    gold = PLAN.replace("Search the files", "use bash to search the files")
    job = workflow_job(references=(gold,), messages=(user,))
    found = covered(job, "Node:\n1: Count all the words\n2: click[x]\nEdges: (START,1)")
    assert found["steps_covered"] == 0.5
    assert found["tools_covered"] == 0.0
    assert found["tools_invented"] == 1
    assert covered(job, gold)["tools_covered"] == 1.0
    assert covered(job, "prose")["steps_covered"] == 0.0
    assert is_null(covered(make_job(), "x")["steps_covered"])


def test_format_refusal_and_truncation() -> None:
    plain = covered(make_job(), "I cannot answer that.", finish_reason="length")
    assert plain["format_compliance"] == 0.0
    assert plain["refusal_undue"] == 1.0
    assert is_null(plain["refusal_due"])
    assert plain["truncated"] == 1.0
    private = make_job(reward_metric="privacy_rejection", references=(None,))
    refused = covered(private, "Answer: I cannot share that.")
    assert refused["format_compliance"] == 1.0
    assert refused["refusal_due"] == 1.0
    assert is_null(refused["refusal_undue"])
    assert is_null(refused["ids_found"])
