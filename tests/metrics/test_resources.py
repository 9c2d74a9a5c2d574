from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.conftest import ingested
from tests.metrics.support import batch_of, make_call, make_job, make_response, run

from ttc_bench.engines.base import Engine
from ttc_bench.engines.ledger import Ledger
from ttc_bench.metrics.base import Null, Value
from ttc_bench.metrics.resources import Monitor
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.pipelines.generate.params import TimingParams
from ttc_bench.policies import Outcome, Session, Variant
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import RESOURCES

JOB = make_job()
METRICS = [name for name in RESOURCES if name != "gpu_name"]

DRIVER = """
#include <string.h>
static unsigned long long joules = 5000, calls = 0;
int nvmlInitWithFlags(unsigned flags) { return STARTS ? 0 : 9; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index >= 2) return 2;
    *device = (void *)(unsigned long)(index + 1);
    return 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    if (strcmp(uuid, "GPU-2")) return 6;
    *device = (void *)2;
    return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned size) {
    strcpy(name, device == (void *)1 ? "Card One" : "Card Two");
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, unsigned *share) {
    if (!COUNTS) return 3;
    share[0] = calls++ ? 75 : 25;
    share[1] = 99;
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *bytes) {
    bytes[0] = 80, bytes[1] = 80 - 7, bytes[2] = 7;
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    if (!COUNTS) return 3;
    *millijoules = joules;
    joules += 2500;
    return 0;
}
"""
"""A driver of two cards with NVML's C interface; STARTS and COUNTS say what it can do."""

READ = """
import json
from dataclasses import asdict
from ttc_bench.engines.ledger import Ledger
from ttc_bench.metrics.resources import Monitor
with Monitor(interval_s=60) as monitor:
    {body}
print(json.dumps(asdict(monitor.reading)))
"""

Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a monitor in a process whose NVIDIA driver is `DRIVER`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler for Linux")

    def reading(
        starts: int = 1, counts: int = 1, body: str = "pass", **variables: str
    ) -> dict[str, Any]:
        library = tmp_path / "libnvidia-ml.so.1"
        command = [compiler, "-shared", "-fPIC", f"-DSTARTS={starts}", f"-DCOUNTS={counts}"]
        command += ["-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=DRIVER, text=True, check=True)
        known = {name: v for name, v in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        environment = {**known, **variables, "LD_LIBRARY_PATH": str(tmp_path)}
        process = subprocess.run(
            [sys.executable, "-c", READ.replace("{body}", body)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(process.stdout)
        assert isinstance(found, dict)
        return found

    return reading


def test_the_driver_is_read_by_its_own_interface(read: Read) -> None:
    found = read()
    assert found["gpu_name"] == "Card One"
    assert found["gpu_share"] == 0.5, "the mean of 25 % and 75 %"
    assert found["gpu_memory_bytes"] == 7, "used, not free"
    assert found["energy_j"] == 2.5, "millijoules between start and end"


def test_the_card_is_the_one_that_cuda_sees(read: Read) -> None:
    assert read(CUDA_VISIBLE_DEVICES="1,0")["gpu_name"] == "Card Two"
    assert read(CUDA_VISIBLE_DEVICES="GPU-2")["gpu_name"] == "Card Two"
    for hidden in ("", "-1", "7"):
        assert read(CUDA_VISIBLE_DEVICES=hidden)["gpu_name"] is None


def test_what_the_driver_does_not_count_is_unknown(read: Read) -> None:
    found = read(counts=0)
    assert found["gpu_memory_bytes"] == 7
    assert found["gpu_share"] is found["energy_j"] is None
    off = read(starts=0)
    assert off["gpu_name"] is off["gpu_memory_bytes"] is None
    assert off["peak_rss_bytes"] > 0


def test_the_energy_of_a_control_is_not_the_variants(read: Read) -> None:
    """Of four looks at the meter, 2.5 J apart, the two in the middle are around the control."""
    control = "with monitor.left_out(): monitor._sample()"
    found = read(body=control)
    assert found["energy_j"] == 5.0
    assert found["gpu_share"] == 0.5, "no look at the card is taken beside a control"


def test_what_ran_among_controls_has_no_energy_and_says_why(read: Read) -> None:
    found = read(body="with monitor.mixed(): pass")
    assert found["energy_j"] is found["gpu_share"] is found["cpu_share"] is None
    assert found["gpu_memory_bytes"] == 7
    values = scored(found)
    for name in ("energy_j", "gpu_share", "cpu_share"):
        value = values[name]
        assert isinstance(value, Null)
        assert "controls ran among the calls" in value.reason
    alone = scored({**found, "gpu_name": None, "gpu_memory_bytes": None})
    assert alone["energy_j"] == Null("NVML found no GPU")


class Idle(Variant):
    """Answers without a call: what the machine does beside it is its control's."""

    policy: ClassVar[str] = "idle"
    name: ClassVar[str] = "sleep"

    async def answer(self, session: Session) -> Outcome:
        await asyncio.sleep(0.3)
        return Outcome("Answer: None")


def test_a_variant_that_idles_beside_busy_controls_reads_as_idle(engine: Engine) -> None:
    jobs = ingested("crm_sim", 3)
    points = (("sleep", Idle()),)
    rows = generate(points, jobs, engine, Journal(), 0, TimingParams(jobs=3))
    assert (rows["control_flops"] > 0).all(), "the controls were busy"
    # A core at work beside it would be 1 over the cores.
    assert rows["cpu_share"].iloc[0] < 0.3 / len(os.sched_getaffinity(0))


def test_the_monitor_reads_this_process() -> None:
    with Monitor(interval_s=0.01) as monitor:
        block = bytearray(80 * 2**20)
        block[:: 2**12] = b"x" * len(block[:: 2**12])
        sum(i * i for i in range(300_000))
    reading = monitor.reading
    assert reading.peak_rss_bytes is not None
    assert reading.peak_rss_bytes > 80 * 2**20
    assert reading.cpu_share is not None
    assert 0.0 < reading.cpu_share <= 1.0


def scored(resources: dict[str, Any], replayed: bool = False) -> dict[str, Value]:
    ledger = Ledger([make_call(replayed=replayed)])
    response = make_response(JOB, resources=resources, ledger=ledger)
    found = run("resources", batch_of([(JOB, response)]))
    assert list(found) == METRICS
    return {name: values[0] for name, values in found.items()}


def test_readings_come_from_the_row_and_each_null_says_why() -> None:
    full = dict(zip(RESOURCES, (7, 0.5, "Card", 0.25, 9, 1.5), strict=True))
    assert scored(full) == {name: full[name] for name in METRICS}

    without = scored({"peak_rss_bytes": 7, "cpu_share": 0.5})
    assert (without["peak_rss_bytes"], without["cpu_share"]) == (7, 0.5)
    for name in METRICS[2:]:
        assert without[name] == Null("NVML found no GPU")

    silent = scored({**full, "energy_j": None})
    assert silent["energy_j"] == Null("the driver of the GPU does not count it")
    assert set(scored({}).values()) == {Null("not monitored in this run")}
    (reason,) = set(scored(full, replayed=True).values())
    assert isinstance(reason, Null)
    assert "replayed" in reason.reason, "a replay uses no resources of the policy"
