from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.worfbench import WorFBench, WorFBenchParams
from ttc_bench.errors import DataError, UserError

WORF = WorFBench()
PLAN = "Node:\n1: Search the files.\n2: Count the words.\nEdges: (START,1) (1,2) (2,END)"


def record(**changes: Any) -> dict[str, Any]:
    turns = [
        {"role": "system", "content": "You plan."},
        {"role": "user", "content": "Count words."},
        {"role": "assistant", "content": PLAN},
    ]
    base = {"source": "os", "conversations": turns, "target": "graph", "id": "os_1"}
    return {**base, **changes}


def write(folder: Path, name: str, *records: Any) -> WorFBenchParams:
    (folder / name).write_text(json.dumps(list(records)))
    return WorFBenchParams(path=str(folder))


def test_the_registry_holds_it() -> None:
    assert isinstance(BENCHMARKS["worfbench"], WorFBench)


def test_every_published_prompt_loads_word_for_word(shared: Path) -> None:
    folder = shared / "benchmarks" / "worfbench"
    raw = [r for f in sorted(folder.glob("*.json")) for r in json.loads(f.read_text())]
    params = WorFBenchParams(path=str(folder))
    samples = WORF.load(params)
    assert len(samples) == len(raw) == 508
    assert len({s.id for s in samples}) == 508
    for source, sample in zip(raw, samples, strict=True):
        item = WORF.render(sample, Prompting(), params)
        turns = [{"role": m.role, "content": m.content} for m in item.messages]
        assert turns == source["conversations"][:-1]
        assert item.references == (source["conversations"][-1]["content"],)
        assert WORF.parse(str(item.references[0]), item) is not None


def test_prompting_leaves_the_official_messages_alone(tmp_path: Path) -> None:
    params = write(tmp_path, "os.json", record())
    sample = WORF.load(params)[0]
    plain = WORF.render(sample, Prompting(chain_of_thought=False), params)
    assert plain.messages == WORF.render(sample, Prompting(), params).messages == sample.messages


def test_sources_select_and_repeated_ids_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "a.json", record(), record())
    params = write(tmp_path, "b.json", record(source="wikihow"))
    assert [s.id for s in WORF.load(params)] == ["os_1", "os_1#2", "os_1#3"]
    only = WORF.load(params.model_copy(update={"sources": ("wikihow",)}))
    assert [s.task for s in only] == ["wikihow"]
    with pytest.raises(UserError, match="no prompt comes from 'webshop'"):
        WORF.load(params.model_copy(update={"sources": ("webshop",)}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conversations": []}, "has the roles []"),
        ({"conversations": "x"}, "str, not list"),
        ({"conversations": ["x"]}, "has the roles [None]"),
        ({"source": 3}, "'source' is int"),
        ({"id": None}, "'id' is NoneType"),
        (
            {"conversations": [*record()["conversations"][:2], {"role": "assistant"}]},
            "no text in its assistant turn",
        ),
    ],
)
def test_a_malformed_record_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as error:
        WORF.load(write(tmp_path, "os.json", record(), record(**changes)))
    assert "os.json: record 2" in error.value.message
    assert words in error.value.message


def test_an_empty_folder_and_an_unreachable_hub_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"sources\.worfbench\.path: the folder"):
        WORF.load(WorFBenchParams(path=str(tmp_path)))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"`sources\.worfbench\.path: <path>`"):
        WORF.load(WorFBenchParams())


def test_few_shots_come_from_the_train_file(tmp_path: Path) -> None:
    params = write(tmp_path, "os.json", record())
    sample = WORF.load(params)[0]
    with pytest.raises(UserError, match="train_path"):
        WORF.examples(sample, 1, params)
    train = tmp_path / "train.json"
    turns = record()["conversations"]
    other = [turns[0], {"role": "user", "content": "Other."}, turns[2]]
    train.write_text(json.dumps([record(), record(conversations=other)]))
    params = params.model_copy(update={"train_path": str(train)})
    item = WORF.render(sample, Prompting(shots=1), params)
    assert [m.content for m in item.messages] == ["You plan.", "Other.", PLAN, "Count words."]
    with pytest.raises(UserError, match="1 usable prompts for 2 shots"):
        WORF.examples(sample, 2, params)


def test_reward_is_the_graph_f1_and_equal_plans_vote_alike(tmp_path: Path) -> None:
    params = write(tmp_path, "os.json", record())
    item = WORF.render(WORF.load(params)[0], Prompting(), params)
    shorter = "Node:\n1: Search the files.\nEdges: (START,1) (1,END)"
    scores = WORF.score(shorter, item)
    assert scores["reward"] == scores["graph_f1"] == pytest.approx(4 / 7)
    renumbered = "Node:\n1. count the words\n2. search  the files\n(START,2)(2,1)(1,END)"
    assert WORF.parse(PLAN, item) == WORF.parse(renumbered, item)
    assert WORF.parse("I would think first.", item) is None
