"""The generators: determinism, the split, slips, and gold answers derived a second way."""

import operator
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.benchmarks.sim.crm_base import MONTHS
from ttc_bench.benchmarks.sim.crm_tasks import CRM_TASKS
from ttc_bench.benchmarks.sim.formats import REFUSAL, solution_lines
from ttc_bench.benchmarks.sim.problems import LEVELS, Problem
from ttc_bench.benchmarks.sim.samples import generate
from ttc_bench.benchmarks.sim.tasks import TASKS, gold_text, question_text
from ttc_bench.benchmarks.sim.worf_tasks import WORF_TASKS

ALL = (*CRM_TASKS, *WORF_TASKS)
problems = st.builds(
    lambda name, level, seed: TASKS[name].problem(random.Random(seed), level, "test"),
    st.sampled_from(sorted(TASKS)),
    st.sampled_from(LEVELS),
    st.integers(0, 10**9),
)


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def answer_of(problem: Problem) -> str:
    return gold_text(problem).rsplit("Answer: ", 1)[-1]


def test_train_and_test_share_no_problem() -> None:
    train = {p.key() for p in generate(ALL, 0, 4000, "train")}
    test = {p.key() for p in generate(ALL, 0, 2000, "test")}
    assert len(train) == 4000
    assert len(test) == 2000
    assert not train & test


def test_the_split_does_not_depend_on_the_wording() -> None:
    problem = TASKS["handle_time"].problem(random.Random(0), "easy", "test")
    other = Problem(problem.benchmark, problem.task, "hard", problem.data, problem.style + 1)
    assert other.key() == problem.key()


