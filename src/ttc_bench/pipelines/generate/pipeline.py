"""Wiring of stages 2 and 3 of one policy, and of stage 2 over all policies."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.generate.nodes import generate_node
from ttc_bench.pipelines.score.nodes import score_variant
from ttc_bench.policies import policies, variants_of

SHARED_INPUTS = (
    *("jobs", "engine", "journal", "events", "workers", "encoded"),
    *("measured_settings", "run_name"),
)


def policy_pipeline(policy: str) -> Pipeline:
    """Return generate -> score for every variant of ``policy``.

    The policy is the top-level namespace and the variant the second one, so that kedro-viz folds
    one box per policy and deployers can group nodes by policy.
    """
    return sum((_variant_pipeline(policy, name) for name in variants_of(policy)), Pipeline([]))


def create_pipeline(**_: object) -> Pipeline:
    """Return stage 2: every variant of every policy, on the jobs that are there."""
    everything = sum((policy_pipeline(policy) for policy in policies()), Pipeline([]))
    return everything.only_nodes_with_tags("generate")


def _variant_pipeline(policy: str, variant: str) -> Pipeline:
    return Pipeline(
        [
            node(
                generate_node(f"{policy}.{variant}"),
                inputs=[
                    "params:points",
                    "jobs",
                    "engine",
                    "journal",
                    "params:seed",
                    "params:timing",
                    "events",
                    "workers",
                    "measured_settings",
                    "run_name",
                ],
                outputs=["responses", "traces"],
                name="generate",
                tags="generate",
            ),
            node(
                score_variant,
                inputs=[
                    "responses",
                    "jobs",
                    "params:score",
                    "measured_settings",
                    "workers",
                    "encoded",
                ],
                outputs="scores",
                name="score",
                tags="score",
            ),
        ],
        namespace=f"{policy}.{variant}",
        inputs=set(SHARED_INPUTS),
        parameters={
            "params:points": f"params:{policy}.{variant}",
            "params:seed": "params:seed",
            "params:timing": "params:timing",
            "params:score": "params:score",
        },
        tags=policy,
    )
