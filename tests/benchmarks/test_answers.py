from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.answers import (
    answer_span,
    answer_text,
    parse_answer,
    parse_workflow,
    read_graph,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: C-17", ("C-17",)),
        ("thinking\nAnswer: A\nno, wait\n**Final Answer:** B.", ("B",)),
        ("The answer is: May", ("May",)),
        ("Answer: b, a and c", ("a", "b", "c")),
        ('Answer: ["b", "a"]', ("a", "b")),
        ("Answer:\n- b\n- a\n\nBecause.", ("a", "b")),
        ("Answer: 3.5", ("3.5",)),
        ("Answer: 00TWt01,\n00TWt02", ("00TWt01", "00TWt02")),
        ("Answer: 00TWt01,\n\n00TWt02 and\n00TWt03\nBecause.", ("00TWt01", "00TWt02", "00TWt03")),
        ("Answer: 00TWt01\n00TWt02\nBoth are open.", ("00TWt01", "00TWt02")),
        ("Answer: 00TWt01\n- 00TWt02\n2. `00TWt03`", ("00TWt01", "00TWt02", "00TWt03")),
        ("Answer: 00TWt01\nBecause 00TWt02 is closed.", ("00TWt01",)),
        ("Answer: May\nDone", ("May",)),
        ("Answer: none.", ("None",)),
        ("<respond> x, y </respond>", ("x", "y")),
        ("Answer: old\n<respond>new</respond>", ("new",)),
        ("<respond>old</respond>\nAnswer: new", ("new",)),
        ("<respond>x</respond> and <RESPOND>y", ("x",)),
        ("Answer: AbC", ("AbC",)),
        ("Answer:", None),
        ("Answer: ,;", None),
        ("no marker", None),
        ("", None),
    ],
)
def test_the_final_answer_in_canonical_form(text: str, expected: tuple[str, ...] | None) -> None:
    assert parse_answer(text) == expected


def test_without_a_marker_all_of_the_text_is_the_answer() -> None:
    assert answer_span(" x ") is None
    assert answer_text(" x ") == "x"


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    for whole in (text, f"Answer: {text}", f"Node {text} 1: a (START,1)"):
        found = parse_answer(whole)
        assert found is None or (found == tuple(sorted(found)) and all(found))
        hash(parse_workflow(whole))


@given(st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=1))
def test_a_list_of_answers_is_read_back_in_any_order(answers: list[str]) -> None:
    if "none" in answers or "and" in answers:
        return
    assert parse_answer("Answer: " + ", ".join(answers)) == tuple(sorted(answers))


@given(
    st.lists(st.from_regex(r"00T[A-Z0-9]{12}", fullmatch=True), min_size=1, max_size=7),
    st.sampled_from([", ", ",\n", "\n", ", and\n", " and ", ";\n\n", ",\n- ", "\n3. "]),
    st.sampled_from(["", "\n", "\n\nThey do not match the stage.", "\nThat is all of them."]),
)
def test_ids_over_lines_are_all_read(ids: list[str], separator: str, rest: str) -> None:
    assert parse_answer(f"So.\nAnswer: {separator.join(ids)}{rest}") == tuple(sorted(ids))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "a Answer: " * 10_000,
        "Answer: " + "x and " * 20_000,
        "Answer: a" + " " * 100_000 + "b",
        "<respond>" * 12_000,
        "Node " + "1" * 100_000,
        "Node " + "(" * 100_000,
        "Node " + "1: x\n" * 20_000 + "(START,1)",
        "#" * 100_000,
        "Answer: a,\n" + "b,\n" * 30_000,
        "Answer: 00TWt01\n" + "00TWt02\n" * 20_000,
        "Answer:\n" * 20_000,
        "Answer: " + "(" * 50_000 + ")" * 50_000,
        "<answer>" * 20_000 + "</answer>" * 20_000,
        "\\boxed{" * 5_000 + "}" * 5_000,
        "<think>" * 20_000 + "</think>" * 20_000,
        "Answer: " + "1" * 100_000,
    ],
)
def test_long_texts_are_read_in_linear_time(text: str) -> None:
    hash((parse_answer(text), parse_workflow(text)))


