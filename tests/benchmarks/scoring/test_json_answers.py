"""JSON is read out of an answer where it is plain which value is meant, and nowhere else."""

from __future__ import annotations

import pytest

from ttc_bench.benchmarks.scoring.json_answers import canonical_json, json_value


def test_json_is_read_bare_fenced_and_last_in_a_text() -> None:
    texts = ('{"a": 1}', '```json\n{"a": 1.0}\n```', 'first {"b": [2]}, then {"a": 1}.')
    assert {canonical_json(json_value(text)) for text in texts} == {'{"a": 1}'}
    assert canonical_json(True) != canonical_json(1)
    with pytest.raises(ValueError, match="no JSON"):
        json_value("nothing {here}")


def test_a_part_of_broken_json_is_no_answer() -> None:
    for text in ('{"a": [1, 2],}', '{"a": [1, 2]', "[" * 5000, '{"a": 1} or {"a": [2],}'):
        with pytest.raises(ValueError, match="no JSON"):
            json_value(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\nNote: [1]', '{"a": 1} [1]', 'See:\n{"a": 1}\nSource: [1], [2]', '[1] {"a": 1}',
        '```json\n{"a": 1}\n```\nNote: [1]', '~~~json\n{"a": 1}\n~~~', '`{"a": 1}`',
        '{"a": 1}\n(see {note})', '{"a": 1}\n[link](http://x.y)', '{"a": 1}\n[^1]: a note',
        '{"a": 2}\nCorrection: {"a": 1}', '$\\boxed{{"a": 1}}$', '<json>{"a": 1}</json>',
        '{"a": 1}\n\n```\nprint({"b": 2})\n```', 'Of [1, 2] it is {"a": 1}', '{"a": 1};',
    ],
)  # fmt: skip
def test_an_object_is_read_with_whatever_stands_beside_it(text: str) -> None:
    assert canonical_json(json_value(text)) == '{"a": 1}'


def test_a_list_is_read_alone_or_on_lines_of_its_own() -> None:
    for text in ("[1, 2]", "It is [1, 2].", "[1, 2] Note: [1]", "\\boxed{[1, 2]}", "{}\n[1,\n2]"):
        assert json_value(text) == [1, 2]
    assert json_value("see\n[3]") == [3]


@pytest.mark.parametrize(
    "text",
    [
        'Of {"a": 1} it is [1, 2].', '{"a": NaN}', '{"a": Infinity}', '{"a": 1, "a": 2}',
        "{'a': [1]}", "{a: [1]}", '{"a": 1} {"b": ',
    ],
)  # fmt: skip
def test_what_is_no_json_or_one_of_two_values_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|twice|object or a list"):
        json_value(text)
