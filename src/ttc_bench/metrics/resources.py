"""What the machine gave while a policy ran: memory, processor, accelerator, energy.

`Monitor` samples this process and, where there is an NVIDIA GPU, its driver (NVML). A run
that monitors writes the readings of the whole node into each response row, under the names
of the metrics; without them the metrics are null.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family

_NOT_MONITORED = Null("not monitored in this run")


def _spec(name: str, unit: str, top: float | None, definition: str, source: str) -> MetricSpec:
    return MetricSpec(name, unit, (0.0, top), None if top else False, definition, source)


_METRICS = [
    _spec("peak_rss_bytes", "bytes", None, "Largest resident memory of the process.", "psutil"),
    _spec("cpu_share", "1", 1.0, "Processor time over wall time and cores.", "psutil"),
    _spec("gpu_share", "1", 1.0, "Mean share of time a GPU kernel ran.", "NVML"),
    _spec("gpu_memory_bytes", "bytes", None, "Largest memory in use on the GPU.", "NVML"),
    _spec("energy_j", "J", None, "Energy the GPU used, where the driver counts it.", "NVML"),
]


@family("resources", _METRICS)
def resources(batch: ScoringBatch) -> Columns:
    """Return the readings that the run wrote into its rows."""
    columns: dict[str, list[Value]] = {}
    for spec in _METRICS:
        values = batch.column(spec.name)
        columns[spec.name] = [_NOT_MONITORED if value is None else value for value in values]
    return columns


@dataclass(frozen=True)
class Reading:
    """What a `Monitor` saw; ``None`` where there is nothing to read.

    Attributes:
        peak_rss_bytes: Largest resident memory of this process, in bytes.
        cpu_share: Processor time over wall time and cores, in [0, 1].
        gpu_share: Mean utilisation of the GPU, in [0, 1].
        gpu_memory_bytes: Largest memory in use on the GPU, in bytes.
        energy_j: Energy that the GPU used, in joules.
    """

    peak_rss_bytes: int | None = None
    cpu_share: float | None = None
    gpu_share: float | None = None
    gpu_memory_bytes: int | None = None
    energy_j: float | None = None


@dataclass
class Monitor:
    """Samples resources in a thread between ``with`` and its end.

    Attributes:
        interval: Seconds between two samples.
        reading: The result, once the block has ended.
    """

    interval: float = 0.2
    reading: Reading = field(default_factory=Reading)

    def __enter__(self) -> Monitor:
        import psutil  # type: ignore[import-untyped]

        self._process = psutil.Process()
        self._cores = psutil.cpu_count() or 1
        self._gpu = _Gpu.open()
        self._started, self._busy = time.monotonic(), self._cpu_seconds()
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()
        wall = max(time.monotonic() - self._started, 1e-9)
        share = (self._cpu_seconds() - self._busy) / wall / self._cores
        own = Reading(self._peak, min(max(share, 0.0), 1.0))
        self.reading = self._gpu.read(own) if self._gpu else own

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self._sample()

    def _sample(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)
        if self._gpu:
            self._gpu.sample()


class _Gpu:
    """The first GPU, by NVML."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(0)
        self._shares: list[float] = []
        self._memory = 0
        self._energy = self._joules()

    @classmethod
    def open(cls) -> _Gpu | None:
        """Return the GPU, or ``None`` where there is no driver or no GPU."""
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            return cls(pynvml)
        except pynvml.NVMLError:
            return None

    def sample(self) -> None:
        nvml = self._nvml
        try:
            self._shares.append(nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100)
            self._memory = max(self._memory, nvml.nvmlDeviceGetMemoryInfo(self._handle).used)
        except nvml.NVMLError:  # some drivers do not count utilisation
            return

    def read(self, own: Reading) -> Reading:
        """Return ``own`` with the figures of the GPU."""
        energy = self._joules()
        used = None if energy is None or self._energy is None else energy - self._energy
        share = sum(self._shares) / len(self._shares) if self._shares else None
        return Reading(own.peak_rss_bytes, own.cpu_share, share, self._memory or None, used)

    def _joules(self) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None
