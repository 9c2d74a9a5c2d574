"""What a variant costs against the baseline is told only where all of its bill is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.reporting.candidates import cost_words
from ttc_bench.reporting.decision import (
    UNSHOWN_FASTER,
    UNTIMED,
    decide,
    everywhere,
    lines,
    sentences,
)
from ttc_bench.reporting.limits import all_limits, answer
from ttc_bench.reporting.pairing import spec_of
from ttc_bench.reporting.params import AggregateParams, DecideParams
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.verdicts import verdicts, word_of
from ttc_bench.statistics.decision import DIFFERING, pairs_for_margin
from ttc_bench.statistics.ratios import ratio_of_totals

REWARDS: list[float | None] = [1.0, 0.0] * 12


def told(rival: pd.DataFrame, params: AggregateParams = PARAMS) -> pd.Series:
    base = scores("baseline", "greedy", REWARDS, usd=0.01)
    table = pd.concat([base, rival], ignore_index=True)
    rows = verdicts(table, speeds(table, params), params).set_index("policy")
    return rows.loc["cascade"]


def test_a_bill_with_a_gap_has_neither_ratio_nor_mean() -> None:
    rival = scores("cascade", "confidence", REWARDS, usd=0.001, flops=1e9)
    whole = told(rival)
    assert whole["usd_ratio"] == 0.1
    assert whole["usd_mean"] == 0.001
    rival.loc[3, "usd"] = float("nan")
    gap = told(rival)
    assert pd.isna(gap["usd_ratio"])
    assert pd.isna(gap["usd_mean"])
    assert gap["flops_ratio"] == 0.5
    (sentence,) = sentences(pd.DataFrame([gap.to_dict() | {"policy": "cascade"}]))
    assert "dollars" not in sentence
    assert "cheaper by FLOPs" in sentence


def test_a_failed_job_is_no_gap_in_the_bill() -> None:
    rewards: list[float | None] = [None, *REWARDS[1:]]
    assert told(scores("cascade", "confidence", rewards, usd=0.001))["usd_ratio"] == 0.1


@pytest.mark.parametrize(
    ("lossless", "told_as"),
    [
        ([True] * 24, "identical on these 24, lossless by construction"),
        ([True] * 23 + [None], "identical on these 24; up to 12% of others may differ"),
        (None, "identical on these 24; up to 12% of others may differ"),
    ],
)
def test_what_declares_itself_lossless_is_said_to_be_so(
    lossless: list[bool | None] | None, told_as: str
) -> None:
    answers = [str(reward) for reward in REWARDS]
    base, rival = (
        scores(policy, "x", REWARDS).assign(answer=answers) for policy in ("baseline", "cascade")
    )
    base["variant"] = "greedy"
    if lossless is not None:
        rival["lossless"] = pd.array(lossless, dtype="boolean")
    table = pd.concat([base, rival], ignore_index=True)
    words = verdicts(table, speeds(table, PARAMS), PARAMS).set_index("policy")
    assert word_of(words.loc["cascade"].to_dict()) == told_as
    differing = table.assign(answer=["other", *answers[1:], *answers])
    word = verdicts(differing, speeds(table, PARAMS), PARAMS).set_index("policy").loc["cascade"]
    assert word["verdict"] != "identical", "what is declared is no answer"
    assert words.loc["cascade", "same_share"] == 1.0
    assert word["same_share"] == pytest.approx(23 / 24)


def test_a_failed_answer_is_neither_the_same_nor_another() -> None:
    answers = pd.array([None, *map(str, REWARDS[1:])], dtype="object")
    rival = scores("cascade", "confidence", [None, *REWARDS[1:]]).assign(answer=answers)
    assert told(rival)["same_share"] is pd.NA, "the baseline's answers are not known"
    base = scores("baseline", "greedy", REWARDS).assign(answer=[str(r) for r in REWARDS])
    table = pd.concat([base, rival], ignore_index=True)
    rows = verdicts(table, speeds(table, PARAMS), PARAMS).set_index("policy")
    assert rows.loc["cascade", "same_share"] == 1.0


def verdicts_on(*tables: pd.DataFrame, params: AggregateParams = PARAMS) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    return verdicts(table, speeds(table, params), params)


@pytest.mark.parametrize("n", [1, 24, 400])
def test_where_nothing_was_answered_that_is_what_is_told(n: int) -> None:
    table = verdicts_on(
        scores("baseline", "greedy", [None] * n), scores("cascade", "confidence", [None] * n)
    )
    row = table.set_index("policy").loc["cascade"]
    assert (row["verdict"], row["n_answered"]) == ("undecided", 0)
    assert row["n_needed"] is pd.NA
    told = "undecided, as neither side answered anything"
    assert sentences(table) == [f"cascade.confidence: {told}."]
    decided = lines(decide(table, DecideParams()), "target")
    assert len(decided) == 3
    assert "nothing yet (neither side answered anything)" in decided[0]
    same = ": nothing yet, for the same reason as fastest at equal quality."
    assert all(line.endswith(same) for line in decided[1:]), "said once, and told where"
    assert "No response is valid" in answer(row_dicts(table), all_limits(DecideParams()))


def test_no_aim_is_left_without_a_reason_where_neither_flops_nor_times_are_known() -> None:
    """As of a hosted model: of its answers only the tokens are told, and nothing was timed."""
    few: list[float | None] = [1.0, 0.0] * 4
    unknown = {"flops": np.nan, "usd": np.nan, "latency_s": np.nan}
    table = verdicts_on(
        scores("baseline", "greedy", few, **unknown).assign(answer="a"),
        scores("cascade", "confidence", few, **unknown).assign(answer="b"),
    )
    decision = decide(table, DecideParams())
    assert decision["reason"].str.len().gt(0).all()
    fastest, cheapest, best = lines(decision, "target")
    assert "nothing yet (about" in fastest
    assert cheapest == (
        "Cheapest at equal quality, by tokens: nothing yet, for the same reason as fastest at equal"
        " quality."
    )
    assert "nothing yet (" in best


def test_the_answer_without_limits_names_who_is_as_good_for_less() -> None:
    for flops, is_named in ((1e9, True), (9e9, False)):
        table = verdicts_on(
            scores("baseline", "greedy", REWARDS, flops=3e9).assign(answer="x"),
            scores("cascade", "confidence", REWARDS, flops=flops).assign(answer="x"),
        )
        said = answer(row_dicts(table), all_limits(DecideParams()))
        assert said.startswith("Nothing is shown to be better than baseline.greedy")
        assert ("; but cascade.confidence is as good at 0.33 times" in said) == is_named


def test_where_nothing_was_timed_that_is_why_no_variant_is_the_fastest() -> None:
    table = verdicts_on(
        scores("baseline", "greedy", REWARDS).assign(answer="x"),
        scores("cascade", "confidence", REWARDS).assign(answer="x"),
    )
    assert table["speed"].isna().all()
    timed = table.assign(speed=1.0, speed_low=0.9, speed_high=1.1)
    for own, why in ((table, UNTIMED), (timed, UNSHOWN_FASTER)):
        assert lines(decide(own, DecideParams()), "target")[0] == (
            f"Fastest at equal quality: nothing yet ({why})."
        )


def test_of_several_benchmarks_the_one_that_was_not_answered_is_named() -> None:
    sides = (("baseline", "greedy"), ("cascade", "confidence"))
    table = verdicts_on(
        *(scores(*side, REWARDS).assign(answer="x") for side in sides),
        *(scores(*side, [None] * 24).assign(answer=None, benchmark="worf_sim") for side in sides),
    )
    decided = lines(decide(table, DecideParams()), "target")
    assert len(decided) == 3, "the cost is that of the benchmark that was answered"
    assert f"nothing yet (crm_sim: {UNTIMED}; worf_sim: neither side answered" in decided[0]
    assert "nothing yet (worf_sim: neither side answered" in decided[1]


def test_each_benchmark_has_its_own_lack_and_a_dearer_variant_leaves_the_baseline() -> None:
    """Questions that are needed stand beside the benchmark that needs them."""
    mixed, rare = [1.0, 0.0] * 12, [0.0, *[1.0] * 23]
    table = verdicts_on(
        scores("baseline", "greedy", mixed, flops=1e9),
        scores("cascade", "confidence", mixed[::-1], flops=3e9),
        scores("baseline", "greedy", rare, flops=1e9).assign(benchmark="worf_sim"),
        scores("cascade", "confidence", rare[::-1], flops=3e9).assign(benchmark="worf_sim"),
    )
    needed = {
        row["benchmark"]: row["n_needed"] for row in row_dicts(table) if row["policy"] == "cascade"
    }
    fastest, cheapest, best = lines(decide(table, DecideParams()), "target")
    for benchmark, count in needed.items():
        assert f"{benchmark}: about {count} questions would show equal within 0.05" in fastest
        assert f"{benchmark}: {count} questions would show a difference of 0.05" in best
    assert cheapest.endswith(": the baseline (every variant is dearer).")


def test_rewards_that_are_equal_so_far_promise_no_more_than_the_log_does() -> None:
    """The answers differ, so that 59 equal ones, the rule of three, show nothing of them."""
    few: list[float | None] = [1.0, 0.0] * 12
    tables = [scores("baseline", "greedy", few).assign(answer="a"),
              scores("cascade", "confidence", few).assign(answer="b")]  # fmt: skip
    table = verdicts_on(*tables)
    fastest, _, best = lines(decide(table, DecideParams()), "target")
    wanted = pairs_for_margin(0.05, DIFFERING)
    assert f"nothing yet (about {wanted} questions would show equal within 0.05)" in fastest
    assert "a difference of 0.05" in best
    slow = table.assign(speed=0.12, speed_low=0.1, speed_high=0.2)
    assert (
        "the baseline (every variant is slower)" in lines(decide(slow, DecideParams()), "target")[0]
    )


def test_each_benchmark_says_why_nothing_is_named_there_beside_what_is_named_elsewhere() -> None:
    told = pd.DataFrame(
        [
            ("m", "crm_sim", "fastest", None, None, "no variant as good is shown to be faster"),
            ("m", "own", "fastest", "speculative", "step", "2.00 times as fast"),
            ("m", "worf_sim", "fastest", None, None, "every variant is slower"),
            ("m", "all", "fastest", None, None, "no variant as good is shown to be faster"),
        ],
        columns=["model", "benchmark", "aim", "policy", "variant", "reason"],
    ).astype("string")
    assert lines(told, "m") == [
        "Fastest: crm_sim: nothing yet (no variant as good is shown to be faster); own:"
        " speculative.step (2.00 times as fast); worf_sim: the baseline (every variant is slower);"
        " all: nothing yet, as on crm_sim."
    ]


def test_where_the_baseline_is_shown_to_be_the_cheapest_on_one_benchmark_alone_that_is_said() -> (
    None
):
    why = ["every variant is dearer", *["no variant as good is shown to be cheaper"] * 2]
    rows = [("m", name, "cheapest", None, None, reason)
            for name, reason in zip(("crm_sim", "worf_sim", "all"), why, strict=True)]  # fmt: skip
    told = pd.DataFrame(rows, columns=["model", "benchmark", "aim", "policy", "variant", "reason"])
    assert lines(told.astype("string"), "m") == [
        "Cheapest: crm_sim: the baseline (every variant is dearer); worf_sim: nothing yet (no"
        " variant as good is shown to be cheaper); all: nothing yet, as on worf_sim."
    ]


def test_figures_over_several_benchmarks_say_their_weights_and_those_of_one_have_none() -> None:
    sides = ((("baseline", "greedy"), 0.0), (("cascade", "confidence"), 1.0))
    table = verdicts_on(
        *(scores(*side, [reward] * n).assign(benchmark=benchmark)
          for benchmark, n in (("crm_sim", 24), ("worf_sim", 100)) for side, reward in sides)
    )  # fmt: skip
    told = decide(table, DecideParams()).set_index(["aim", "benchmark"])["reason"]
    best = told["best at any price"].str.endswith(", 2 benchmarks of equal weight")
    assert best.to_dict() == {"crm_sim": False, "worf_sim": False, "all": True}
    parts = [row_dicts(part) for _, part in table.groupby("benchmark")]
    limits = all_limits(DecideParams())
    assert "on 124 questions, 2 benchmarks of equal" in answer(everywhere(parts), limits)
    assert "equal weight" not in answer(everywhere(parts[:1]), limits)


def test_what_is_not_known_is_told_without_a_figure_for_it() -> None:
    limits, wanted = DecideParams(budget_usd=1.0), "dollars are not known"
    alone = verdicts_on(scores("baseline", "greedy", [None] * 3))
    assert "No response is valid" in answer(row_dicts(alone), all_limits(limits))
    free = verdicts_on(scores("baseline", "greedy", REWARDS))
    assert (
        answer(row_dicts(free), all_limits(limits)) == f"Nothing is within $1 a response; {wanted}."
    )


def test_answers_that_wait_for_their_rewards_are_answers_none_the_less() -> None:
    waiting = [scores(*name, [1.0] * 24).assign(reward=pd.NA) for name in
               (("baseline", "greedy"), ("cascade", "confidence"))]  # fmt: skip
    row = verdicts_on(*waiting).set_index("policy").loc["cascade"]
    assert (row["verdict"], row["n_pairs"], row["n_answered"]) == ("undecided", 0, 24)
    assert "answered" not in word_of(row.to_dict())


def test_what_both_failed_on_shows_no_equality_and_more_questions_are_lost_likewise() -> None:
    few = [*[1.0, 0.0] * 10, *[None] * 180]
    table = verdicts_on(scores("baseline", "greedy", few), scores("cascade", "confidence", few))
    row = table.set_index("policy").loc["cascade"]
    assert (row["verdict"], row["n_pairs"], row["n_answered"]) == ("undecided", 200, 20)
    assert row["n_needed"] == 590, "59 that are answered, one in ten"
    whole = [1.0, 0.0] * 100
    assert told(scores("cascade", "confidence", whole[:24]))["n_answered"] == 24
    both = verdicts_on(scores("baseline", "greedy", whole), scores("cascade", "confidence", whole))
    assert both.set_index("policy").loc["cascade", "verdict"] == "as good"


def test_models_and_clusters_of_several_tasks_are_told_apart() -> None:
    """Equal answers of 22 task types say less of further ones than as many questions would."""
    tables = []
    for model, tasks, fails in (("wide", 22, False), ("narrow", 2, False), ("down", 22, True)):
        for policy, variant in (("baseline", "greedy"), ("cascade", "confidence")):
            rewards: list[float | None] = [None if fails else 1.0] * 88
            table = scores(policy, variant, rewards).assign(
                model=model,
                task=[f"task {n % tasks}" for n in range(88)],
                answer=None if fails else "x",
            )
            tables.append(table)
    rows = verdicts_on(*tables, params=AggregateParams(min_clusters=20))
    rows = rows[rows["policy"] == "cascade"].set_index("model")
    assert dict(rows["verdict"]) == {
        "down": "undecided",
        "narrow": "identical",
        "wide": "identical",
    }
    assert rows.loc["narrow", "differ_high"] == pytest.approx(1 - 0.05 ** (1 / 88))
    assert rows.loc["wide", "differ_high"] == pytest.approx(1 - 0.05 ** (1 / 22))
    assert rows.loc["down", "differ_high"] is pd.NA


def drawn_costs(rng: np.random.Generator, n: int, names: int) -> pd.DataFrame:
    """Skewed costs of equal variants, whose mean is 1 s."""
    tables = []
    for place in range(names):
        name = ("cascade", str(place)) if place else ("baseline", "greedy")
        table = scores(*name, [1.0] * n).assign(answer="x")
        tables.append(table.assign(latency_s=rng.lognormal(-0.125, 0.5, n)))
    return pd.concat(tables, ignore_index=True)


def test_luck_alone_puts_a_variant_within_a_budget_in_at_most_5_of_100_suites() -> None:
    rng, rounds, within, by_mean = np.random.default_rng(3), 30, 0, 0
    for _ in range(rounds):
        table = verdicts_on(drawn_costs(rng, 40, 8))
        told = decide(table, DecideParams(budget_s=0.999)).set_index("aim")
        within += told["policy"].notna()["best within 0.999 s a response"]
        by_mean += (table["latency_s_mean"] < 0.999).any()
    # 2.5% by the level; 30 suites of it read 5 and more in one of 1,000.
    assert within <= 4
    assert by_mean > rounds / 2, "by their means most suites have one"


def test_a_budget_is_kept_by_the_whole_interval_and_the_sentence_shows_it() -> None:
    table = verdicts_on(drawn_costs(np.random.default_rng(1), 60, 2))
    base = table.set_index("policy").loc["baseline"]
    mean, high = base["latency_s_mean"], base["latency_s_mean_high"]
    ends = f"{mean:.3g} s [{base['latency_s_mean_low']:.3g}, {high:.3g}]"
    wide, tight = (DecideParams(budget_s=float(most)) for most in (high * 1.3, mean * 1.01))
    assert f"baseline.greedy (mean {ends})" in lines(decide(table, wide), "target")[-1]
    assert "no variant as good is shown to be within" in lines(decide(table, tight), "target")[-1]
    text = answer(row_dicts(table), all_limits(tight))
    assert "Nothing is shown to be within" in text
    assert "[" in text


@pytest.mark.parametrize("n", [1, 2, 5])
def test_of_too_few_for_an_interval_each_is_within_the_budget(n: int) -> None:
    costs = [1.0] * (n - 1) + [3.0]
    table = verdicts_on(scores("baseline", "greedy", [1.0] * n).assign(flops=costs),
                        scores("cascade", "confidence", [0.0] * n))  # fmt: skip
    for most, named in ((3.0, True), (2.9, False)):
        told = decide(table, DecideParams(budget_flops=most))
        assert told["policy"].notna().iloc[-1] == named


@pytest.mark.parametrize(
    ("tokens", "told_as"),
    [
        (99.9, "0.999 times [0.999, 0.999]"),
        (0.02, "0.0002 times [0.0002, 0.0002]"),
        (50.0, "0.50 times [0.50, 0.50]"),
        (0.0, "0.00 times [0.00, 0.00]"),
    ],
)
def test_no_ratio_that_is_cheaper_reads_as_none_or_as_the_same(tokens: float, told_as: str) -> None:
    table = verdicts_on(
        scores("baseline", "greedy", REWARDS),
        scores("cascade", "confidence", REWARDS, total_tokens=tokens),
    )
    (sentence,) = sentences(table)
    assert f"cheaper by tokens, {told_as}" in sentence


def test_a_bill_with_a_gap_makes_no_other_interval_wider() -> None:
    """Comparisons and ratios are of one family, so that their words are the same."""
    size = np.random.default_rng(5).lognormal(0, 1, 24)
    sides = [scores("baseline", "greedy", REWARDS), scores("cascade", "confidence", REWARDS)]
    sides[1] = sides[1].assign(flops=2e9 * size)
    alone = verdicts_on(*sides)
    gaps = [scores("self_refine", str(i), REWARDS, flops=float("nan")) for i in range(20)]
    beside = verdicts_on(*sides, *gaps)
    ends = [
        table.set_index("policy").loc["cascade", "flops_ratio_high"] for table in (alone, beside)
    ]
    assert ends[0] == ends[1]
    assert np.isnan(ratio_of_totals(np.array([np.inf] * 24), size).ratio)


def test_better_on_one_benchmark_and_as_good_on_another_is_not_said_to_be_within_the_margin() -> (
    None
):
    table = verdicts_on(
        scores("baseline", "greedy", [0.0] * 200),
        scores("cascade", "confidence", [1.0] * 200),
        *(
            scores(*side, [1.0] * 200).assign(benchmark="worf_sim")
            for side in (("baseline", "greedy"), ("cascade", "confidence"))
        ),
    )
    rows = everywhere([row_dicts(part) for _, part in table.groupby("benchmark")])
    (word,) = [word_of(row) for row in rows if row["policy"] == "cascade"]
    assert word == "as good or better"


def test_times_that_were_not_taken_side_by_side_have_no_ratio() -> None:
    rival = told(scores("cascade", "confidence", REWARDS, usd=0.01, ttft_s=0.1, energy_j=1.0))
    assert pd.isna(rival["speed"])
    assert pd.isna(rival["ttft_ratio"])


def test_energy_has_no_word_for_it_is_read_for_all_answers_at_once_and_that_is_said() -> None:
    """The same figure stands in each row: an interval of it would have no width."""
    rival = scores("cascade", "confidence", REWARDS, energy_j=1.0)
    table = collect_scores(scores("baseline", "greedy", REWARDS, energy_j=9.0), rival)
    rows = verdicts(table, speeds(table, PARAMS), PARAMS)
    assert not [name for name in rows.columns if "energy" in name]
    assert "energy" not in " ".join(sentences(rows))
    assert "no interval, and so no verdict" in spec_of("energy_j").definition


def test_a_sentence_tells_first_tokens_beside_whole_answers() -> None:
    rng = np.random.default_rng(3)
    noise = rng.lognormal(0, 0.02, (4, 24))
    rival = scores("cascade", "confidence", REWARDS).assign(
        latency_s=0.5 * noise[0], control_latency_s=noise[1],
        ttft_s=0.5 * noise[2], control_ttft_s=0.1 * noise[3],
    )  # fmt: skip
    row = told(rival)
    (sentence,) = sentences(pd.DataFrame([row.to_dict() | {"policy": "cascade"}]))
    assert (
        "; 2.00 times [1.98, 2.03] as fast; dearer by time to first token, 4.99 times" in sentence
    )
    assert cost_words(row.to_dict()) == {
        "seconds": "cheaper", "time to first token": "dearer",
        "FLOPs": "undecided", "tokens": "undecided",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "base", "word", "told_as"),
    [
        (0.01, 0.0, "dearer", "dearer by dollars, where the baseline pays nothing"),
        (0.0, 0.01, "cheaper", "cheaper by dollars, 0.00 times [0.00, 0.00]"),
        (0.0, 0.0, None, "as good"),
    ],
)
def test_what_one_side_pays_and_the_other_does_not_is_told_on_each_benchmark_and_over_all(
    own: float, base: float, word: str | None, told_as: str
) -> None:
    table = collect_scores(
        *(
            scores(*side, [1.0] * 200, usd=usd).assign(benchmark=benchmark)
            for benchmark in ("crm_sim", "worf_sim")
            for side, usd in ((("baseline", "greedy"), base), (("cascade", "confidence"), own))
        )
    )
    rows = verdicts(table, speeds(table, PARAMS), PARAMS)
    for line in [text for _, part in rows.groupby("benchmark") for text in sentences(part)]:
        assert told_as in line
    parts = [row_dicts(part) for _, part in rows.groupby("benchmark")]
    (row,) = [row for row in everywhere(parts) if row["policy"] == "cascade"]
    assert cost_words(row).get("dollars") == word
    assert "inf" not in " ".join(lines(decide(rows, DecideParams()), "target"))


def test_one_question_is_no_more_than_one() -> None:
    table = verdicts_on(
        *(scores(*side, [1.0], total_tokens=1.0).assign(answer="a", lossless=lossless)
          for side, lossless in ((("baseline", "greedy"), None), (("cascade", "confidence"), True)))
    )  # fmt: skip
    text = " ".join(
        [*sentences(table), *lines(decide(table, DecideParams(budget_tokens=1)), "target")]
    )
    assert "identical on this one, lossless by construction" in text
    assert "best within 1 token a response" in text.lower()
    assert "(mean 1 token)" in text


def test_a_loss_that_is_shown_to_be_smaller_than_the_margin_is_as_good_and_said() -> None:
    n = 2000
    answers: list[float | None] = [1.0] * n
    lower: list[float | None] = [0.0] * 30 + [1.0] * (n - 30)
    table = verdicts_on(
        scores("baseline", "greedy", answers), scores("cascade", "confidence", lower, flops=1e9)
    )
    (sentence,) = sentences(table)
    assert "as good within 0.05, a loss smaller than that is shown, reward -0.015 [" in sentence
    told_all = lines(decide(table, DecideParams()), "target")
    assert "cascade.confidence (0.50 times" in told_all[1]
    assert "a loss smaller than that is shown" in told_all[1]
    tight = AggregateParams(equal_within=0.01)
    worse = verdicts(table_of(answers, lower), speeds(table_of(answers, lower), tight), tight)
    assert "worse" in set(worse["verdict"].dropna())


def table_of(*rewards: list[float | None]) -> pd.DataFrame:
    sides = (("baseline", "greedy"), ("cascade", "confidence"))
    return collect_scores(*(scores(*s, own) for s, own in zip(sides, rewards, strict=True)))


def test_more_questions_make_no_interval_over_all_benchmarks_wider() -> None:
    tables = [
        scores(policy, variant, rewards).assign(benchmark=benchmark)
        for benchmark, rewards in (("crm_sim", REWARDS), ("worf_sim", [1.0] * 22 + [0.0] * 2))
        for policy, variant in (("baseline", "greedy"), ("cascade", "confidence"))
    ]
    table = pd.concat(tables, ignore_index=True)
    rows = verdicts(table, speeds(table, PARAMS), PARAMS)
    parts = [row_dicts(part) for _, part in rows.groupby("benchmark")]
    for place, whole in enumerate(everywhere(parts)):
        for low, high in (
            ("reward_low", "reward_high"),
            ("difference_low", "difference_high"),
            ("alone_low", "alone_high"),
        ):
            if place or low == "reward_low":
                widths = [part[place][high] - part[place][low] for part in parts]
                assert 0 < whole[high] - whole[low] < max(widths), low
        assert whole["reward_low"] < whole["reward_mean"] < whole["reward_high"]
