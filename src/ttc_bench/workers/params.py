"""Where Ray runs, and how jobs are dealt to its workers."""

from __future__ import annotations

from pydantic import Field, field_validator

from ttc_bench.params import Params


class RayParams(Params):
    """Workers of a run; without any, this process answers all jobs itself.

    Attributes:
        address: Address of a cluster of which this machine is a node (``auto``, ``host:6379``);
            null starts Ray on this machine, for this run.
        workers: Workers, each with models of its own; 0 does without Ray, null takes as many as
            the cluster has room for.
        cpus_per_worker: Cores that Ray sets aside for each.
        gpus_per_worker: GPUs that Ray sets aside for each, and lets it see.
        jobs_per_block: Jobs in a row that stay with one worker, through all variants. Batches form
            within a block.
        patience_s: Longest wait in seconds for workers to start, and for one to come back when
            none is left.
    """

    address: str | None = None
    workers: int | None = Field(default=0, ge=0)
    cpus_per_worker: float = Field(default=1.0, gt=0.0)
    gpus_per_worker: float = Field(default=0.0, ge=0.0)
    jobs_per_block: int = Field(default=8, ge=1)
    patience_s: float = Field(default=120.0, gt=0.0)

    @field_validator("address")
    @classmethod
    def _is_of_a_node(cls, address: str | None) -> str | None:
        """Refuse Ray's client: the journal lies where the run was started, on a node."""
        if address is None or address == "auto":
            return address
        if address.startswith("ray://"):
            raise ValueError(
                "the run must be started on a node of the cluster, where its journal lies: start it"
                " on the head and give 'auto'"
            )
        host, _, port = address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError("input should be 'auto', host:port, or null for this machine alone")
        return address

    @field_validator("gpus_per_worker")
    @classmethod
    def _is_whole(cls, gpus: float) -> float:
        """Refuse what Ray does not part: GPUs are shared by several workers, or whole ones."""
        if gpus > 1 and not gpus.is_integer():
            raise ValueError("input should be a share of one GPU, or a whole number of them")
        return gpus
