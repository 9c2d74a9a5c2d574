"""Ray's workers: they start with a run, do blocks of jobs, and are replaced when lost.

What runs when is Ray's business: an actor has a queue, and its blocks wait there. This module says
which worker a job belongs to, so that all variants of the job run on the same machine, and sends
the jobs of a lost worker to another one.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ttc_bench.commit import sources
from ttc_bench.engines import EngineParams
from ttc_bench.engines.base import Engine
from ttc_bench.errors import UserError
from ttc_bench.policies.journal import Journal, in_words
from ttc_bench.workers.keeper import Keeper, RemoteJournal, answer_of
from ttc_bench.workers.params import RayParams

logger = logging.getLogger(__name__)

MOST_LOSSES = 5
"""Workers that the same item may cost; then it is taken for what breaks them."""

MOST_LETTERS = 300
"""Letters that are told of what Ray says."""

CONNECT_S = 10.0
"""Longest wait for a cluster to answer at its address."""

LOOK_AGAIN_S = 0.5
"""Longest time without a look at whether workers have come."""

SWITCHES = (
    "DO_NOT_TRACK",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_OFFLINE",
    "LITELLM_LOCAL_MODEL_COST_MAP",
    "TOKENIZERS_PARALLELISM",
)
"""Variables that keep libraries quiet and private, on other machines too."""

LIBRARIES = ("numpy", "tokenizers", "torch", "transformers")
"""What answers are computed by, beside this package; Ray compares Python's version and its own."""


class Item(Protocol):
    """What a worker is given: a job, or the responses to one."""

    @property
    def id(self) -> str:
        """What tells it from the others."""


A = TypeVar("A", bound=Item)
T = TypeVar("T")
Work = Callable[[Engine, Journal, Sequence[A]], Iterator[tuple[str | None, T]]]
"""Does items with models and a journal: yields what it makes, each with the id of the item that is
done with it, if one is. It and what it yields can be pickled."""


class Worker:
    """An actor that holds the models; their weights load once.

    Args:
        name: Its name.
        model: Which models.
        keeper: Handle of the journal's `Keeper`.
        folder: The project's folder: paths of models are from there, where a machine has it.
        switches: Variables to set, where they are not.
        code: `versions` where the run was started.
    """

    def __init__(
        self,
        name: str,
        model: EngineParams,
        keeper: Any,
        folder: Path,
        switches: Mapping[str, str],
        code: Mapping[str, str],
    ) -> None:
        for variable, value in switches.items():
            os.environ.setdefault(variable, value)
        if folder.is_dir():
            os.chdir(folder)
        self._model, self._code = model, code
        self._journal = RemoteJournal(keeper, name)
        self._engine: Engine | None = None

    def prepare(self) -> str:
        """Check code and models; return the name of the machine.

        Raises:
            UserError: If another code runs here, or a model cannot be what it is meant to be.
        """
        host = socket.gethostname()
        for name, own in versions().items():
            if own != self._code[name]:
                raise UserError(
                    f"on {host}: {name} is at {own}, and at {self._code[name]} where the run was"
                    " started: rows would be of two programs. Install the same on all machines."
                )
        try:
            self._engine = self._model.build()
        except UserError as error:
            raise UserError(f"on {host}: {error.message}") from error
        return host

    def answer(self, work: Work[A, T], items: Sequence[A]) -> Iterator[tuple[str | None, T]]:
        """Yield what ``work`` makes of items, as it comes."""
        assert self._engine is not None
        yield from work(self._engine, self._journal, items)


@dataclass(eq=False)
class Slot:
    """The place of a worker, which another one takes when it is lost.

    Attributes:
        number: Its place among the slots.
        name: Name of the worker in it.
        actor: Handle of that worker.
        coming: What it answers once it is ready; ``None`` when it is.
        host: Its machine, once it is ready.
    """

    number: int
    name: str
    actor: Any
    coming: Any
    host: str | None = None


@dataclass(eq=False)
class Block:
    """Items of one worker.

    Attributes:
        home: Number of the slot that they belong to.
        waiting: Those that are not done, by id.
        slot: Where they are.
    """

    home: int
    waiting: dict[str, Item] = field(default_factory=dict)
    slot: Slot | None = None


