"""Loading a model for a role: weights, tokenizer, chat template, runner, warm-up."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from ttc_bench.engines.completion import CallError
from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.chat import Prompter
from ttc_bench.engines.runtime.library_runner import LibraryRunner
from ttc_bench.engines.runtime.llama import LlamaRunner, is_white_box
from ttc_bench.engines.runtime.rotary import by_own_lengths
from ttc_bench.engines.runtime.runner import Runner, Threads, WhiteBox
from ttc_bench.engines.runtime.source import ModelSource, first_line
from ttc_bench.errors import UserError
from ttc_bench.types import Message

logger = logging.getLogger(__name__)

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


IN_A_LAYER = re.compile(r"(^|\.)(h|layers|blocks)\.\d+\.|lora_|base_layer")
"""Names of weights that change what layers compute."""

OF_A_TOWER = re.compile(r"(^|\.)(vision_(tower|model)|visual|audio_tower)\.")
"""Names of weights that read pictures or sound, and no text."""

CHOOSES = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "diversity_penalty": 0.0,
    "length_penalty": 1.0,
    "num_beams": 1,
    "guidance_scale": 1.0,
    "penalty_alpha": 0.0,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "min_length": 0,
    "min_new_tokens": 0,
    "bad_words_ids": None,
    "force_words_ids": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "sequence_bias": None,
    "exponential_decay_length_penalty": None,
    "watermarking_config": None,
    "stop_strings": None,
}
"""Generation settings that change which token is chosen, by the value that changes nothing."""


@dataclass(frozen=True)
class Placement:
    """Where and how models run.

    Attributes:
        device: The device.
        dtype: The element type.
        threads: CPU threads per pass.
    """

    device: torch.device
    dtype: torch.dtype
    threads: Threads

    @classmethod
    def choose(cls, device: str, dtype: str, threads: int | None) -> Placement:
        """Return the placement for the settings; ``auto`` is CUDA if there, and its best type.

        Raises:
            UserError: If CUDA is asked for and not there.
        """
        has_cuda = torch.cuda.is_available()
        if device == "cuda" and not has_cuda:
            raise UserError(
                "parameter model.device: no CUDA device was found by PyTorch. Use 'cpu' or 'auto'."
            )
        chosen = "cuda" if has_cuda and device != "cpu" else "cpu"
        best = torch.bfloat16 if chosen == "cuda" else torch.float32
        chosen_type = best if dtype == "auto" else DTYPES[dtype]
        return cls(torch.device(chosen), chosen_type, Threads(threads, threads is not None))


class LanguageModel:
    """A causal language model, ready to decode.

    Args:
        source: Where the model is.
        placement: Where and how it runs.
        variables: Variables of its chat template; see `Prompter`.
    """

    def __init__(
        self,
        source: ModelSource,
        placement: Placement,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        from transformers import AutoModelForCausalLM

        self.tokenizer = source.tokenizer
        model = load_weights(AutoModelForCausalLM, source, placement)
        self.model = model
        self.prompter = Prompter(self.tokenizer, variables)
        try:
            self.runner = _runner(model, placement.threads)
            self._warm_up()
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            kind = source.config["model_type"]
            raise source.fault(
                f"{kind} models cannot be decoded here, a first pass fails ({first_line(error)})"
            ) from error
        self.end_tokens = end_tokens(model, self.tokenizer)
        if unused := unused_defaults(model.generation_config):
            logger.warning(
                "%s: its generation_config.json is not followed: %s. Temperature and top_p are"
                " each policy's own, and answers are of the model's own distribution",
                source.parameter,
                ", ".join(f"{name} {value}" for name, value in unused.items()),
            )

    @property
    def white_box(self) -> WhiteBox:
        """The runner, layer by layer; the capability was checked before."""
        return cast(WhiteBox, self.runner)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt's token ids.

        Raises:
            CallError: ``context_length`` if no token would fit after the prompt, ``vocabulary`` if
                it holds one that the model does not have.
        """
        tokens = self.prompter.encode(messages)
        check_known(tokens, self.tokenizer, self.runner.outputs)
        if len(tokens) >= self.runner.max_positions:
            raise CallError(
                "context_length",
                f"the prompt has {len(tokens)} tokens, but the model's context window is"
                f" {self.runner.max_positions}",
            )
        return tokens

    @torch.inference_mode()
    def _warm_up(self) -> None:
        """Run each kind of pass once, so that no job pays for first-time set-up."""
        tokens = torch.zeros(1, 16, dtype=torch.long, device=self.runner.device)
        cache = self.runner.new_cache(32, [Meter()])
        for count in (16, 5, 1, 1):
            self.runner.forward(tokens[:, :count], cache, every=count == 5).argmax(-1).tolist()


