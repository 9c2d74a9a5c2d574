"""Model sources: is a path or hub id the kind of model it is meant to be, and which one exactly.

Nothing here imports torch or loads weights: a wrong path is told in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat

from ttc_bench.engines.base import ModelRole
from ttc_bench.errors import UserError
from ttc_bench.params import Params, faults

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.jinja")
OTHER_LAYOUTS = {
    "model_index.json": "a diffusers pipeline, which makes pictures",
    "consolidated*": "weights in their authors' own layout; take the Hugging Face version",
    "*.onnx": "an ONNX export",
    "*.h5": "TensorFlow weights",
    "*.msgpack": "Flax weights",
}
"""What a folder without a ``config.json`` is, by a file that gives it away."""

QUANTISED_BY = {
    "aqlm": "aqlm",
    "awq": "gptqmodel",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed_tensors",
    "eetq": "eetq",
    "gptq": "gptqmodel",
    "hqq": "hqq",
    "quanto": "optimum.quanto",
    "torchao": "torchao",
}
"""Packages that compute with weights of a ``quant_method``."""

UNMASKED = frozenset({"bert-generation"})
"""Model types that read in both directions unless their configuration says otherwise, and that no
head for filling gaps gives away."""

SHIPPED = "data/06_models/reference"
"""Where the embedded models lie, which come with the project's own files."""

LFS = b"version https://git-lfs."
"""How a file begins that stands for one that was not fetched."""

ADAPTER = "adapter_config.json"
"""What gives away an adapter, which is no model of its own."""

ANSWER_FILES = ("config.json", "generation_config.json", *TOKENIZER_FILES, *WEIGHT_FILES)


class _ImplicitReward(Params):
    """``implicit_reward`` as it stands in a ``config.json``."""

    beta: PositiveFloat
    reference: str | None = Field(default=None, min_length=1)


@dataclass(frozen=True)
class ImplicitReward:
    """How a causal language model was trained as a reward (arXiv 2412.01981).

    Attributes:
        beta: Reward per unit of log-likelihood.
        reference: The model that its likelihoods are compared with, if any.
    """

    beta: float
    reference: ModelSource | None


