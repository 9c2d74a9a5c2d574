"""Wiring of the recipe: data -> tokenizer -> target -> draft, verifier -> scores -> card."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.train_reference import nodes

RECIPE = "params:train_reference"


def create_pipeline(**_: object) -> Pipeline:
    """Return the pipeline that trains, evaluates and describes the reference models."""
    target, draft, verifier = (f"reference.{name}" for name in ("target", "draft", "verifier"))
    return Pipeline(
        [
            node(nodes.make_corpus, RECIPE, "reference.corpus"),
            node(nodes.make_tokenizer, [RECIPE, "reference.corpus"], "reference.tokenizer"),
            node(
                nodes.train_target,
                [RECIPE, "reference.tokenizer"],
                [target, "reference.target_curve"],
            ),
            node(
                nodes.train_draft,
                [RECIPE, target],
                [draft, "reference.draft_curve"],
            ),
            node(
                nodes.train_verifier,
                [RECIPE, target],
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
        ],
        tags="train_reference",
    )
