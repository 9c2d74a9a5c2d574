"""What the machine gave while a policy ran: memory, processor, accelerator, energy.

`Monitor` samples this process and, where there is an NVIDIA GPU, its driver (NVML). The generate
stage writes the readings of a variant's whole run into each of its responses, without its controls:
what these take is left out where they run alone, and has no reading where they run among the
variant's own calls. With a hosted model all is the client's, not the model's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family

T = TypeVar("T")

TURN = threading.Lock()
"""Held by what computes: of two at once, whatever the runner, each would be in the other's times
and readings."""

_NOT_MONITORED = Null("not monitored in this run")
_REPLAYED = Null("every call was replayed from the journal: nothing ran")
_NO_GPU = Null("NVML found no GPU")
_MIXED = Null("controls ran among the calls of the variant: what both took cannot be told apart")
_NOT_COUNTED = Null("the driver of the GPU does not count it")


def _spec(name: str, unit: str, top: float | None, definition: str, source: str) -> MetricSpec:
    return MetricSpec(name, unit, (0.0, top), None if top else False, definition, source)


_OF_PROCESS = [
    _spec(
        "peak_rss_bytes",
        "bytes",
        None,
        "Largest resident memory of the process while the variant ran, sampled.",
        "psutil",
    ),
    _spec(
        "cpu_share",
        "1",
        1.0,
        "Processor time of the process over wall time and the cores it may use.",
        "psutil",
    ),
]
_OF_GPU = [
    _spec("gpu_share", "1", 1.0, "Mean share of time a GPU kernel ran, of any process.", "NVML"),
    _spec("gpu_memory_bytes", "bytes", None, "Largest memory in use on the GPU.", "NVML"),
    _spec(
        "energy_j",
        "J",
        None,
        "Energy the GPU used for all responses of the variant at once, where the driver counts it:"
        " without one for each response there is no interval, and so no verdict.",
        "NVML",
    ),
]


@family("resources", [*_OF_PROCESS, *_OF_GPU])
def resources(batch: ScoringBatch) -> Columns:
    """Return the readings of the run of each response's variant."""
    replayed, gpus = batch.column("replayed"), batch.column("gpu_name")
    monitored = [peak is not None for peak in batch.column("peak_rss_bytes")]
    shares = zip(monitored, batch.column("cpu_share"), strict=True)
    mixed = [is_monitored and share is None for is_monitored, share in shares]
    rows = list(zip(replayed, monitored, mixed, gpus, strict=True))
    columns: dict[str, list[Value]] = {}
    for spec in (*_OF_PROCESS, *_OF_GPU):
        values = zip(batch.column(spec.name), rows, strict=True)
        columns[spec.name] = [_value(value, *row, spec in _OF_GPU) for value, row in values]
    return columns


def _value(
    value: float | None,
    replayed: bool | None,
    monitored: bool,
    mixed: bool,
    gpu: str | None,
    of_gpu: bool,
) -> Value:
    if replayed:
        return _REPLAYED
    if value is not None:
        return value
    if mixed and (gpu is not None or not of_gpu):
        return _MIXED
    if not monitored or not of_gpu:
        return _NOT_MONITORED
    return _NO_GPU if gpu is None else _NOT_COUNTED


@dataclass(frozen=True)
class Reading:
    """What a `Monitor` saw; ``None`` where there is nothing to read.

    Attributes:
        peak_rss_bytes: Largest resident memory of this process, in bytes.
        cpu_share: Processor time over wall time and the cores it may use, in [0, 1].
        gpu_name: Name of the GPU.
        gpu_share: Mean utilisation of the GPU, in [0, 1].
        gpu_memory_bytes: Largest memory in use on the GPU, in bytes.
        energy_j: Energy that the GPU used, in joules.
    """

    peak_rss_bytes: int | None = None
    cpu_share: float | None = None
    gpu_name: str | None = None
    gpu_share: float | None = None
    gpu_memory_bytes: int | None = None
    energy_j: float | None = None


