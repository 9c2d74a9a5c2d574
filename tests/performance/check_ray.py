"""Ray's workers under fire, and what they cost: workers, nodes and runs are killed at random.

    python tests/performance/check_ray.py kills --kills 20
    python tests/performance/check_ray.py cut
    python tests/performance/check_ray.py rates --workers 1 2

``kills`` starts a cluster of three nodes on this machine and a run on it, kills at random moments a
worker, a node or the run itself, which is started again, and holds the end to what must be: every
row that a run without Ray gives, and no call that was kept made twice or lost. ``cut`` freezes all
processes of one node in the middle, as if its network were cut. ``rates`` alternates runs without
Ray and with more and more workers, and prints the ratios of their times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

# As a script, only its own folder would be searched.
sys.path.insert(0, str(Path(__file__).parents[2]))

import psutil
from tests.conftest import REFERENCE, ingested

from ttc_bench.engines import engine_params
from ttc_bench.pipelines.generate.nodes import respond_all
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job
from ttc_bench.workers import RayParams
from ttc_bench.workers.pool import Pool

VARIANTS: dict[str, dict[str, Any]] = {
    "baseline.greedy": {},
    "self_consistency.majority": {"n": 4},
    "self_refine.feedback": {},
    "cascade.agreement": {"k": 2},
}
ANSWERED = ("job_id", "policy", "variant", "status", "text", "samples", "info")
MODEL = engine_params(
    {"engine": "local", **{r: str(REFERENCE / r) for r in ("target", "draft", "verifier")}}
)


def jobs_of(limit: int) -> list[Job]:
    return [job for name in ("crm_sim", "worf_sim") for job in ingested(name, limit)]


def rows(jobs: list[Job], journal: Journal, seed: int, pool: Pool | None) -> list[dict[str, Any]]:
    engine, timing = MODEL.build(), TimingParams(jobs=0)
    return [
        {name: response.to_row()[name] for name in ANSWERED}
        for name, settings in VARIANTS.items()
        for response in respond_all(
            sweep(name, settings), jobs, engine, journal, seed, timing, workers=pool
        )
    ]


def run(address: str, folder: Path, limit: int, seed: int) -> None:
    """A run on the cluster, in a process that can be killed."""
    journal = Journal(folder / "journal.jsonl")
    pool = Pool(
        RayParams(address=address, workers=2, jobs_per_block=4), MODEL, folder / "journal.jsonl"
    )
    pool.start()
    made = rows(jobs_of(limit), journal, seed, pool)
    (folder / f"{seed}.json").write_text(json.dumps(made))
    pool.close()


class Nodes:
    """A cluster of three nodes: the head, where runs start, and two with room for a worker each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        checks = {
            "health_check_initial_delay_ms": 2000,
            "health_check_period_ms": 1000,
            "health_check_timeout_ms": 2000,
            "health_check_failure_threshold": 3,
        }
        head = {"num_cpus": 0, "_system_config": checks, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def lose(self, place: int) -> None:
        """Kill a node with all its processes, and let another one come in its place."""
        self.cluster.remove_node(self.nodes[place], allow_graceful=False)
        self.nodes[place] = self.cluster.add_node(num_cpus=1, wait=False)

    def processes(self, place: int) -> list[psutil.Process]:
        """All processes of a node."""
        raylets = self.nodes[place].all_processes["raylet"]
        own = [psutil.Process(raylet.process.pid) for raylet in raylets]
        return [process for one in own for process in (one, *one.children(recursive=True))]

    def workers(self) -> list[psutil.Process]:
        """The processes that hold models."""
        everyone = psutil.Process().children(recursive=True)
        return [one for one in everyone if _name(one).startswith("ray::Worker")]

    def close(self) -> None:
        self.cluster.shutdown()


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def keys_of(folder: Path) -> list[str]:
    """The keys of the journal's whole lines, in their order."""
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["key"] for line in lines]


class Fire:
    """Kills at random while suites run, and counts."""

    def __init__(self, nodes: Nodes, folder: Path, limit: int, seed: int) -> None:
        self.nodes, self.folder, self.limit = nodes, folder, limit
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.log = (folder / "log.txt").open("w")

    def start(self, seed: int) -> subprocess.Popen[bytes]:
        own = ["run", "--address", self.nodes.cluster.address, "--folder", str(self.folder)]
        own += ["--seed", str(seed), "--limit", str(self.limit)]
        return subprocess.Popen([sys.executable, __file__, *own], stdout=self.log, stderr=self.log)

    def suite(self, seed: int, kills: int, what: tuple[str, ...]) -> None:
        """Run a suite to its end, with kills as long as there are some left."""
        run, before, victims = self.start(seed), set(keys_of(self.folder)), list(what)
        known, next_s = len(before), float("inf")
        while True:
            code = run.poll()
            if code is not None and code != -signal.SIGKILL:
                assert code == 0, f"the run ended with {code}: see {self.folder}/log.txt"
                return
            if code is not None:
                run = self.start(seed)
            if next_s == float("inf") and len(keys_of(self.folder)) > known:
                # Calls are being made: some moment from now on.
                next_s = time.monotonic() + self.random.uniform(0, 6)
            if time.monotonic() > next_s and self.killed.total() < kills:
                self.kill(run, self.random.choice(victims))
                after = set(keys_of(self.folder))
                assert before <= after, "a call that was kept is lost"
                before, known, next_s = after, len(after), float("inf")
            time.sleep(0.2)

    def kill(self, run: subprocess.Popen[bytes], what: str) -> None:
        workers = self.nodes.workers()
        if what == "worker" and workers:
            os.kill(self.random.choice(workers).pid, signal.SIGKILL)
        elif what == "node":
            self.nodes.lose(self.random.randrange(2))
        elif what == "run":
            run.kill()
            run.wait()
        else:
            return
        self.killed[what] += 1
        print(f"killed: {dict(self.killed)}, {len(keys_of(self.folder))} calls kept", flush=True)


