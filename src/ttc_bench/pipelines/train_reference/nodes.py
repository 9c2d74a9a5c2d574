"""The steps of the recipe. Heavy imports are inside, so that the pipeline lists quickly."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ttc_bench.reference.datasets import ReferenceModel, ReferenceModelDataset
from ttc_bench.reference.recipe import RecipeParams, StageParams
from ttc_bench.reporting.tracker import Tracker

Curve = list[dict[str, float]]


def make_corpus(recipe: RecipeParams) -> list[str]:
    """Return the texts that the tokenizer is trained on; none if there is one already."""
    from ttc_bench.reference.conversations import draw

    if recipe.start:
        return []
    data = recipe.data
    rng = random.Random(f"corpus-{data.seed}")
    texts = []
    for _ in range(data.tokenizer_texts):
        _, pieces = draw(rng, data)
        texts.append(re.sub(r"<\|\w+\|>", "\n", "".join(piece.text for piece in pieces)))
    return texts


def make_tokenizer(recipe: RecipeParams, corpus: list[str]) -> Any:
    """Return the tokenizer, that of the models that the recipe starts from if it does."""
    from ttc_bench.reference.tokenizer import train_tokenizer

    if recipe.start:
        return ReferenceModelDataset(f"{recipe.start}/target").load().tokenizer
    return train_tokenizer(corpus, recipe.data.vocab_size)


def train_trunk(
    recipe: RecipeParams, checkpoints: Path, tokenizer: Any
) -> tuple[ReferenceModel, Curve]:
    """Train all stages of the target but its last: what all three models go on from.

    With layer dropout and early-exit losses; resumes after a kill.
    """
    from ttc_bench.reference.network import new_model

    stages = _numbered("target", recipe.target.stages)[:-1]
    if recipe.start:
        model = ReferenceModelDataset(f"{recipe.start}/target").load().model
        stages = stages[-1:]
    else:
        model = new_model(recipe.target.size, tokenizer, recipe.target.stages[0].train.seed)
    curve = _train_language(recipe, checkpoints, stages, model, tokenizer)
    return ReferenceModel(model, tokenizer), curve


def train_target(
    recipe: RecipeParams, checkpoints: Path, trunk: ReferenceModel, before: Curve
) -> tuple[ReferenceModel, Curve]:
    """Train the last stage of the target; the curve starts with that of the trunk."""
    stages = _numbered("target", recipe.target.stages)[-1:]
    curve = _train_language(recipe, checkpoints, stages, trunk.model, trunk.tokenizer, before)
    return ReferenceModel(trunk.model, trunk.tokenizer), curve


def train_draft(
    recipe: RecipeParams, checkpoints: Path, trunk: ReferenceModel
) -> tuple[ReferenceModel, Curve]:
    """Train the draft from the trunk's first layers, on its distribution and on the text."""
    from ttc_bench.reference.network import draft_from

    if recipe.start:
        model = ReferenceModelDataset(f"{recipe.start}/draft").load().model
    else:
        model = draft_from(trunk.model, recipe.draft.size.layers)
    stages = _numbered("draft", recipe.draft.stages)
    curve = _train_language(
        recipe, checkpoints, stages, model, trunk.tokenizer, teacher=trunk.model
    )
    return ReferenceModel(model, trunk.tokenizer), curve


def _numbered(name: str, stages: Sequence[StageParams]) -> list[tuple[str, StageParams]]:
    """Return stages with the names of their checkpoints."""
    return [(f"{name}-{number}", stage) for number, stage in enumerate(stages, start=1)]


def _train_language(
    recipe: RecipeParams,
    checkpoints: Path,
    stages: Sequence[tuple[str, StageParams]],
    model: Any,
    tokenizer: Any,
    before: Sequence[dict[str, float]] = (),
    teacher: Any = None,
) -> Curve:
    """Train stage after stage, each on the weights of the one before, and go on with a curve."""
    from ttc_bench.reference.batches import batches
    from ttc_bench.reference.losses import language_loss
    from ttc_bench.reference.training import device, train

    loss = language_loss
    if teacher is not None:
        loss = partial(language_loss, teacher=teacher.to(device()))
    curve = list(before)
    for name, stage in stages:
        feed = partial(batches, tokenizer, stage.data or recipe.data)
        progress = train(model, stage.train, feed, checkpoints / name, loss)
        curve += _continued(curve, progress.curve)
    return curve


def _continued(before: Curve, stage: Curve) -> Curve:
    """Return the curve of a stage with steps, tokens and minutes counted from the start."""
    last = before[-1] if before else {}
    counted = ("step", "tokens", "minutes")
    return [{k: v + (last.get(k, 0.0) if k in counted else 0) for k, v in p.items()} for p in stage]


def train_verifier(
    recipe: RecipeParams, checkpoints: Path, trunk: ReferenceModel
) -> tuple[ReferenceModel, Curve]:
    """Train the verifier: the trunk, trained on for longer; it judges by likelihood."""
    from ttc_bench.reference.network import verifier_from

    params = recipe.verifier
    model = verifier_from(trunk.model, params.beta)
    stages = _numbered("verifier", params.stages)
    curve = _train_language(recipe, checkpoints, stages, model, trunk.tokenizer)
    return ReferenceModel(model, trunk.tokenizer), curve


def evaluate(
    recipe: RecipeParams, target: ReferenceModel, draft: ReferenceModel, verifier: ReferenceModel
) -> dict[str, Any]:
    """Return held-out scores of the stored models, by the product's own policies and metrics."""
    from ttc_bench.pipelines.train_reference.evaluation import evaluate_benchmark

    models = {"target": target, "draft": draft, "verifier": verifier}
    folders = {name: model.folder for name, model in models.items() if model.folder is not None}
    return {
        name: evaluate_benchmark(name, folders, recipe.evaluation)
        for name in recipe.evaluation.samples
    }


def write_card(
    recipe: RecipeParams,
    evaluation: dict[str, Any],
    target_curve: Curve,
    draft_curve: Curve,
    verifier_curve: Curve,
    *models: ReferenceModel,
) -> str:
    """Return the model card."""
    from ttc_bench.reference.card import model_card

    curves = {"target": target_curve, "draft": draft_curve, "verifier": verifier_curve}
    folders = [model.folder for model in models if model.folder is not None]
    return model_card(recipe, evaluation, curves, folders)


def log_curves(
    target_curve: Curve, draft_curve: Curve, verifier_curve: Curve, tracker: Tracker
) -> None:
    """Log the curves to the MLflow run, if one is open."""
    import mlflow

    curves = {"target": target_curve, "draft": draft_curve, "verifier": verifier_curve}

    def send() -> None:
        for name, curve in curves.items():
            for point, key in itertools.product(curve, ("loss", "minutes", "tokens")):
                step = int(point["step"])
                mlflow.log_metric(f"{name}.{key}", point[key], step, run_id=tracker.run)

    if tracker.run is not None:
        tracker.log("curves", send, None, "kedro run --pipeline=train_reference")
