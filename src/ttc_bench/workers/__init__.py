"""Workers beyond this process, by Ray: each holds the models once and answers blocks of jobs."""

from ttc_bench.workers.params import RayParams

__all__ = ["RayParams"]