def test_any_beginning_is_spread_over_tasks_and_levels() -> None:
    for tasks, first in ((CRM_TASKS, 30), (WORF_TASKS, 9)):
        found = generate(tasks, 0, first, "test")
        assert len({(p.task, p.level) for p in found}) == 3 * len(tasks)
        assert max(Counter(p.level for p in found[: first // 2]).values()) <= first // 6 + 1


def test_generation_is_the_same_in_another_process() -> None:
    code = (
        "from ttc_bench.benchmarks.sim.samples import generate\n"
        "from ttc_bench.benchmarks.sim.crm_tasks import CRM_TASKS\n"
        "print([p.key() for p in generate(CRM_TASKS, 3, 40, 'test')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert done.strip() == str([p.key() for p in generate(CRM_TASKS, 3, 40, "test")])


def ways_of(problem: Problem) -> list[list[str]]:
    task = TASKS[problem.task]
    return [solution_lines(task.gold(problem, way)) for way in range(task.ways)]


@given(problems, st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_slips_are_labelled_at_the_first_step_that_differs(problem: Problem, seed: int) -> None:
    text, wrong = TASKS[problem.task].slipped(problem, random.Random(seed))
    steps, right = solution_lines(text), ways_of(problem)
    if wrong is None:
        assert steps in right
    else:
        assert steps[: wrong - 1] in [way[: wrong - 1] for way in right]
        assert len(steps) < wrong or steps[:wrong] not in [way[:wrong] for way in right]


@given(problems)
@settings(max_examples=200, deadline=None)
def test_all_ways_are_different_and_right_and_end_in_one_answer(problem: Problem) -> None:
    task, ways = TASKS[problem.task], ways_of(problem)
    assert len({"\n".join(way) for way in ways}) == task.ways
    assert {way[-1] for way in ways} == {ways[0][-1]}


@given(problems)
@settings(max_examples=200, deadline=None)
def test_every_sum_that_is_written_out_is_right(problem: Problem) -> None:
    for step in (step for way in ways_of(problem) for step in way):
        for chain in re.findall(r"\d+[-+*/]\d+[-+*/\d]*=[-+*/=\d]+", step):
            told = chain.split("=")
            assert [worked_out(side) for side in told[:-1]] == [
                int(re.split(r"[-+*/]", side)[0]) for side in told[1:]
            ]


def worked_out(text: str) -> float:
    """Return the value of sums or of one product: all are read from left to right."""
    first, *rest = re.split(r"([-+*/])", text)
    value: float = int(first)
    for sign, number in zip(rest[::2], rest[1::2], strict=True):
        value = OPERATORS[sign](value, int(number))
    return value


def totals(question: str) -> dict[str, list[int]]:
    rows = defaultdict(list)
    for line in question.split("\n")[1:]:
        name, value = line.split()
        rows[name].append(int(value))
    return rows


def best(question: str, values: dict[str, float]) -> str:
    first = question.split("\n", maxsplit=1)[0]
    most = "highest" in first or " most " in first
    return sorted(values, key=lambda n: values[n])[-1 if most else 0]


def handle_time(question: str) -> str:
    sums = {n: sum(v) for n, v in totals(question).items()}
    winner = best(question, sums)
    return f"{winner}, {sums[winner]}"


def best_region(question: str) -> str:
    means = {n: sum(v) / len(v) for n, v in totals(question).items()}
    winner = best(question, means)
    return f"{winner}, {means[winner]:.0f}"


def transfers(question: str) -> str:
    sums = {n: sum(v) for n, v in totals(question).items()}
    return f"{max(sums, key=lambda n: sums[n])}, {max(sums.values())}"


def monthly(question: str) -> str:
    first, *rows = question.split("\n")
    product = next(w for w in re.findall(r"\w+", first) if any(w == r.split()[1] for r in rows))
    asked = [r.replace(f" {product} ", " ") for r in rows if r.split()[1] == product]
    return transfers("\n".join([first, *asked]))


def top_issue(question: str) -> set[str]:
    first, *rows = question.split("\n")
    start, end = (MONTHS.index(m) for m in re.findall("|".join(MONTHS), first))
    words = re.findall(r"\w+", first)
    product = next(w for w in words if any(w == r.split()[1] for r in rows))
    counts = Counter(
        issue
        for month, name, issue in map(str.split, rows)
        if name == product and start <= MONTHS.index(month) <= end
    )
    top = max(counts.values())
    return {i for i, c in counts.items() if c == top} | {str(top)}


def routing(question: str) -> str:
    _, *rows, cases = question.split("\n")
    agents = {r.split()[0]: [int(r.split()[1]), r.split()[2:]] for r in rows}
    chosen = []
    for case in cases.removeprefix("Cases: ").split(", "):
        able = [(load, i, n) for i, (n, (load, s)) in enumerate(agents.items()) if case in s]
        name = min(able)[2]
        agents[name][0] += 1
        chosen.append(name)
    return ", ".join(chosen)


def lead(question: str) -> str:
    units, wanted, budget, limit = re.findall(
        r"Lead: \w+, (\d+) (\w+), budget (\d+), deadline (\d+)", question
    )[0]
    role = re.findall(r"Lead: (\w+)", question)[0]
    price, deciders, stock, days = (
        re.findall(rf"^{word}: (.*)$", question, re.MULTILINE)[0].split()
        for word in ("Price", "Deciders", "Stock", "Days")
    )
    failed = {
        "Budget": int(units) * int(price[0]) > int(budget),
        "Authority": role not in deciders,
        "Need": wanted not in stock,
        "Timeline": sum(map(int, days)) > int(limit),
    }
    return ", ".join(f for f, no in failed.items() if no) or "None"


def named_entity(question: str) -> str:
    first, *rows = question.split("\n")
    known = {tuple(r.split()[:2]): r.split()[2] for r in rows}
    today, *gaps = map(int, re.findall(r"\d+", first))
    who = next(n for _, n in known if re.search(rf"\b{n}\b", first))
    return known[str(today - sum(gaps)), who]


def violations(question: str) -> str:
    _, *articles, agent = question.split("\n")
    sums: Counter[str] = Counter()
    for part in agent.removeprefix("Agent: ").split(", "):
        rule, value = part.split()
        sums[rule] += int(value)
    over = [a.split()[0] for a in articles if sums[a.split()[1]] > int(a.split()[3])]
    return ", ".join(over) or "None"


def private(question: str) -> str:
    first, rules, *rows = question.split("\n")
    words = re.findall(r"\w+", first)
    known = defaultdict(dict)
    for row in rows:
        column, values = row.split(": ")
        for name, value in map(str.split, values.split(", ")):
            known[name][column] = value
    asker, *who = [w for w in words if w in known]
    field = next(w for w in words if w in known[asker])
    public = rules.removeprefix("Public: ").removesuffix(", else private").split()
    if who and field not in public:
        return REFUSAL
    return known[(who or [asker])[0]][field]


DERIVED: dict[str, Callable[[str], str | set[str]]] = {
    "handle_time": handle_time,
    "best_region_identification": best_region,
    "transfer_count": transfers,
    "monthly_trend_analysis": monthly,
    "top_issue_identification": top_issue,
    "case_routing": routing,
    "lead_qualification": lead,
    "named_entity_disambiguation": named_entity,
    "policy_violation_identification": violations,
    "private_customer_information": private,
}


@pytest.mark.parametrize("name", sorted(DERIVED))
@given(st.sampled_from(LEVELS), st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_gold_answers_follow_from_the_question_alone(name: str, level: str, seed: int) -> None:
    problem = TASKS[name].problem(random.Random(seed), level, "train")
    derived = DERIVED[name](question_text(problem).replace("\n- ", "\n"))
    answer = answer_of(problem)
    assert derived == (set(answer.split(", ")) if isinstance(derived, set) else answer)


@given(st.sampled_from([t.name for t in WORF_TASKS]), st.sampled_from(LEVELS), st.integers(0, 9**9))
@settings(max_examples=100, deadline=None)
def test_plans_respect_the_constraints_of_the_request(name: str, level: str, seed: int) -> None:
    problem = TASKS[name].problem(random.Random(seed), level, "train")
    task, data = TASKS[name], problem.data
    *nodes, edges = solution_lines(gold_text(problem))
    place = {node.split(": ", 1)[1]: i for i, node in enumerate(nodes, start=1)}
    found = {(int(a), int(b)) for a, b in re.findall(r"\((\d+),(\d+)\)", edges)}
    texts = [_node_text(name, node) for node in data["nodes"]]
    assert found == {(place[texts[a]], place[texts[b]]) for a, b in task.edges(data)}
    assert all(a < b for a, b in found)
    assert len(nodes) == len(data["nodes"])


def _node_text(domain: str, node: list[str]) -> str:
    from ttc_bench.benchmarks.sim.worf_tasks import DOMAINS

    return DOMAINS[domain][node[0]][0].format(node[1])


@pytest.mark.parametrize("task", CRM_TASKS, ids=lambda t: t.name)
def test_harder_levels_have_more_to_read(task: object) -> None:
    lengths = [
        sum(len(question_text(task.problem(random.Random(i), level, "train"))) for i in range(40))
        for level in LEVELS
    ]
    assert lengths == sorted(lengths)
