"""Wiring of the recipe: data -> tokenizer -> trunk -> target, draft, verifier -> scores -> card."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.train_reference import nodes

RECIPE = "params:train_reference"
CHECKPOINTS = "reference.checkpoints"


def create_pipeline(**_: object) -> Pipeline:
    """Return the pipeline that trains, evaluates and describes the reference models."""
    roles = ("trunk", "target", "draft", "verifier")
    trunk, target, draft, verifier = (f"reference.{role}" for role in roles)
    return Pipeline(
        [
            node(nodes.make_corpus, RECIPE, "reference.corpus"),
            node(nodes.make_tokenizer, [RECIPE, "reference.corpus"], "reference.tokenizer"),
            node(
                nodes.train_trunk,
                [RECIPE, CHECKPOINTS, "reference.tokenizer"],
                [trunk, "reference.trunk_curve"],
            ),
            node(
                nodes.train_target,
                [RECIPE, CHECKPOINTS, trunk, "reference.trunk_curve"],
                [target, "reference.target_curve"],
            ),
            node(
                nodes.train_draft,
                [RECIPE, CHECKPOINTS, trunk],
                [draft, "reference.draft_curve"],
            ),
            node(
                nodes.train_verifier,
                [RECIPE, CHECKPOINTS, trunk],
                [verifier, "reference.verifier_curve"],
            ),
            node(
                nodes.evaluate,
                [RECIPE, target, draft, verifier],
                "reference.evaluation",
            ),
            node(
                nodes.write_card,
                [
                    RECIPE,
                    "reference.evaluation",
                    "reference.target_curve",
                    "reference.draft_curve",
                    "reference.verifier_curve",
                    target,
                    draft,
                    verifier,
                ],
                "reference.card",
            ),
            node(
                nodes.log_curves,
                [*(f"reference.{name}_curve" for name in roles[1:]), "tracker"],
                None,
            ),
        ],
        tags="train_reference",
    )
