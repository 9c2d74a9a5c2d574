"""The steps of the recipe. Heavy imports are inside, so that the pipeline lists quickly."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ttc_bench.reference.datasets import ReferenceModel, ReferenceModelDataset
from ttc_bench.reference.settings import RecipeParams, StageParams

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


def train_target(recipe: RecipeParams, tokenizer: Any) -> tuple[ReferenceModel, Curve]:
    """Train the target with layer dropout and early-exit losses; resumes after a kill."""
    from ttc_bench.reference.network import new_model

    params = recipe.target
    if recipe.start:
        model = ReferenceModelDataset(f"{recipe.start}/target").load().model
        params = params.model_copy(update={"stages": params.stages[-1:]})
    else:
        model = new_model(params.size, tokenizer, params.stages[0].train.seed)
    curve = _train_language(recipe, params.stages, "target", model, tokenizer)
    log_curve("target", curve)
    return ReferenceModel(model, tokenizer), curve


def train_draft(recipe: RecipeParams, target: ReferenceModel) -> tuple[ReferenceModel, Curve]:
    """Train the draft from the target's first layers, on its distribution and on the text."""
    from ttc_bench.reference.network import draft_from

    if recipe.start:
        model = ReferenceModelDataset(f"{recipe.start}/draft").load().model
    else:
        model = draft_from(target.model, recipe.draft.size.layers)
    curve = _train_language(
        recipe, recipe.draft.stages, "draft", model, target.tokenizer, teacher=target.model
    )
    log_curve("draft", curve)
    return ReferenceModel(model, target.tokenizer), curve


def _train_language(
    recipe: RecipeParams,
    stages: Sequence[StageParams],
    name: str,
    model: Any,
    tokenizer: Any,
    teacher: Any = None,
) -> Curve:
    """Train stage after stage, each on the weights of the one before."""
    from ttc_bench.reference.batches import batches
    from ttc_bench.reference.training import device, language_loss, train

    loss = language_loss
    if teacher is not None:
        loss = partial(language_loss, teacher=teacher.to(device()))
    curve: Curve = []
    for number, stage in enumerate(stages, start=1):
        feed = partial(batches, tokenizer, stage.data or recipe.data)
        folder = Path(recipe.checkpoints) / f"{name}-{number}"
        progress = train(model, stage.train, feed, folder, loss)
        curve += _continued(curve, progress.curve)
    return curve


def _continued(before: Curve, stage: Curve) -> Curve:
    """Return the curve of a stage with steps, tokens and minutes counted from the start."""
    last = before[-1] if before else {}
    counted = ("step", "tokens", "minutes")
    return [{k: v + (last.get(k, 0.0) if k in counted else 0) for k, v in p.items()} for p in stage]


def train_verifier(recipe: RecipeParams, target: ReferenceModel) -> tuple[ReferenceModel, Curve]:
    """Train the verifier: the target, trained on; it judges by likelihood."""
    from ttc_bench.reference.network import verifier_from

    params = recipe.verifier
    model = verifier_from(target.model, params.beta)
    curve = _train_language(recipe, params.stages, "verifier", model, target.tokenizer)
    log_curve("verifier", curve)
    return ReferenceModel(model, target.tokenizer), curve


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


def log_curve(name: str, curve: Curve) -> None:
    """Log a curve to MLflow if a run is active."""
    import mlflow

    if mlflow.active_run() is None:
        return
    for point in curve:
        for key in ("loss", "minutes", "tokens"):
            mlflow.log_metric(f"{name}.{key}", point[key], step=int(point["step"]))
