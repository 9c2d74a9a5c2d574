"""crm_sim: samples, rendering, answers, scores, chance."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.sim.formats import CRM_SYSTEM, CRM_SYSTEM_ANSWER_ONLY, REFUSAL
from ttc_bench.benchmarks.sim.samples import SimParams
from ttc_bench.types import Job

CRM = BENCHMARKS["crm_sim"]
PARAMS = SimParams(count=120)
SAMPLES = CRM.load(PARAMS)


def job(index: int = 0, **prompting: object) -> Job:
    return CRM.render(SAMPLES[index], Prompting.model_validate(prompting), PARAMS)


def test_default_split_has_400_samples_and_unique_ids() -> None:
    samples = CRM.load(SimParams())
    assert len(samples) >= 400
    assert len({s.id for s in samples}) == len(samples)


def test_load_is_deterministic_and_seeded() -> None:
    assert CRM.load(PARAMS) == SAMPLES
    other = CRM.load(SimParams(seed=1, count=120))
    assert {s.metadata["key"] for s in other}.isdisjoint(s.metadata["key"] for s in SAMPLES)


def test_a_smaller_split_is_the_beginning_of_a_larger_one() -> None:
    assert CRM.load(SimParams(count=30)) == SAMPLES[:30]


def test_ten_task_types_at_three_levels() -> None:
    assert len({(s.task, s.difficulty) for s in SAMPLES[:30]}) == 30


def test_gold_solutions_score_one_and_parse() -> None:
    for i, sample in enumerate(SAMPLES):
        assert sample.solution is not None
        assert CRM.score(sample.solution, job(i))["reward"] == 1.0
        assert CRM.parse(sample.solution, job(i)) is not None


def test_wrong_answers_score_zero() -> None:
    for i in range(len(SAMPLES)):
        assert CRM.score("Answer: nobody, 999999", job(i))["reward"] == 0.0
        assert CRM.score("", job(i))["reward"] == 0.0


def test_order_of_answers_does_not_matter() -> None:
    assert CRM.parse("Answer: Ana, 12", job()) == CRM.parse("x\nAnswer: 12, Ana", job())


def test_refusals_are_one_answer() -> None:
    assert CRM.parse(f"Answer: {REFUSAL}", job()) == CRM.parse(
        "Answer: I can't share personal data.", job()
    )


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_parse_is_total_and_hashable(text: str) -> None:
    hash(CRM.parse(text, job()))


def test_system_message_says_what_is_wanted() -> None:
    assert job().messages[0].content == CRM_SYSTEM
    assert job(chain_of_thought=False).messages[0].content == CRM_SYSTEM_ANSWER_ONLY


def test_examples_come_from_the_train_side_and_the_same_task() -> None:
    keys = {s.metadata["key"] for s in CRM.load(SimParams(count=2000))}
    for sample in SAMPLES[:20]:
        shots = CRM.examples(sample, 3, PARAMS)
        assert len(shots) == 3
        assert {s.task for s in shots} == {sample.task}
        assert keys.isdisjoint(s.metadata["key"] for s in shots)
        assert shots == CRM.examples(sample, 3, PARAMS)


def test_shots_become_turns_with_solutions() -> None:
    rendered = job(shots=2)
    assert [m.role for m in rendered.messages] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert rendered.messages[2].content.rsplit("\n", 1)[-1].startswith("Answer: ")
    only = job(shots=1, chain_of_thought=False)
    assert only.messages[2].content.startswith("Answer: ")


def test_chance_is_low() -> None:
    chance = CRM.chance(SAMPLES)
    assert chance is not None
    assert 0 < chance < 0.2
    assert CRM.chance([]) is None