def test_the_graph_is_read_as_officially() -> None:
    graph = read_graph("Node:\n1: a\n2.b\n3. c\nEdges: (START,1)( 1 , 2 ) (2,END) (END,1)")
    assert graph is not None
    assert graph.nodes == ("START", "a", "c", "END")  # "2.b" has no blank behind its number
    assert graph.edges == ((0, 1), (1, 2), (2, 3))


def test_workflows_agree_whatever_their_numbering() -> None:
    left = parse_workflow("Node:\n1: Go home.\n2: Eat\n(START,1)(1,2)(2,END)")
    right = parse_workflow("Node:\n1: eat\n2: go  home\n(2,1)(START,2)(1,END)(1,END)")
    other = parse_workflow("Node:\n1: Go home.\n2: Eat\n(START,1)(START,2)(1,END)(2,END)")
    assert left == right
    assert left != other
    assert parse_workflow("Node (START,END)") is None


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("A1, B2, and C3", ("A1", "B2", "C3")),
        ("A1,and B2", ("A1", "B2")),
        ("A1, B2 , & C3", ("A1", "B2", "C3")),
        ("A1, Andes", ("A1", "Andes")),
        ("\r\nA1\r\nB2\r\n\r\nso it is", ("A1", "B2")),
        ("$42$", ("42",)),
        (r"\(42\)", ("42",)),
        (r"$\boxed{\text{A1}}$", ("A1",)),
        (r"\boxed{42}", ("42",)),
        (r"\boxed{\frac{1}{2}}", ("1/2",)),
        (r"\(\boxed{\dfrac{10}{3}}\)", ("10/3",)),
        ("1,234, 5,678", ("1234", "5678")),
        ("1, 200", ("1", "200")),
        ("1,2,3", ("1", "2", "3")),
        ("-1,000.0", ("-1000",)),
        ("1.2.0", ("1.2.0",)),
        ("3.50", ("3.5",)),
        ("007", ("007",)),
    ],
)
def test_lists_line_ends_and_latex_are_read(text: str, answers: tuple[str, ...]) -> None:
    assert parse_answer(f"Answer: {text}") == answers
    assert parse_answer(f"\ufeffAnswer: {text}") == answers


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("so the result is \\boxed{42}.", ("42",)),
        ("first \\boxed{1}, then \\boxed{\\frac{1}{2}}", ("1/2",)),
        ("\\boxed{\\text{A1, B2}}", ("A1", "B2")),
        ("\\boxed{1} and \\boxed{2", ("1",)),
        ("\\boxed{7} it is.\nAnswer: 8", ("8",)),
        ("Answer\uff1a42", ("42",)),
    ],
)
def test_a_box_stands_for_a_marker_where_there_is_none(text: str, answers: tuple[str, ...]) -> None:
    assert parse_answer(text) == answers


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("Answer: (a), (b)", ("a", "b")),
        ("Answer: [(a), (b)]", ("a", "b")),
        ("Answer: (a, b), (c, d)", ("a", "b", "c", "d")),
        (r"Answer: \{1, 2\}", ("1", "2")),
        ("Answer: f(x), g(y)", ("f(x)", "g(y)")),
        ("Answer: (555) 123-4567", ("(555) 123-4567",)),
        ("Answer: Smith (east), Jones (west)", ("Jones (west)", "Smith (east)")),
        ("Answer: [a, b", ("a", "b")),
        ("Answer: 5\nConfidence1", ("5",)),
        ("Answer: 00TWt01\nConfidence1", ("00TWt01",)),
        ("Answer: 00TWt01\n00TWt02\nStep12", ("00TWt01", "00TWt02")),
        ("Answer: 00TWt01\n20240115", ("00TWt01",)),
        ("Answer: user1234\nuser5678", ("user1234", "user5678")),
        ("Answer: **00TWt01**\n**00TWt02**", ("00TWt01", "00TWt02")),
    ],
)
def test_brackets_enclose_a_list_or_its_parts_and_remarks_are_none(
    text: str, answers: tuple[str, ...]
) -> None:
    assert parse_answer(text) == answers


