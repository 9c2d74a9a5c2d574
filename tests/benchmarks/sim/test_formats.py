"""The wordings that policies share with the training data."""

import random
import sys
from collections import Counter

import pytest

from ttc_bench.benchmarks.sim import formats as f
from ttc_bench.benchmarks.sim.tasks import TASKS
from ttc_bench.reference.conversations import FORMATS, draw
from ttc_bench.reference.recipe import DataParams


def text_of(name: str, seed: int = 0, task: str = "handle_time") -> tuple[str, list[str]]:
    """A conversation, and the gold solutions of its problem."""
    problem = TASKS[task].problem(random.Random(seed), "medium", "train")
    pieces = FORMATS[name](problem, random.Random(seed))
    golds = [TASKS[task].gold(problem, way) for way in range(TASKS[task].ways)]
    return "".join(p.text for p in pieces), golds


def test_importing_the_wordings_is_light() -> None:
    import subprocess

    code = "import sys, ttc_bench.benchmarks.sim.formats; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_plain_is_the_benchmarks_own_chat() -> None:
    from ttc_bench.benchmarks import BENCHMARKS, Prompting
    from ttc_bench.benchmarks.sim.samples import as_sample
    from ttc_bench.reference.conversations import opening

    for name, task in TASKS.items():
        problem = task.problem(random.Random(3), "medium", "test")
        benchmark = BENCHMARKS[task.benchmark]
        sample = as_sample(problem, "x", 0)
        for chain in (True, False):
            job = benchmark.render(sample, Prompting(chain_of_thought=chain), benchmark.params())
            chat = "".join(f"<|{m.role}|>{m.content}<|end|>" for m in job.messages)
            assert chat + "<|assistant|>" == "".join(
                piece.text for piece in opening(problem, chain)
            ), name


def test_critique_names_the_first_wrong_step() -> None:
    seen = set()
    for seed in range(30):
        text, _ = text_of("critique", seed)
        verdict = text.removesuffix("<|end|>").rsplit("<|assistant|>", 1)[-1]
        assert f.CRITIQUE_PROMPT in text
        assert f.passes(verdict) == (verdict == f.CRITIQUE_PASS)
        seen.add(f.passes(verdict))
    assert seen == {True, False}


def test_revision_ends_with_the_gold_solution() -> None:
    text, golds = text_of("revise", 1)
    assert f.REVISE_PROMPT in text
    assert text.rsplit("<|assistant|>", 1)[-1] in [f"{gold}<|end|>" for gold in golds]


def test_wait_stands_before_the_answer_and_is_followed_by_the_gold_steps() -> None:
    text, golds = text_of("wait", 2)
    first, second = text.rsplit("<|assistant|>", 1)[-1].split(f"\n{f.WAIT}\n")
    assert f.ANSWER_PREFIX not in first
    assert second in [f"{gold}<|end|>" for gold in golds]


@pytest.mark.parametrize("seed", range(5))
def test_forced_answers_are_right(seed: int) -> None:
    text, golds = text_of("forced_answer", seed)
    answer = golds[0].rsplit(f.ANSWER_PREFIX, 1)[-1]
    assert text.endswith(f"{f.ANSWER_PREFIX}{answer}<|end|>")


def test_training_draws_from_the_train_side_only() -> None:
    rng = random.Random(0)
    data = DataParams(formats=dict.fromkeys(FORMATS, 1.0), levels={"easy": 1.0, "hard": 1.0})
    assert all(draw(rng, data)[0].side() == "train" for _ in range(300))


def test_training_draws_tasks_and_levels_by_their_weights() -> None:
    rng = random.Random(0)
    data = DataParams(tasks={"case_routing": 3.0, "shop": 0.0}, levels={"hard": 1.0})
    drawn = [draw(rng, data)[0] for _ in range(2000)]
    counts = Counter(problem.task for problem in drawn)
    crm = sum(problem.benchmark == "crm_sim" for problem in drawn)
    assert counts["shop"] == 0
    assert counts["case_routing"] == pytest.approx(crm * 3 / 12, rel=0.25)
    assert {problem.level for problem in drawn} == {"hard"}
    assert draw(rng, data, "easy")[0].level == "easy"


def test_unknown_names_in_the_data_are_told_with_close_matches() -> None:
    with pytest.raises(ValueError, match=r"unknown task .*Did you mean 'case_routing'"):
        DataParams(tasks={"case_ruting": 1.0})
    with pytest.raises(ValueError, match="unknown format 'plan'"):
        DataParams(formats={"plan": 1.0})
