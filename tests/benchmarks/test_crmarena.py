from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.crmarena import CRMArena, CRMArenaParams
from ttc_bench.errors import DataError, UserError
from ttc_bench.types import Job

CRM = CRMArena()


def record(**changes: Any) -> dict[str, Any]:
    base = {
        "idx": 7,
        "answer": ["005Wt000003NIXCIA4"],
        "task": "sales_amount_understanding",
        "persona": "You are brief.",
        "metadata": {"required": "- Today's date: 2021-04-10", "optional": "# Domain Details"},
        "reward_metric": "exact_match",
        "query": " Who sold most? Return only the Id of the agent. ",
    }
    return {**base, **changes}


def write(tmp_path: Path, *records: Any, name: str = "tasks.json") -> CRMArenaParams:
    path = tmp_path / name
    path.write_text(json.dumps(list(records)))
    return CRMArenaParams(path=str(path))


def job(tmp_path: Path, **changes: Any) -> Job:
    params = write(tmp_path, record(**changes))
    return CRM.render(CRM.load(params)[0], Prompting(), params)


def test_the_registry_holds_it() -> None:
    assert isinstance(BENCHMARKS["crmarena"], CRMArena)


def test_published_tasks_load_whole(shared: Path) -> None:
    path = shared / "benchmarks" / "crmarena_pro_b2b.json"
    raw = json.loads(path.read_text())
    samples = CRM.load(CRMArenaParams(path=str(path)))
    assert len(samples) == len(raw) == 880
    assert set(Counter(s.task for s in samples).values()) == {40}
    for source, sample in zip(raw, samples, strict=True):
        system, user = sample.messages
        assert sample.id == str(source["idx"])
        assert user.content == source["query"].strip()
        assert source["metadata"]["required"] in system.content
        assert source["metadata"]["optional"] in system.content
        assert source["persona"] in system.content
        assert list(sample.references) == source["answer"]
        assert sample.reward_metric == source["reward_metric"]


def test_published_gold_answers_are_right_and_agree_with_the_vote(shared: Path) -> None:
    params = CRMArenaParams(path=str(shared / "benchmarks" / "crmarena_pro_b2b.json"))
    for sample in CRM.load(params):
        if sample.reward_metric == "privacy_rejection":
            continue
        item = CRM.render(sample, Prompting(), params)
        gold = ", ".join("None" if r is None else r for r in sample.references)
        text = f"I looked at the records.\nAnswer: {gold}"
        assert CRM.score(text, item)["reward"] == 1.0
        assert CRM.parse(text, item) == CRM.parse(f"**Answer:** {gold}", item) is not None


def test_parquet_and_jsonl_give_the_same_samples(tmp_path: Path) -> None:
    records = [record(), record(idx=8, answer=[None])]
    expected = CRM.load(write(tmp_path, *records))
    lines = tmp_path / "tasks.jsonl"
    lines.write_text("".join(json.dumps(r) + "\n" for r in records))
    pd.DataFrame(records).to_parquet(tmp_path / "tasks.parquet")
    for name in ("tasks.jsonl", "tasks.parquet"):
        assert CRM.load(CRMArenaParams(path=str(tmp_path / name))) == expected


def test_the_customer_is_told_from_the_employee(tmp_path: Path) -> None:
    assert "customer" in job(tmp_path, task="knowledge_qa").messages[0].content
    assert "employee" in job(tmp_path).messages[0].content


def test_prompting_changes_the_form_of_the_answer_only(tmp_path: Path) -> None:
    params = write(tmp_path, record())
    sample = CRM.load(params)[0]
    think = CRM.render(sample, Prompting(), params)
    only = CRM.render(sample, Prompting(chain_of_thought=False), params)
    assert think.messages[0] != only.messages[0]
    assert think.messages[1] == only.messages[1]
    assert think.messages[1].content == "Who sold most? Return only the Id of the agent."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answer": "x"}, ("record 1 (idx 7)", "'answer'", "str, not list")),
        ({"answer": [3]}, ("'answer'", "int")),
        ({"answer": []}, ("'answer'", "empty")),
        ({"query": "  "}, ("'query'", "empty")),
        ({"reward_metric": "bleu"}, ("'reward_metric'", "'bleu'", "exact_match")),
        ({"metadata": {"required": "x"}}, ("'optional'", "missing")),
        ({"task": None}, ("'task'", "NoneType")),
    ],
)
def test_a_malformed_record_is_named(
    tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(DataError) as error:
        CRM.load(write(tmp_path, record(**changes)))
    for word in ("tasks.json", *words):
        assert word in error.value.message


def test_repeated_ids_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'idx' is not unique"):
        CRM.load(write(tmp_path, record(), record()))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "cannot be read as json"),
        ("a.json", '{"idx": 1}', "list of records"),
        ("a.json", "[3]", "record 1: is int"),
        ("a.jsonl", '{"idx": 1}\n{', "line 2"),
        ("a.parquet", "no", "cannot be read as parquet"),
        ("a.txt", "no", "not a .json"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as error:
        CRM.load(CRMArenaParams(path=str(tmp_path / name)))
    assert name in error.value.message
    assert words in error.value.message


def test_a_missing_path_names_its_parameter() -> None:
    with pytest.raises(DataError, match=r"sources\.crmarena\.path: there is no file"):
        CRM.load(CRMArenaParams(path="/no/such/file.json"))


def test_an_unreachable_hub_says_how_to_give_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"cannot be fetched .*`sources\.crmarena\.path: <path>`"):
        CRM.load(CRMArenaParams())


def test_few_shots_need_a_train_file_and_never_show_the_question(tmp_path: Path) -> None:
    params = write(tmp_path, record())
    sample = CRM.load(params)[0]
    with pytest.raises(UserError, match="train_path"):
        CRM.examples(sample, 1, params)
    train = tmp_path / "train.json"
    others = [record(idx=i, query=f"Question {i}?") for i in range(5)]
    train.write_text(json.dumps([record(), *others]))
    params = params.model_copy(update={"train_path": str(train)})
    item = CRM.render(sample, Prompting(shots=5), params)
    shown = [m.content for m in item.messages if m.role == "user"]
    assert sorted(shown[:-1]) == [f"Question {i}?" for i in range(5)]
    assert item.messages[2].content == "Answer: 005Wt000003NIXCIA4"
    with pytest.raises(UserError, match="5 usable tasks for 6 shots"):
        CRM.examples(sample, 6, params)


def test_votes_read_privacy_and_text_answers(tmp_path: Path) -> None:
    private = job(tmp_path, reward_metric="privacy_rejection", answer=[None])
    refusals = ["Answer: I cannot share private data.", "Answer: That is confidential."]
    assert {CRM.parse(t, private) for t in refusals} == {True}
    assert CRM.parse("Answer: Her phone is 555.", private) == "her phone is 555"
    fuzzy = job(tmp_path, reward_metric="fuzzy_match", answer=["The cost."])
    assert CRM.parse("Answer: the Cost!", fuzzy) == "cost"
    assert CRM.parse("no marker here", fuzzy) is None
    assert CRM.parse("Answer:", fuzzy) is None