@pytest.mark.parametrize(
    "text",
    [
        "### Answer\n42", "## Final Answer\n\n42", "**Answer**\n42", "__Final answer__\n\n42",
        "Answer\n42", "### The answer\n\\boxed{42}", "# Answer:\n42",
        "<answer>42</answer>", "<ANSWER>\n42\n</ANSWER>", "<final_answer>42</final_answer>",
        "<answer>Answer: 42</answer>", "<answer>\\boxed{42}</answer>",
        "Answer: 4\n<answer>42</answer>",
        "<answer>4</answer>\nAnswer: 42", "My final answer: 42", "The correct answer is: 42",
        "`Answer: 42`", "3. Answer: 42", "3) **Final answer:** 42",
        # What is left empty, as where an answer is cut, is none.
        "Answer: 42\nAnswer:", "Answer: 42\n\n**Final Answer:**\n", "Answer: 42\n\n## Answer\n",
        "Answer:\n\nAnswer: 42\n\nAnswer: ...", "so \\boxed{42}\nAnswer:", "\\boxed{42}, \\boxed{}",
        "Answer: 42\n<answer></answer>", "<respond>42</respond>\nAnswer:",
        "<answer>42</answer><answer> </answer>",
    ],
)  # fmt: skip
def test_the_last_marker_that_is_filled_wins_whatever_its_form(text: str) -> None:
    assert parse_answer(f"We look.\n{text}") == ("42",)


@pytest.mark.parametrize("text", ["Answers: a, b", "The answers are: a and b", "Answer(s): a; b"])
def test_several_answers_are_announced_in_several_ways(text: str) -> None:
    assert parse_answer(text) == ("a", "b")


@pytest.mark.parametrize(
    "text", ["the final\nanswer\nis 5", "<answer>5", "No answer here", "answer"]
)
def test_what_is_no_marker_is_none(text: str) -> None:
    assert answer_span(text) is None


def test_many_open_boxes_take_no_time() -> None:
    assert parse_answer("\\boxed{" * 50_000) is None


def test_one_number_has_one_vote_however_it_is_written() -> None:
    written = ("1000", "1,000", "1000.0", "$1,000.00", r"\boxed{1000}", "1,000.")
    assert {parse_answer(f"Answer: {number}") for number in written} == {("1000",)}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Answer: Not met:\n- Budget\n- Need\n\nThat is all.", "Not met:\n- Budget\n- Need"),
        ("Answer: 1. Budget\n2. Need\nBecause of the call.", "1. Budget\n2. Need"),
        ("Answer: Budget\n- said on the phone", "Budget"),
    ],
)
def test_a_list_goes_on_from_bullet_to_bullet(text: str, span: str) -> None:
    assert answer_span(text) == span


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        (r"\boxed{1{,}000}", "1000"),
        ("1_000", "1000"),
        ("1'000'000", "1000000"),
        ("1\u202f000", "1000"),
        (r"\$1,000.00", "1000"),
        ("+42", "42"),
        ("\u221242", "-42"),
        ("\uff14\uff12", "42"),
        ("4\u200b2", "42"),
        (r"50\%", "50%"),
        (r"\frac12", "1/2"),
        (r"\boxed{\frac{\sqrt{2}}{2}}", r"\sqrt{2}/2"),
        (r"\boxed{42", "42"),
        (r"\boxed 42", "42"),
        ("42\u2028so it is", "42"),
        ("[42]", "42"),
        ("Smith (east)", "Smith (east)"),
        ("SKU_001", "SKU_001"),
        ("O'000", "O'000"),
        ("12_34", "12_34"),
    ],
)
def test_what_looks_alike_is_one_answer_and_what_does_not_is_left(
    written: str, answer: str
) -> None:
    assert parse_answer(f"Answer: {written}") == (answer,)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Answer: **Paris**", "**Paris**"), ("**Answer:** Paris", "Paris"),
        ("**Answer: Paris**", "Paris"), ("**Answer**: **Paris**", "**Paris**"),
        ("**Answer:** **Paris**", "**Paris**"), ("`Answer: Paris`", "Paris"),
        ("* **Answer: Paris**", "Paris"), ("* Answer: 42*", "42*"),
        ("Answer: __init__", "__init__"),
        ("Answer: _id", "_id"), ("Answer: *args", "*args"), ("**Answer: x**2**", "x**2"),
        ("**Answer:** a*b*c", "a*b*c"), ("Answer:** Paris", "Paris"), ("*Answer: B*", "B"),
        ("**Answer: Paris** is its name", "Paris is its name"), ("**Answer:**\n**42**", "**42**"),
    ],
)  # fmt: skip
def test_an_emphasis_ends_where_it_begins(text: str, span: str) -> None:
    assert answer_span(text) == span