@dataclass(frozen=True)
class ModelSource:
    """Where the model of a role comes from.

    Attributes:
        role: The role.
        location: Path or hub id as the user gave it.
        named_by: What names the location, for messages; empty for the role's own parameter.
        made_by: Command that makes the folder, if there is one.
    """

    role: ModelRole
    location: str
    named_by: str = ""
    made_by: str | None = None

    def check(self) -> None:
        """Raise unless this is a model that can play its role.

        Raises:
            UserError: In one line: what was given, what is wrong, what to do.
        """
        self._check_adapter()
        if not self.config.get("model_type"):
            raise self.fault("its config.json names no model_type")
        self._object("generation_config.json")
        self._check_quantised()
        if self.role == "verifier":
            self._check_verifier()
        else:
            self._check_generator()
        self._check_files()
        _ = self.settings  # Refused here, before anything is loaded.
        if self.role != "draft":
            # What a draft has no embedding for, it does not draft.
            self._check_vocabulary()

    @cached_property
    def folder(self) -> Path:
        """The local folder with the model's files; a hub id is fetched on first use.

        Raises:
            UserError: If there is no such folder, and no such model on the hub either.
        """
        path = Path(self.location).expanduser()
        if path.is_dir():
            return path
        if path.exists():
            if path.suffix.lower() == ".gguf":
                raise self.fault(gguf(path))
            raise self.fault("it is a file; give the folder that holds config.json")
        if self.made_by:
            raise UserError(
                f"{self.parameter}: there is no folder {self.location!r} yet: {self.made_by}"
            )
        if path.parent.as_posix() == SHIPPED:
            raise UserError(
                f"{self.parameter}: there is no folder {self.location!r}, and the embedded models"
                f" are files of the project: git checkout {SHIPPED} brings them back (without git,"
                " copy that folder from the project; your own model goes by its path)."
            )
        if not HUB_ID.fullmatch(self.location) or self.location.startswith("."):
            raise self.fault(
                "there is no such folder, and hub ids have the form owner/name, such as"
                " openai-community/gpt2"
            )
        return self._fetch()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's ``config.json``.

        Raises:
            UserError: If it is missing or unreadable.
        """
        config = self._object("config.json")
        if config is None:
            raise self.fault(f"the folder holds {self._contents()}")
        return config

    def _object(self, name: str) -> dict[str, Any] | None:
        """Return what a file of the folder says; ``None`` if there is no such file.

        Raises:
            UserError: If it is no object of JSON.
        """
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise self.fault(f"its {name} is not valid JSON ({error})") from error
        if not isinstance(value, dict):
            raise self.fault(f"its {name} is not a JSON object")
        return value

    @cached_property
    def settings(self) -> Any:
        """The configuration as the library reads it, its defaults filled in.

        Raises:
            UserError: If the library refuses it.
        """
        from transformers import AutoConfig

        return self._by(AutoConfig, "its config.json is refused")

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer.

        Raises:
            UserError: If it cannot be loaded.
        """
        from transformers import AutoTokenizer

        return self._by(AutoTokenizer, "its tokenizer cannot be loaded")

    def _by(self, auto_class: Any, refusal: str) -> Any:
        """Return what a class of the library makes of the folder, or say why it does not."""
        try:
            return auto_class.from_pretrained(str(self.folder))
        except Exception as error:
            raise self.fault(f"{refusal} ({first_line(error)})") from error

    @cached_property
    def name(self) -> str:
        """The last part of a folder's path, or the hub id: the model's name in results."""
        is_folder = Path(self.location).expanduser().is_dir()
        return self.folder.resolve().name if is_folder else self.location

    @property
    def parameter(self) -> str:
        """What gives this model, as messages name it."""
        return self.named_by or f"parameter model.{self.role}"

    @property
    def architectures(self) -> list[str]:
        """Names of the classes that the configuration is for."""
        return list(self.config.get("architectures") or [])

    @cached_property
    def implicit_reward(self) -> ImplicitReward | None:
        """What makes a causal language model a verifier; ``None`` where nothing is said of it.

        Raises:
            UserError: If what ``config.json`` says of it cannot be read.
        """
        settings = self.config.get("implicit_reward")
        if settings is None:
            return None
        if wrong := faults(_ImplicitReward, settings, "implicit_reward of its config.json"):
            raise self.fault("; ".join(wrong))
        reward = _ImplicitReward.model_validate(settings)
        if reward.reference is None:
            return ImplicitReward(reward.beta, None)
        beside = (self.folder.resolve() / reward.reference).resolve()
        location = str(beside) if beside.is_dir() else reward.reference
        named_by = f"{self.parameter}'s reference"
        return ImplicitReward(reward.beta, ModelSource("target", location, named_by))

    @cached_property
    def digest(self) -> str:
        """Hash over configuration, tokenizer and weights, by content, a reference's included."""
        total = hashlib.sha256()
        reward = self.implicit_reward if self.role == "verifier" else None
        if reward is not None and reward.reference is not None:
            total.update(reward.reference.digest.encode())
        for path in sorted(self._files(ANSWER_FILES)):
            total.update(f"{path.name}:{_file_digest(path)}\n".encode())
        return total.hexdigest()

    def fault(self, reason: str) -> UserError:
        """Return the one-line error for a model that cannot be used."""
        kind = (
            "a verifier (with a scalar head, or with implicit_reward in its config.json)"
            if self.role == "verifier"
            else "a causal LM"
        )
        return UserError(
            f"{self.parameter}: {self.location!r} is not a usable model: {reason}."
            f" Give the folder, or the hub id, of {kind} in Hugging Face layout."
        )

    def _contents(self) -> str:
        """Say what a folder without a ``config.json`` holds instead."""
        if files := sorted(f for f in self.folder.iterdir() if f.suffix.lower() == ".gguf"):
            return gguf(files[0])
        for pattern, what in OTHER_LAYOUTS.items():
            if any(self.folder.glob(pattern)):
                return what
        inside = sorted(path.parent.name for path in self.folder.glob("*/config.json"))
        within = f"; folders within it do: {', '.join(inside[:5])}" if inside else ""
        return f"no config.json{within}"

    def _check_files(self) -> None:
        weights = self._files(WEIGHT_FILES)
        if not weights:
            raise self.fault("the folder holds no weights (*.safetensors or pytorch_model*.bin)")
        if not self._files(("tokenizer*", "vocab*", "spiece.model")):
            raise self.fault("the folder holds no tokenizer (tokenizer.json)")
        for file in weights:
            with file.open("rb") as opened:
                if opened.read(len(LFS)) == LFS:
                    raise self.fault(f"{file.name} is a pointer of Git LFS: fetch it, git lfs pull")

    def _check_adapter(self) -> None:
        adapter = self._object(ADAPTER)
        if adapter is None:
            return
        base = adapter.get("base_model_name_or_path") or "a model that it does not name"
        raise self.fault(
            f"the folder holds an adapter (LoRA) for {base}, which is neither left out nor applied"
            " in silence: merge it once, by peft's AutoPeftModelForCausalLM.from_pretrained(folder)"
            ".merge_and_unload().save_pretrained(other), and give that one"
        )

    @property
    def quantised_by(self) -> str:
        """The method by which the weights are quantised; empty if they are not."""
        return str((self.config.get("quantization_config") or {}).get("quant_method") or "")

    def _check_quantised(self) -> None:
        method = self.quantised_by
        if not method:
            return
        wanted = [QUANTISED_BY[method]] if method in QUANTISED_BY else []
        missing = [name for name in (*wanted, "accelerate") if not _is_installed(name)]
        if missing:
            raise self.fault(
                f"its weights are quantised ({method}), which takes packages that are not"
                f" installed here: {', '.join(missing)}"
            )

    def _check_vocabulary(self) -> None:
        """Raise where the tokenizer makes ids that the model has no embedding for.

        A padding token that is never written, or any that only a text can name, is not made.
        """
        rows = (self.config.get("text_config") or self.config).get("vocab_size")
        ids, added = self.tokenizer.get_vocab(), self.tokenizer.get_added_vocab()
        template = str(getattr(self.tokenizer, "chat_template", None))
        written = {getattr(self.tokenizer, f"{name}_token") for name in ("bos", "eos")}
        made = [i for t, i in ids.items() if t not in added or t in written or t in template]
        if rows is not None and max(made, default=0) >= rows:
            raise self.fault(
                f"its tokenizer makes ids up to {max(made)}, but its embeddings are those of {rows}"
                " tokens: give it the tokenizer that it was trained with, or enlarge the model"
                " (resize_token_embeddings)"
            )

    def _check_generator(self) -> None:
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        )

        kind = self.config["model_type"]
        if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            raise self.fault(f"{kind!r} is not a causal language model")
        if self.config.get("is_encoder_decoder"):
            raise self.fault(
                f"{kind!r} is an encoder with a decoder, which writes what its encoder has read and"
                " goes on from no prompt"
            )
        reads_both_ways = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind in UNMASKED
        if reads_both_ways and not self.config.get("is_decoder"):
            raise self.fault(
                f"{kind!r} is an encoder: it reads in both directions and writes nothing (one that"
                ' was trained to write says "is_decoder": true in its config.json)'
            )
        names = self.architectures
        if names and all("Classification" in name for name in names):
            raise self.fault(f"{names[0]} classifies and generates nothing")

    def _check_verifier(self) -> None:
        if self.implicit_reward is None:
            self._check_scalar()
        else:
            self._check_implicit(self.implicit_reward.reference)

    def _check_scalar(self) -> None:
        names = self.architectures
        if not any("Classification" in name for name in names):
            raise self.fault(f"{names[0] if names else 'its architecture'} has no scalar head")
        labels = self.config.get("id2label")
        count = len(labels) if labels is not None else self.config.get("num_labels", 2)
        if count != 1:
            raise self.fault(f"its head has {count} outputs instead of one")

    def _check_implicit(self, reference: ModelSource | None) -> None:
        self._check_generator()
        if reference is None:
            return
        reference.check()
        if self._tokens_digest() != reference._tokens_digest():
            raise self.fault(f"its reference {reference.location!r} has another tokenizer")

    def _tokens_digest(self) -> dict[str, str]:
        return {path.name: _file_digest(path) for path in self._files(("tokenizer.json",))}

    def _files(self, patterns: tuple[str, ...]) -> list[Path]:
        return sorted({p for pattern in patterns for p in self.folder.glob(pattern)})

    def _fetch(self) -> Path:
        from huggingface_hub import snapshot_download

        name, _, revision = self.location.partition("@")
        patterns = [*ANSWER_FILES, ADAPTER, "*.index.json", "*.model", "*.txt"]
        try:
            folder = snapshot_download(name, revision=revision or None, allow_patterns=patterns)
        except Exception as error:
            raise self.fault(
                "there is no such folder, and the Hugging Face hub did not give it"
                f" ({first_line(error)})"
            ) from error
        return Path(folder)


def gguf(path: Path) -> str:
    """Say that a file is in llama.cpp's format, and how it becomes a folder."""
    return (
        f"weights in GGUF ({path.name}), which are converted once:"
        f' pip install -e ".[smollm]" && kedro gguf {path} <new folder>, and give that folder'
    )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _file_digest(path: Path) -> str:
    # In the hub's cache, large files are links to blobs that are named by their SHA-256.
    blob = path.resolve().name
    if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", blob):
        return blob
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, with the next where it ends with a colon.

    Its class stands before a message that is no more than a name, and in place of an empty one.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    head = f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and lines[1:] else lines[0]
    return f"{type(error).__name__}: {head}" if isinstance(error, KeyError) else head
