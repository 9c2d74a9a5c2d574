"""Typed parameters of the recipe; values are in ``parameters_train_reference.yml``."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from ttc_bench.params import Params, unknown


class DataParams(Params):
    """What the models are trained on.

    Attributes:
        seed: Seed of all generated data.
        worf_share: Share of workflow planning.
        formats: Weight of each conversation format.
        levels: Weight of each difficulty level.
        tasks: Weight of task types within their benchmark; 1 for those that are not named.
        pool: Conversations that are made, and sorted by length into batches, together.
        easy_pools: Pools at the start that hold easy problems only.
        tokenizer_texts: Conversations that the tokenizer is trained on.
        vocab_size: Most entries of the vocabulary.
    """

    seed: int = 0
    worf_share: float = Field(default=0.25, ge=0, le=1)
    formats: dict[str, float] = Field(default_factory=lambda: {"plain": 1.0})
    levels: dict[str, float] = Field(
        default_factory=lambda: {"easy": 1.0, "medium": 1.0, "hard": 1.0}
    )
    tasks: dict[str, float] = Field(default_factory=dict)
    pool: PositiveInt = 768
    easy_pools: int = Field(default=0, ge=0)
    tokenizer_texts: PositiveInt = 3000
    vocab_size: PositiveInt = 2048

    @field_validator("formats", "levels", "tasks")
    @classmethod
    def _known(cls, weights: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        from ttc_bench.benchmarks.sim.problems import LEVELS
        from ttc_bench.benchmarks.sim.tasks import TASKS
        from ttc_bench.reference.conversations import FORMATS

        kind = str(info.field_name)
        allowed = {"formats": FORMATS, "levels": LEVELS, "tasks": TASKS}[kind]
        for name in weights:
            if name not in allowed:
                raise ValueError(unknown(kind.removesuffix("s"), name, allowed))
        return weights


class ModelParams(Params):
    """Size of a model.

    Attributes:
        layers: Number of layers.
        width: Hidden size.
        heads: Attention heads.
        inner: Width of the feed-forward part.
    """

    layers: PositiveInt = 8
    width: PositiveInt = 192
    heads: PositiveInt = 4
    inner: PositiveInt = 512


class TrainParams(Params):
    """How a model is trained.

    The learning rate falls to zero at the end of whichever budget ends first, so that a run
    is complete whatever the speed of the machine.

    Attributes:
        max_minutes: Budget of wall-clock time, over all restarts.
        max_tokens: Budget of tokens read.
        batch_tokens: Tokens of one step, padding included.
        parts: Parts of one step on CPU, for memory and to spread over workers.
        matrix_lr: Peak learning rate of the matrices (Muon).
        other_lr: Peak learning rate of embeddings and norms (AdamW).
        warmup: Share of the budget in which the rate rises.
        hold: Share of the budget at which the rate starts to fall.
        stop_at: Share of the budget at which to stop, for a stage that another one follows.
        layer_dropout: Chance that the last layer is skipped; earlier ones less (2404.16710).
        exit_weight: Weight of the early-exit losses.
        exits: Early-exit layers that get a loss now and then.
        exits_from: Share of the budget from which layers are dropped and exits trained.
        distil_weight: Weight of the teacher's distribution against the text itself.
        checkpoint_minutes: Time between checkpoints.
        workers: Processes that train together on CPU, one core each.
        fused: Compile the layers on CPU (`network.fused_layer`); without a C++ compiler they run
            as they are, after a warning.
        loaders: Processes that make data ahead on CUDA.
        seed: Seed of weights and order.
    """

    max_minutes: PositiveFloat = 60.0
    max_tokens: PositiveInt = 40_000_000
    batch_tokens: PositiveInt = 4096
    parts: PositiveInt = 4
    matrix_lr: PositiveFloat = 0.003
    other_lr: PositiveFloat = 0.003
    warmup: float = Field(default=0.01, ge=0, lt=1)
    hold: float = Field(default=0.35, ge=0, lt=1)
    stop_at: float = Field(default=1.0, gt=0, le=1)
    layer_dropout: float = Field(default=0.0, ge=0, lt=1)
    exit_weight: float = Field(default=0.0, ge=0)
    exits: tuple[PositiveInt, ...] = ()
    exits_from: float = Field(default=0.0, ge=0, le=1)
    distil_weight: float = Field(default=0.0, ge=0, le=1)
    checkpoint_minutes: PositiveFloat = 3.0
    workers: PositiveInt = 2
    fused: bool = False
    loaders: PositiveInt = 8
    seed: int = 0


class StageParams(Params):
    """One stage of training.

    Attributes:
        train: How to train.
        data: What to train on; ``None`` takes the recipe's data.
    """

    train: TrainParams = TrainParams()
    data: DataParams | None = None


class LanguageModelParams(Params):
    """A causal model: its size, and its training in stages that continue each other."""

    size: ModelParams = ModelParams()
    stages: tuple[StageParams, ...] = (StageParams(),)


class TargetParams(LanguageModelParams):
    """The target: draft and verifier go on from it as it is before its last stage."""

    stages: tuple[StageParams, ...] = Field(default=(StageParams(), StageParams()), min_length=2)


class VerifierParams(Params):
    """The verifier: a language model that goes on where the target does, for longer.

    Attributes:
        stages: How the weights before the target's last stage are trained on.
        beta: Power to which its likelihood of a solution is taken as a score.
    """

    stages: tuple[StageParams, ...] = (StageParams(),)
    beta: PositiveFloat = 0.1


class EvaluationParams(Params):
    """The held-out evaluation that goes into the model card.

    Attributes:
        samples: Test samples of each benchmark.
        votes: Samples per problem for majority, oracle and verifier.
        temperature: Temperature of the samples.
        exits: Early-exit layers of the target.
        drafted: Tokens that the draft proposes at a time.
        seed: Seed of the problems and of the samples; none that the recipe was tuned on.
    """

    samples: dict[str, PositiveInt] = Field(
        default_factory=lambda: {"crm_sim": 480, "worf_sim": 480}
    )
    votes: PositiveInt = 8
    temperature: PositiveFloat = 0.8
    exits: tuple[PositiveInt, ...] = (4, 6)
    drafted: PositiveInt = 4
    seed: int = 0


class RecipeParams(Params):
    """The whole recipe of the reference models.

    Attributes:
        start: Folder of an earlier family. Its target takes the place of the tokenizer and of
            all stages of the target but the last two, its draft is trained on; ``None`` starts
            from nothing.
        data: What the models are trained on.
        target: The target.
        draft: The draft.
        verifier: The verifier.
        evaluation: The held-out evaluation.
    """

    start: str | None = None
    data: DataParams = DataParams()
    target: TargetParams = TargetParams()
    draft: LanguageModelParams = LanguageModelParams()
    verifier: VerifierParams = VerifierParams()
    evaluation: EvaluationParams = EvaluationParams()


def smoke_recipe() -> RecipeParams:
    """Return a recipe that runs from nothing to a card in seconds, to try the pipeline out."""
    size = {"layers": 4, "width": 32, "heads": 2, "inner": 64}
    train = {
        "max_tokens": 20_000,
        "batch_tokens": 1024,
        "parts": 2,
        "workers": 1,
        "max_minutes": 5,
    }
    exits = {"layer_dropout": 0.1, "exit_weight": 0.2, "exits": [1, 2, 3]}
    return RecipeParams.model_validate(
        {
            "data": {"tokenizer_texts": 200, "vocab_size": 600, "easy_pools": 1, "pool": 128},
            "target": {
                "size": size,
                "stages": [
                    {"train": {**train, "stop_at": 0.3}},
                    {"train": {**train, **exits, "max_tokens": 30_000}},
                    {"train": {**train, **exits}},
                ],
            },
            "draft": {
                "size": {**size, "layers": 2},
                "stages": [{"train": {**train, "distil_weight": 0.5}}],
            },
            "verifier": {"stages": [{"train": train}]},
            "evaluation": {
                "samples": {"crm_sim": 2, "worf_sim": 2},
                "votes": 2,
                "exits": [2],
            },
        }
    )
