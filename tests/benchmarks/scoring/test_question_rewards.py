"""Rewards by name: the gold answer is right in every usual writing, another one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.errors import DataError, UserError

OFFERED = [name for name, rule in REWARD_RULES.items() if rule.canonical]
PLAN = "Node:\n1: Open the door\n2: Go in\nEdges: (START,1) (1,2) (2,END)"
SCHEMA = '{"type": "object", "required": ["a"]}'


def reward(name: str, answer: str, *golds: str, **options: object) -> float | None:
    return REWARD_RULES[name].grade(answer, golds, None, **options)["reward"]


@pytest.mark.parametrize(
    ("name", "gold", "right", "wrong"),
    [
        ("exact", "Paris", " Paris ", "paris"),
        ("normalised", "Paris", "the  PARIS.", "Paris, Texas"),
        ("numeric", "1000", "$1,000.00", "1000.5"),
        ("contains", "New  York", "It is new york!", "new yorkers"),
        ("regex", r"\b4[0-9]\b", "it is 42", "it is 421"),
        ("token_f1", "red car", "the red car", "blue bike"),
        ("json", '{"a": 1, "b": [2]}', 'so: {"b": [2.0], "a": 1}', '{"a": true, "b": [2]}'),
        ("json_schema", SCHEMA, 'so: {"a": null}', '{"b": 1}'),
        ("math", "\\frac{1}{2}", "$0.5$", "$\\frac{1}{3}$"),
        ("math", "x^2 + 2x", "$2x + x^2$", "$x^2$"),
        ("math", "\\text{blue}", "blue", "green"),
        ("workflow", PLAN, PLAN, "no plan"),
    ],
)
def test_the_gold_answer_is_right_and_another_is_not(
    name: str, gold: str, right: str, wrong: str
) -> None:
    assert reward(name, right, gold) == pytest.approx(1.0)
    assert reward(name, wrong, gold) == 0.0
    rule = REWARD_RULES[name]
    assert rule.fault is None or rule.fault(gold) is None
    # Votes: what is right in two writings is one answer, where gold answers are answers.
    assert rule.canonical is not None
    if name not in ("regex", "contains", "json_schema"):
        assert rule.canonical(right) is not None
        assert rule.canonical(right) != rule.canonical(wrong)


def test_every_reward_offered_scores_an_empty_answer_with_nothing() -> None:
    golds = {"numeric": "1", "json": "{}", "json_schema": SCHEMA, "workflow": PLAN}
    for name in OFFERED:
        assert reward(name, "", golds.get(name, "Paris")) == 0.0, name


def test_tolerance_is_as_it_is_written() -> None:
    assert reward("numeric", "1.1", "1", tolerance=0.1) == 1.0
    assert reward("numeric", "1.11", "1", tolerance=0.1) == 0.0
    assert reward("numeric", "99", "100", relative_tolerance=0.01) == 1.0
    assert reward("numeric", "98.9", "100", relative_tolerance=0.01) == 0.0


def test_the_gold_answer_that_suits_best_counts() -> None:
    assert reward("normalised", "NYC", "New York City", "NYC") == 1.0


@pytest.mark.parametrize(
    ("name", "gold"),
    [("numeric", "many"), ("regex", "("), ("json", "{"), ("json_schema", "[1]"),
     ("json_schema", '{"type": 3}'), ("workflow", "no plan"), ("choice", "Z")],
)  # fmt: skip
def test_a_gold_answer_that_nothing_could_equal_is_a_fault(name: str, gold: str) -> None:
    assert (rule := REWARD_RULES[name]).fault is not None
    assert rule.fault(gold)


def test_a_function_of_ones_own_is_a_reward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_rewards.py").write_text(
        "def near(answer, references):\n    return abs(float(answer) - float(references[0])) < 2\n"
        "def odd(answer, references):\n    return 'much'\nvalue = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert reward("own_rewards.near", "4", "5") == 1.0
    assert reward("own_rewards.near", "4", "9") == 0.0
    with pytest.raises(DataError, match=r"own_rewards\.near: raised ValueError"):
        reward("own_rewards.near", "four", "5")
    with pytest.raises(DataError, match="returned str, not a number"):
        reward("own_rewards.odd", "4", "5")
    for path in ("own_rewards.value", "own_rewards.missing", "no_module_here.f"):
        with pytest.raises(UserError, match=path):
            REWARD_RULES[path]


@pytest.mark.parametrize("name", ["contains", "regex", "token_f1"])
def test_where_the_text_is_looked_at_a_number_keeps_its_unit_in_votes(name: str) -> None:
    canonical = REWARD_RULES[name].canonical
    assert canonical is not None
    assert len({canonical(text) for text in ("5", "5%", "\u20ac5", "-5", "five")}) == 5
    for same in (
        (".5 %", "0.5%"),
        ("\u20ac1,000", "\u20ac1000.0"),
        ("1e3", "1,000"),
        ("The Fox", "fox"),
    ):
        assert len({canonical(text) for text in same}) == 1


@pytest.mark.parametrize(
    ("name", "gold", "answer", "score"),
    [
        ("math", "(x+1)/2", "\\frac{x+1}{2}", 1), ("math", "x+\\frac12", "\\frac{x+1}{2}", 0),
        ("math", "\\frac{1+\\sqrt5}{2}", "\\boxed{\\frac{\\sqrt5+1}{2}}", 1),
        ("math", "4\\pi r^3/3", "$\\frac{4}{3}\\pi r^3$", 1),
        ("math", "\\frac92\\pi", "\\frac{9}{2\\pi}", 0), ("math", "11.5", "11\\frac{1}{2}", 1),
        ("math", "\\frac{23}{2}", "11\\frac{1}{2}", 1), ("math", "111/2", "11\\frac{1}{2}", 0),
        ("exact", "-5", "(-5)", 1), ("exact", "Paris", "**Paris**", 1),
        ("contains", "42", "4.42", 0), ("contains", "42", "42.5", 0),
        ("contains", "42", "42,000", 0), ("contains", "42", "it is 42.", 1),
        ("contains", "\u5317\u4eac", "\u7b54\u6848\u662f\u5317\u4eac\u3002", 1),
        ("contains", "\uc11c\uc6b8", "\uc11c\uc6b8\uc5d0\uc11c", 1),
        ("normalised", "Paris", "<b>Paris</b>", 1), ("normalised", "Paris", "<Paris>", 1),
        ("normalised", "<br>", "<br>", 1), ("normalised", "<br>", "<p>", 0),
        ("normalised", "a<b and c>d", "a d", 0), ("normalised", "1,5", "1, 5", 1),
        ("normalised", "1,5", "15", 0), ("normalised", "1,500", "1500", 1),
        ("normalised", "5 kg", "5kg", 1), ("normalised", "5 kg", "5 g", 0),
        ("normalised", "Smith & Co", "Smith &amp; Co", 1), ("token_f1", "A", "A", 1),
        ("token_f1", "A", "the", 0), ("contains", "x < 5", "so x &lt; 5", 1),
        ("numeric", "10000", "10<sup>4</sup>", 1), ("numeric", "5", "5B", 0),
        ("contains", "New York", "in New<br>York", 1), ("contains", "New York", "**New** York", 1),
        ("contains", "New York", "_New York_", 1), ("contains", "<div>", "a <div>x</div>", 1),
        ("contains", "user_id", "by user_id", 1), ("contains", "id", "by user_id", 0),
        ("regex", "^New York$", "<New York>", 1), ("regex", "^New York$", "**New York**", 1),
        ("regex", "^New York$", "<b>New York</b>", 1), ("regex", "<b>", "<b>x</b>", 1),
        ("token_f1", "New York", "<b>New York</b>", 1), ("token_f1", "New York", "<New York>", 1),
        ("math", "\\text{east}", "\\text{seat}", 0), ("math", "\\text{east}", "East", 1),
        ("math", "\\text{no}", "\\text{on}", 0), ("math", "2", "2\u221a3", 0),
        ("math", "2\\sqrt{3}", "2\u221a3", 1), ("math", "3", "2 \u00b7 3", 0),
        ("math", "6", "2 \u00b7 3", 1), ("math", "32", "2\u2075", 1), ("math", "2", "2\u2075", 0),
        ("math", "x^{2}", "x\u00b2", 1), ("math", "\\frac12", "\u00bd", 1),
        ("math", "\\frac{5}{2}", "2\u00bd", 1), ("math", "\\sqrt[3]{2}", "\u221b2", 1),
        ("math", "(-\\infty,2]\\cup[3,\\infty)", "(\u2212\u221e,2]\u222a[3,\u221e)", 1),
        ("math", "xy", "yx", 1), ("exact", "Paris", "_Paris_", 1),
        ("normalised", "Paris", "_Paris_", 1), ("normalised", "_id", "_id", 1),
        ("math", "12_7", "12_5", 0), ("math", "12_5", "12_{5}", 1), ("math", "12_5", "12", 1),
        ("math", "12", "12_5", 0), ("math", "12", "12_{10}", 1), ("math", "12_5", "12\u2085", 1),
        ("math", "2516_8", "2516_{\\text{eight}}", 1), ("math", "5", "x_1 = 5", 1),
        ("contains", "caf\u00e9", "the cafe\u0301", 1), ("contains", "don't", "I don\u2019t", 1),
    ],
)  # fmt: skip
def test_what_is_said_is_scored(name: str, gold: str, answer: str, score: float) -> None:
    assert reward(name, answer, gold) == score


@pytest.mark.parametrize("answer", ["9" * 5000, "[" * 5000, '{"a":' * 5000, "-" * 5000])
def test_no_answer_stops_a_run(answer: str) -> None:
    golds = {"numeric": "1", "json": "{}", "json_schema": SCHEMA, "workflow": PLAN}
    for name in OFFERED:
        if name == "judge":
            continue
        canonical = REWARD_RULES[name].canonical
        assert canonical is not None
        canonical(answer)
        assert reward(name, answer, golds.get(name, "Paris")) == 0.0, name


@pytest.mark.parametrize("ref", ["#/nowhere", "http://localhost/s", "file:///etc/hosts", "#"])
def test_a_schema_that_leads_elsewhere_is_a_fault(ref: str) -> None:
    rule = REWARD_RULES["json_schema"]
    assert rule.fault is not None
    assert rule.fault(f'{{"$ref": "{ref}"}}')
    assert rule.fault('{"properties": {"child": {"$ref": "#"}}}') is None


def test_the_search_of_a_pattern_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttc_bench.benchmarks.patterns.MOST_SECONDS", 0.1)
    assert reward("regex", "a" * 200 + "!", "^(a|a|aa)+$") == 0.0
