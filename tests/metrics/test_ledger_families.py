from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.support import batch_of, is_null, make_call, make_job, make_response, run

from ttc_bench.engines.ledger import Ledger
from ttc_bench.metrics.base import Null
from ttc_bench.metrics.latency import percentile

JOB = make_job()


def test_latency_of_a_streamed_response() -> None:
    ledger = Ledger([make_call(completion_tokens=5, queue_s=0.5, latency_s=1.0)])
    gaps = (0.1, 0.3, 0.2, 0.2)
    response = make_response(JOB, ttft_s=0.2, itl_s=gaps, answer_tokens=5, ledger=ledger)
    found = run("latency", batch_of([(JOB, response)]))
    assert found["queue_s"] == [0.5]
    assert found["ttft_s"] == [0.2]
    assert found["itl_mean_s"] == [pytest.approx(0.2)]
    assert found["itl_p95_s"] == [pytest.approx(0.285)]
    assert found["itl_max_s"] == [0.3]
    assert found["tpot_s"] == [pytest.approx(0.2)]
    assert found["latency_s"] == [1.0]
    assert is_null(found["provider_s"][0])


def test_latency_without_gaps_or_clock_is_null() -> None:
    ledger = Ledger([make_call(completion_tokens=1, latency_s=1.0)])
    found = run("latency", batch_of([(JOB, make_response(JOB, ledger=ledger))]))
    for name in ("itl_mean_s", "itl_p95_s", "itl_max_s", "tpot_s", "ttft_s"):
        assert is_null(found[name][0]), name


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=50),
    st.floats(0, 100),
)
def test_percentiles_are_those_of_numpy(values: list[float], percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


def test_compute_sums_and_ratios() -> None:
    calls = [
        make_call(
            prompt_tokens=100,
            completion_tokens=20,
            draft_tokens=24,
            accepted_tokens=12,
            forward_passes=9,
            layers_run=72,
            prefill_flops=1e6,
            decode_flops=1e6,
        ),
        make_call(
            request=1, prompt_tokens=10, completion_tokens=4, forward_passes=5, layers_run=24,
            prefill_flops=0.0, decode_flops=4e5, attempts=3, replayed=True,
        ),
    ]  # fmt: skip
    response = make_response(JOB, ledger=Ledger(calls))
    found = run("compute", batch_of([(JOB, response)]))
    expected = {
        "calls": 2,
        "total_tokens": 134,
        "acceptance_rate": 0.5,
        "mean_accepted_length": 1.0,
        "tokens_per_pass": 24 / 14,
        "layers_per_token": 4.0,
        "flops_per_token": 1e5,
        "retries": 2,
        "spent_calls": 1,
        "spent_tokens": 120,
        "spent_flops": 2e6,
    }
    for name, value in expected.items():
        assert found[name] == [pytest.approx(value)], name


def test_compute_of_an_engine_that_tells_little_is_null_not_zero() -> None:
    response = make_response(JOB, ledger=Ledger([make_call(prompt_tokens=3)]))
    found = run("compute", batch_of([(JOB, response)]))
    for name in ("forward_passes", "flops", "peak_kv_bytes", "tokens_per_pass"):
        assert is_null(found[name][0]), name
    assert found["acceptance_rate"] == [Null("nothing was drafted")]
    assert found["flops_per_token"] == [None]


def test_throughput() -> None:
    timed = Ledger([make_call(prompt_tokens=30, completion_tokens=10, latency_s=2.0)])
    timeless = Ledger([make_call(completion_tokens=10)])
    pairs = [(JOB, make_response(JOB, ledger=ledger)) for ledger in (timed, timeless)]
    found = run("throughput", batch_of(pairs))
    assert found["output_tokens_per_s"][0] == 5.0
    assert found["total_tokens_per_s"][0] == 20.0
    assert is_null(found["output_tokens_per_s"][1])


def test_the_price_of_a_correct_answer_is_the_groups() -> None:
    def priced(usd: float | None, variant: str) -> tuple[object, object]:
        ledger = Ledger([make_call(usd=usd)])
        return JOB, make_response(JOB, variant=variant, ledger=ledger)

    pairs = [priced(0.2, "a"), priced(0.4, "a"), priced(1.0, "b"), priced(None, "c")]
    found = run("cost", batch_of(pairs, [1.0, 0.5, 0.0, 1.0]))  # type: ignore[arg-type]
    assert found["usd"] == [0.2, 0.4, 1.0, None]
    assert found["usd_per_correct"][:2] == [pytest.approx(0.4)] * 2
    assert found["usd_per_correct"][2] == Null("no answer of the group is correct")
    assert found["usd_per_correct"][3] is None


CONTROL = Ledger([make_call(latency_s=2.0, usd=0.5)])
BROKEN = Ledger([make_call(purpose="broken", latency_s=60.0, usd=0.5)])
OWN = Ledger([make_call(latency_s=1.0)])


def timed_beside(**changes: Any) -> dict[str, Any]:
    """The figures of a response of a second, its first token after 0.2, beside a control."""
    facts = {"ledger": OWN, "ttft_s": 0.2, "control": CONTROL, "control_ttft_s": 0.1, **changes}
    figures = run("control", batch_of([(JOB, make_response(JOB, **facts))]))
    return {name: values[0] for name, values in figures.items()}


def test_times_are_told_beside_those_of_the_control() -> None:
    figures = timed_beside()
    assert (figures["speed"], figures["ttft_ratio"]) == (2.0, 2.0)
    assert (figures["control_latency_s"], figures["control_ttft_s"]) == (2.0, 0.1)


@pytest.mark.parametrize("changes", [{"ttft_s": None}, {"control_ttft_s": None}])
def test_where_one_answer_is_empty_there_is_no_ratio_of_first_tokens(changes: Any) -> None:
    figures = timed_beside(**changes)
    assert figures["speed"] == 2.0
    assert "is empty" in figures["ttft_ratio"].reason


@pytest.mark.parametrize("control", [BROKEN, Ledger()])
def test_a_control_that_came_to_nothing_gives_no_time(control: Ledger) -> None:
    """What its tries cost is paid, and how long they took is no time of plain decoding."""
    figures = timed_beside(control=control, control_ttft_s=None)
    for name in ("speed", "ttft_ratio", "control_latency_s", "control_ttft_s"):
        assert "no control" in figures[name].reason, name
    assert control is not BROKEN or figures["control_usd"] == 0.5