@dataclass
class Monitor:
    """Samples resources in a thread between ``with`` and its end.

    Attributes:
        interval_s: Seconds between two samples.
        reading: The result, once the block has ended.
    """

    interval_s: float = 0.2
    reading: Reading = field(default_factory=Reading)

    def __enter__(self) -> Monitor:
        import psutil  # type: ignore[import-untyped]

        self._process = psutil.Process()
        self._gpu = _Gpu.open()
        self._is_paused = self._is_mixed = False
        self._spent = self._spending()
        self._peak = 0
        self._done = threading.Event()
        self._sample()
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
        spent = self._spending().less(self._spent)
        share = spent.busy_s / max(spent.wall_s, 1e-9) / _cores()
        own = Reading(self._peak, None if self._is_mixed else min(max(share, 0.0), 1.0))
        if self._gpu:
            own = self._gpu.read(own, spent.energy_j)
        if self._is_mixed:
            own = replace(own, gpu_share=None, energy_j=None)
        self.reading = own

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What runs in the block, alone, is not the variant's: nothing of it is read."""
        if self._is_paused:  # It is within another such block.
            yield
            return
        start, self._is_paused = self._spending(), True
        try:
            yield
        finally:
            self._is_paused = False
            self._spent = self._spent.plus(self._spending().less(start))

    @contextmanager
    def mixed(self) -> Iterator[None]:
        """What runs in the block is not the variant's, but the variant runs at the same time."""
        self._is_mixed = True
        yield

    def _spending(self) -> _Spent:
        times = self._process.cpu_times()
        energy_j = self._gpu.energy_j() if self._gpu else None
        return _Spent(time.monotonic(), float(times.user + times.system), energy_j)

    def _watch(self) -> None:
        while not self._done.wait(self.interval_s):
            self._sample()

    def _sample(self) -> None:
        if self._is_paused:
            return
        self._peak = max(self._peak, self._process.memory_info().rss)
        if self._gpu:
            self._gpu.sample()


class _Spent(NamedTuple):
    """Seconds of wall and processor, and joules of the GPU, since some moment."""

    wall_s: float
    busy_s: float
    energy_j: float | None

    def less(self, other: _Spent) -> _Spent:
        return self._with(other, -1)

    def plus(self, other: _Spent) -> _Spent:
        return self._with(other, 1)

    def _with(self, other: _Spent, sign: int) -> _Spent:
        own, joules = self.energy_j, other.energy_j
        total = None if own is None or joules is None else own + sign * joules
        return _Spent(self.wall_s + sign * other.wall_s, self.busy_s + sign * other.busy_s, total)


def _cores() -> int:
    """Return how many cores this process may use, which a container or taskset may limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_name() -> str | None:
    """Return the name of the GPU that is monitored, if there is one."""
    gpu = _Gpu.open()
    return None if gpu is None else gpu.name


def gpu_now() -> str:
    """Return in words how busy the GPU is at this moment, and how full."""
    if (gpu := _Gpu.open()) is None:
        return "There is no GPU."
    load = gpu._ask(lambda: float(gpu._nvml.nvmlDeviceGetUtilizationRates(gpu._handle).gpu))
    memory = gpu._ask(lambda: float(gpu._nvml.nvmlDeviceGetMemoryInfo(gpu._handle).used))
    told = "of unknown load" if load is None else f"at {load:.0f}%"
    held = "" if memory is None else f", with {memory / 2**30:.1f} GiB in use"
    return f"The GPU is {told}{held}."


class _Gpu:
    """The first GPU that this process sees, by NVML."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handle = _first_visible(nvml)
        name = nvml.nvmlDeviceGetName(self._handle)
        self.name = name.decode() if isinstance(name, bytes) else str(name)
        self._shares: list[float] = []
        self._memory: list[int] = []

    @classmethod
    def open(cls) -> _Gpu | None:
        """Return the GPU, or ``None`` where there is no driver, no GPU, or none to be seen."""
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
        """Read utilisation and memory; what the driver does not count stays unknown."""
        nvml, gpu = self._nvml, self._handle
        share = self._ask(lambda: float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu) / 100)
        memory = self._ask(lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used))
        self._shares += [] if share is None else [share]
        self._memory += [] if memory is None else [memory]

    def read(self, own: Reading, energy_j: float | None) -> Reading:
        """Return ``own`` with the figures of the GPU, and the energy that was used."""
        return replace(
            own,
            gpu_name=self.name,
            gpu_share=sum(self._shares) / len(self._shares) if self._shares else None,
            gpu_memory_bytes=max(self._memory, default=None),
            energy_j=energy_j,
        )

    def energy_j(self) -> float | None:
        """Return the energy used since the driver was loaded; ``None`` where it is not counted."""
        count = self._nvml.nvmlDeviceGetTotalEnergyConsumption
        return self._ask(lambda: float(count(self._handle)) / 1000)

    def _ask(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except self._nvml.NVMLError:
            return None


def _first_visible(nvml: Any) -> Any:
    """Return the device that CUDA numbers 0; NVML itself does not heed CUDA_VISIBLE_DEVICES.

    Raises:
        NVMLError: If there is no such device.
    """
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.lstrip("-").isdigit():
        # A negative number hides all devices, which no index of NVML's is.
        return nvml.nvmlDeviceGetHandleByIndex(int(first) if int(first) >= 0 else 2**31)
    return nvml.nvmlDeviceGetHandleByUUID(first)