def _runner(model: Any, threads: Threads) -> Runner:
    if is_white_box(model.config):
        return LlamaRunner(model, model.lm_head, threads)
    return LibraryRunner(model, threads)


def load_weights(auto_class: Any, source: ModelSource, placement: Placement, **options: Any) -> Any:
    """Return the model in evaluation mode, on its device.

    Raises:
        UserError: If it cannot be loaded, or lacks weights that would be made up at random.
    """
    if source.config.get("quantization_config"):
        # Quantised layers are made where they stay: they cannot be moved afterwards.
        options["device_map"] = {"": placement.device}
    try:
        with quiet_loading():
            model, report = auto_class.from_pretrained(
                str(source.folder),
                dtype=placement.dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
    except Exception as error:
        raise source.fault(f"it cannot be loaded ({first_line(error)})") from error
    check_fit(source, report)
    by_own_lengths(model)
    # PyTorch's counter follows gradients wherever weights could have them, and none are computed.
    model.eval().requires_grad_(False)
    return model if "device_map" in options else model.to(placement.device)


def check_known(tokens: Sequence[int], tokenizer: Any, known: int) -> None:
    """Raise for a token that a model has no embedding for.

    Args:
        tokens: Token ids of a text.
        tokenizer: What made them.
        known: Embeddings that the model has.

    Raises:
        CallError: ``vocabulary``, naming the token.
    """
    if (token := max(tokens, default=0)) >= known:
        raise CallError(
            "vocabulary",
            f"the text holds the token {tokenizer.convert_ids_to_tokens(token)!r} ({token}), but"
            f" the model has embeddings for {known} tokens",
        )


def check_fit(source: ModelSource, report: Mapping[str, Any]) -> None:
    """Raise unless the weights of a checkpoint are those of the model that its config describes.

    What the model does not use and no layer lacks (a value head, a tower for pictures) is told.

    Raises:
        UserError: If weights would be made up at random, or layers are left out.
    """
    if missing := sorted(report["missing_keys"]):
        raise source.fault(f"its weights lack {_first_of(missing)}")
    if report["mismatched_keys"]:
        name, stored, built = sorted(report["mismatched_keys"])[0]
        raise source.fault(
            f"its weights do not fit its config.json: {name} is {tuple(stored)} in the file and"
            f" {tuple(built)} by the configuration"
        )
    unused = sorted(report["unexpected_keys"])
    if layers := [n for n in unused if IN_A_LAYER.search(n) and not OF_A_TOWER.search(n)]:
        raise source.fault(
            f"its weights do not fit its config.json, which has no place for {_first_of(layers)}"
        )
    if unused:
        logger.warning("%s: weights not used: %s", source.parameter, _first_of(unused))


def _first_of(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} others" if len(names) > 1 else "")


def unused_defaults(settings: Any) -> dict[str, Any]:
    """Return what a checkpoint's generation settings ask for and no decoding here does.

    Args:
        settings: The model's ``generation_config``.
    """
    asked = {name: getattr(settings, name, None) for name in CHOOSES}
    return {name: value for name, value in asked.items() if value not in (None, [], CHOOSES[name])}


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a turn: those of the generation settings and of the tokenizer."""
    ids: set[int] = set()
    for source in (model.generation_config, model.config.get_text_config(), tokenizer):
        ends = getattr(source, "eos_token_id", None)
        ids.update([ends] if isinstance(ends, int) else ends or ())
    return frozenset(ids)


class quiet_loading:  # noqa: N801 (used like a function)
    """Keep the library's loading bars and advice out of our progress output."""

    def __enter__(self) -> None:
        from transformers.utils import logging as library

        self._verbosity = library.get_verbosity()
        self._bars = library.is_progress_bar_enabled()
        library.set_verbosity_error()  # type: ignore[no-untyped-call]
        library.disable_progress_bar()  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging as library

        library.set_verbosity(self._verbosity)
        if self._bars:
            library.enable_progress_bar()  # type: ignore[no-untyped-call]
