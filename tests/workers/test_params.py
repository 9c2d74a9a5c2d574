"""Where Ray runs is said by parameters, and hosted models need no workers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ttc_bench.datasets import WorkersDataset
from ttc_bench.engines import engine_params
from ttc_bench.errors import UserError
from ttc_bench.params import parse_params
from ttc_bench.workers import RayParams
from ttc_bench.workers.pool import check_reachable

LOCAL = {"engine": "local", "target": "data/06_models/reference/target"}


def test_a_run_has_no_workers_unless_it_asks_for_some() -> None:
    dataset = WorkersDataset(RayParams(), engine_params(LOCAL), None)
    assert dataset.load() is None
    dataset.close()


def test_hosted_models_are_called_by_one_client_whose_limits_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hosted = engine_params({"engine": "hosted", "target": "openai/gpt-4o-mini"})
    assert WorkersDataset(RayParams(workers=2), hosted, tmp_path / "journal.jsonl").load() is None
    assert "limits" in caplog.text


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"address": "ray://head:10001"}, "on a node of the cluster"),
        ({"workers": -1}, "ray.workers"),
        ({"worker": 2}, "Did you mean 'workers'"),
        ({"jobs_per_block": 0}, "ray.jobs_per_block"),
        ({"gpus_per_worker": 1.5}, "a share of one GPU, or a whole number"),
        *[
            ({"address": address}, "'auto', host:port, or null")
            for address in ("", "head", "local", ":6379", "head:", "head:http", "head:65536")
        ],
    ],
)
def test_what_cannot_be_is_told(settings: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_params(RayParams, settings, "ray")


def test_a_cluster_that_is_away_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="it comes with Ray, an extra")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr("ttc_bench.workers.pool.CONNECT_S", 0.5)
        with pytest.raises(UserError, match=f"{address} .*is no cluster of Ray"):
            check_reachable(address)
    with pytest.raises(UserError, match=f"nothing answers at {address}"):
        check_reachable(address)
    check_reachable("auto")