def judge(folder: Path, limit: int, suites: int) -> None:
    """Hold rows and journal to what a run without Ray gives."""
    keys = keys_of(folder)
    assert len(keys) == len(set(keys)), "a call that was kept was made again"
    text = (folder / "log.txt").read_text()
    told = [int(n) for n in re.findall(r"(\d+) calls? (?:was|were) in flight", text)]
    print(f"{len(keys)} calls kept, none twice; lines that count calls in flight: {told}")
    print(f"workers told as lost: {text.count(' is lost ')}")
    for seed in range(suites):
        alone = rows(jobs_of(limit), Journal(), seed, None)
        made = json.loads((folder / f"{seed}.json").read_text())
        assert made == json.loads(json.dumps(alone)), f"suite {seed} has other rows"
        print(f"suite {seed}: {len(made)} rows, all as without Ray", flush=True)


def kills(count: int, limit: int, seed: int) -> None:
    with TemporaryDirectory() as name:
        folder, nodes = Path(name), Nodes()
        fire, suites = Fire(nodes, folder, limit, seed), 0
        try:
            while fire.killed.total() < count:
                fire.suite(suites, count, ("worker", "worker", "node", "run"))
                suites += 1
        except BaseException:
            print((folder / "log.txt").read_text()[-6000:])
            raise
        finally:
            nodes.close()
        judge(folder, limit, suites)


def cut(limit: int, seed: int) -> None:
    with TemporaryDirectory() as name:
        folder, nodes = Path(name), Nodes()
        fire = Fire(nodes, folder, limit, seed)
        try:
            run, frozen = fire.start(0), []
            while run.poll() is None:
                if not frozen and len(keys_of(folder)) > limit:
                    frozen = nodes.processes(0)
                    for process in frozen:
                        process.suspend()
                    print(f"cut off: {len(frozen)} processes of a node", flush=True)
                time.sleep(0.1)
            assert frozen, "the run was over before the node was cut off"
            assert run.returncode == 0, (folder / "log.txt").read_text()[-6000:]
            for process in frozen:
                if process.is_running():
                    process.resume()
        finally:
            nodes.close()
        judge(folder, limit, 1)


def rates(workers: list[int], limit: int, rounds: int, n: int) -> None:
    """Alternate runs without Ray and with some workers; the same jobs, nothing replayed."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=sum(workers), include_dashboard=False)
    jobs, engine, timing = jobs_of(limit), MODEL.build(), TimingParams(jobs=0)
    points = sweep("self_consistency.majority", {"n": n})
    with TemporaryDirectory() as name:
        # A journal each: nothing is replayed, but within a round seeds differ anyway.
        pools: dict[int, Pool | None] = {0: None}
        for count in workers:
            pools[count] = Pool(RayParams(workers=count), MODEL, Path(name) / f"{count}.jsonl")
            pools[count].start()
        took: dict[int, list[float]] = {count: [] for count in pools}
        for number in range(rounds + 1):
            for count, pool in pools.items():
                start_s = time.perf_counter()
                journal = Journal(Path(name) / f"{count}.jsonl")
                respond_all(points, jobs, engine, journal, number, timing, workers=pool)
                if number:  # The first round loads weights.
                    took[count].append(time.perf_counter() - start_s)
        for pool in pools.values():
            if pool is not None:
                pool.close()
    ray.shutdown()
    print(f"{len(jobs)} jobs of {median(took[0]) / len(jobs):.2f} s, {rounds} rounds, alternating")
    for count, seconds in took.items():
        ratios = [own / alone for own, alone in zip(seconds, took[0], strict=True)]
        told = f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"{count} workers: {len(jobs) / median(seconds):.2f} jobs/s, {told} of the time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("kills", "cut", "rates", "run"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--address")
    parser.add_argument("--folder", type=Path)
    own = parser.parse_args()
    if own.part == "run":
        run(own.address, own.folder, own.limit, own.seed)
    elif own.part == "kills":
        kills(own.kills, own.limit, own.seed)
    elif own.part == "cut":
        cut(own.limit, own.seed)
    else:
        rates(own.workers, own.limit, own.rounds, own.samples)


if __name__ == "__main__":
    main()