class Pool:
    """The workers of a run.

    Args:
        params: Where they are, and how many.
        model: The models that each holds.
        journal: File of the journal, on this machine.
    """

    def __init__(self, params: RayParams, model: EngineParams, journal: Path | None) -> None:
        self._params, self._model, self._path = params, model, journal
        self._ray: Any = None
        self._is_ours = False
        self._keeper: Any = None
        self._slots: list[Slot] = []
        self._hired = self._false_starts = 0
        self._losses: Counter[str] = Counter()

    def start(self) -> None:
        """Start Ray, or join the cluster, and wait for workers that are ready.

        Raises:
            UserError: If Ray is not installed, the cluster cannot be reached or has no room, or a
                worker cannot have its models.
        """
        self._ray = _library()
        try:
            self._join()
            workers = self._size()
            self._keeper = self._keep()
            self._slots = [self._hire(number) for number in range(workers)]
            self._await(lambda: not any(slot.coming for slot in self._slots))
        except BaseException:
            self.close()
            raise
        late = sum(slot.host is None for slot in self._slots)
        if late:
            logger.warning("%d of %d workers have not started yet", late, workers)
        hosts = Counter(slot.host for slot in self._slots if slot.host)
        told = ", ".join(f"{count} on {host}" for host, count in sorted(hosts.items()))
        logger.info("Ray: %d workers, %s", hosts.total(), told)

    def answer(
        self, work: Work[A, T], items: Sequence[A], homes: Mapping[str, int]
    ) -> Iterator[tuple[str | None, T]]:
        """Yield what ``work`` makes of items, as it comes from any worker; each is done once.

        Args:
            work: What does them.
            items: The items.
            homes: Number of the worker of each; see `homes_of`.

        Raises:
            UserError: If a worker raises it, none is left, or an item breaks whoever does it.
        """
        from ray.exceptions import RayError, RayTaskError

        streams: dict[Any, Block] = {}
        for block in self._blocks(items, homes):
            streams[self._send(work, block)] = block
        while streams:
            ready, _ = self._ray.wait(list(streams), num_returns=1, timeout=LOOK_AGAIN_S)
            self._welcome()
            for stream in ready:
                block = streams[stream]
                try:
                    done, item = answer_of(next(stream))
                except StopIteration:
                    del streams[stream]
                    continue
                except RayTaskError:
                    raise
                except RayError as error:
                    # A worker does its blocks in the order in which they were sent.
                    in_hand = next(b for b in streams.values() if b.slot is block.slot)
                    del streams[stream]
                    self._lost(in_hand, error)
                    if block.waiting:
                        streams[self._send(work, block)] = block
                    continue
                if done is not None:
                    block.waiting.pop(done, None)
                    self._losses.pop(done, None)
                yield done, item
        answer_of(self._keeper.tell_damage.remote())

    def homes_of(self, items: Sequence[Item]) -> dict[str, int]:
        """Return the number of the worker that each item belongs to, whatever is done with it.

        Blocks of neighbours go round; they are smaller where a worker would have none.
        """
        workers = len(self._slots)
        size = min(self._params.jobs_per_block, -(-len(items) // workers)) or 1
        return {item.id: place // size % workers for place, item in enumerate(items)}

    def close(self) -> None:
        """End the workers, and Ray where it was started for this run."""
        ray, self._ray = self._ray, None
        if ray is None or not ray.is_initialized():
            return
        for slot in self._slots:
            ray.kill(slot.actor)
        if self._keeper is not None:
            ray.wait([self._keeper.close.remote()], timeout=LOOK_AGAIN_S)
            ray.kill(self._keeper)
        self._slots, self._keeper = [], None
        if self._is_ours:
            ray.shutdown()

    def _join(self) -> None:
        """Start Ray or join the cluster, unless this process has done so already."""
        ray, address = self._ray, self._params.address
        if ray.is_initialized():
            return
        if address is not None:
            check_reachable(address)
        before = signal.getsignal(signal.SIGTERM)
        place = {"address": "local", "include_dashboard": False}
        try:
            ray.init(
                **(place if address is None else {"address": address}),
                namespace="ttc_bench",
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            said = " ".join(str(error).split())[:MOST_LETTERS]
            if address is None:
                raise UserError(f"parameter ray: Ray does not start here: {said}") from error
            raise UserError(
                f"parameter ray.address: no cluster at {address}: {said} Start this run on a node"
                " of the cluster, or give null for a Ray of this machine alone."
            ) from error
        self._is_ours = True
        # Ray's own handler would end the process where a run unwinds.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    def _size(self) -> int:
        """Return how many workers to start.

        Raises:
            UserError: If there is room for none, or this machine's Ray, which cannot grow, has not
                as much as is asked for.
        """
        params, has = self._params, self._ray.cluster_resources()
        cpus, gpus = has.get("CPU", 0.0), has.get("GPU", 0.0)
        room = int(cpus // params.cpus_per_worker)
        if params.gpus_per_worker:
            room = min(room, int(gpus // params.gpus_per_worker))
        workers = room if params.workers is None else params.workers
        line = (
            f"parameter ray: there are {cpus:g} CPUs and {gpus:g} GPUs, room for {room} workers of"
            f" {params.cpus_per_worker:g} and {params.gpus_per_worker:g}"
        )
        if not workers or (params.address is None and room < workers):
            raise UserError(f"{line}: fewer workers, or smaller ones, have room.")
        if room < workers:
            logger.warning("%s; %d are asked for, and what lacks is waited for", line, workers)
        return workers

    def _keep(self) -> Any:
        """Return the keeper of the journal, on this machine: its file is here."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self._ray.get_runtime_context().get_node_id()
        path = self._path.absolute() if self._path else None
        return (
            self._ray.remote(Keeper)
            .options(
                num_cpus=0,
                max_restarts=-1,
                max_task_retries=-1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
            )
            .remote(path)
        )

    def _hire(self, number: int) -> Slot:
        """Return a slot with a new worker, which Ray starts where there is room."""
        params = self._params
        self._hired += 1
        name = f"worker {self._hired}"
        switches = {name: os.environ[name] for name in SWITCHES if name in os.environ}
        actor = (
            self._ray.remote(Worker)
            .options(
                num_cpus=params.cpus_per_worker,
                num_gpus=params.gpus_per_worker,
                scheduling_strategy="SPREAD",
            )
            .remote(name, self._model, self._keeper, Path.cwd(), switches, versions())
        )
        return Slot(number, name, actor, actor.prepare.remote())

    def _welcome(self, timeout_s: float = 0.0) -> None:
        """Let those work who are ready by now.

        Raises:
            UserError: If one cannot have its models, or none lives and none comes.
        """
        from ray.exceptions import RayError, RayTaskError

        coming = {slot.coming: slot for slot in self._slots if slot.coming is not None}
        if not coming:
            return
        ready, _ = self._ray.wait(list(coming), timeout=timeout_s)
        for reference in ready:
            slot = coming[reference]
            try:
                slot.host = answer_of(reference)
            except RayTaskError:
                raise
            except RayError as error:
                self._lost_on_its_way(slot, error)
            else:
                slot.coming, self._false_starts = None, 0

    def _lost_on_its_way(self, slot: Slot, error: Exception) -> None:
        """Start another worker; not where one after the other is lost before it is ready.

        Raises:
            UserError: If then none is left.
        """
        self._false_starts += 1
        if self._false_starts < MOST_LOSSES:
            self._replace(slot, error)
            return
        slot.coming = None
        said = str(error).strip().splitlines()[-1][:MOST_LETTERS]
        line = f"{MOST_LOSSES} workers in a row were lost before they were ready ({said})"
        if not any(other.host or other.coming for other in self._slots):
            raise UserError(f"{line}. What is done is in the journal.") from error
        logger.warning("%s: the others go on without another one", line)

    def _await(self, is_enough: Callable[[], bool]) -> None:
        """Wait for workers that are coming.

        Raises:
            UserError: If none is there when patience ends.
        """
        until_s = time.monotonic() + self._params.patience_s
        while not is_enough() and time.monotonic() < until_s:
            self._welcome(LOOK_AGAIN_S)
        if not any(slot.host for slot in self._slots):
            raise UserError(
                f"no worker started within ray.patience_s ({self._params.patience_s:g} s): the"
                " cluster has no room or its machines lack the project. What is done is in the"
                " journal: the same command goes on from there."
            )

    def _blocks(self, items: Sequence[Item], homes: Mapping[str, int]) -> list[Block]:
        """Return items of one worker in a row as a block each."""
        blocks: list[Block] = []
        for item in items:
            home = homes[item.id]
            if not blocks or blocks[-1].home != home or self._is_full(blocks[-1]):
                blocks.append(Block(home))
            blocks[-1].waiting[item.id] = item
        return blocks

    def _is_full(self, block: Block) -> bool:
        return len(block.waiting) >= self._params.jobs_per_block

    def _send(self, work: Work[A, T], block: Block) -> Any:
        """Give a block to its worker, or to another one while that is not there."""
        if not any(slot.host for slot in self._slots):
            self._await(lambda: any(slot.host for slot in self._slots))
        slot = self._slots[block.home]
        if slot.host is None:
            living = [slot for slot in self._slots if slot.host]
            slot = living[block.home % len(living)]
        block.slot = slot
        answering = slot.actor.answer.options(num_returns="streaming")
        return answering.remote(work, list(block.waiting.values()))

    def _lost(self, block: Block, error: Exception) -> None:
        """Replace the worker of a block, if that has not been done for another of its blocks."""
        assert block.slot is not None
        if self._slots[block.slot.number] is block.slot:
            self._replace(block.slot, error, next(iter(block.waiting), None))

    def _replace(self, slot: Slot, error: Exception, in_hand: str | None = None) -> None:
        """Put a new worker in the place of a lost one, and tell what that had in flight.

        Args:
            slot: The place.
            error: How it was lost.
            in_hand: What it was doing, where no call says so.

        Raises:
            UserError: If the same item was in hand at too many losses.
        """
        calls: list[str] = answer_of(self._keeper.lost.remote(slot.name))
        self._ray.kill(slot.actor)
        lost = f"{slot.name} on {slot.host or 'its way'} is lost ({type(error).__name__})"
        logger.warning("%s%s", lost, f": {in_words(calls, 'there')}" if calls else "")
        in_hands = [in_hand] if in_hand else []
        self._losses.update({call.partition(", ")[0] for call in calls} or in_hands)
        broken = [item for item, losses in self._losses.items() if losses >= MOST_LOSSES]
        if broken:
            raise UserError(
                f"{', '.join(broken)}: {MOST_LOSSES} workers were lost over it. Look at their"
                " memory, or leave it out; what is answered is in the journal."
            )
        self._slots[slot.number] = self._hire(slot.number)


def versions() -> dict[str, str]:
    """Return what code runs here; builds of one version for other devices are alike."""
    is_there = {one.name: one.version.partition("+")[0] for one in distributions()}
    return {"ttc_bench": sources(), **{name: is_there.get(name, "none") for name in LIBRARIES}}


def check_reachable(address: str) -> None:
    """Raise unless a server of Ray's kind listens at an address; Ray itself tries for minutes.

    Raises:
        UserError: If none does.
    """
    import grpc

    if address == "auto":
        return  # Ray finds the cluster of this machine, or says so.
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
        if os.environ.get("RAY_USE_TLS", "0") == "0":
            with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
                grpc.channel_ready_future(channel).result(CONNECT_S)
    except (OSError, UnicodeError, grpc.FutureTimeoutError) as error:
        said = str(error) or "what listens there is no cluster of Ray"
        raise UserError(
            f"parameter ray.address: nothing answers at {address} ({said}). `ray start --head`"
            " tells the address of a cluster; null is a Ray of this machine alone."
        ) from error


def _library() -> Any:
    """Return Ray, which tells nobody that it is used.

    Raises:
        UserError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            'parameter ray.workers: Ray is not installed: pip install -e ".[ray]", or set it to 0.'
        ) from error
    return ray
