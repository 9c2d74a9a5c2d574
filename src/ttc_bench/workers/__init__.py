"""Workers beyond this process, by Ray: each holds the models once, answers jobs and scores them."""

from ttc_bench.workers.params import RayParams

__all__ = ["RayParams"]
