"""The local engine: Hugging Face models in this process, with their insides open.

Weights load when a role is first used, torch with them: naming the engine costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from ttc_bench.engines.base import Capability, Engine, ModelRole, Request
from ttc_bench.engines.completion import CallError, Completion, Reading
from ttc_bench.engines.selection import ENGINES, EngineParams
from ttc_bench.errors import CapabilityError, UserError
from ttc_bench.params import unknown
from ttc_bench.types import Message

if TYPE_CHECKING:
    from ttc_bench.engines.decoding.elastic_batch import ElasticBatch
    from ttc_bench.engines.runtime.architecture import Architecture
    from ttc_bench.engines.runtime.context import DecodeContext
    from ttc_bench.engines.runtime.models import LanguageModel, Placement
    from ttc_bench.engines.runtime.runner import Runner
    from ttc_bench.engines.runtime.source import ModelSource
    from ttc_bench.engines.runtime.writer import Writer

QUESTION = "What is 17 + 25?"
"""What chat templates are tried with."""

ANSWERS_VERSION = "5"
"""Raised whenever a change of the runtime could change what every decoding answers; what changes
one decoding alone raises its own `Decoding.version`."""


@ENGINES.register("local")
class LocalModels(EngineParams):
    """Models of the local engine, by role.

    Attributes:
        target: Folder or hub id (``owner/name``, ``owner/name@revision``) of the causal language
            model that answers.
        draft: The same for the small model (speculation, prompt pruning, cascades).
        verifier: A sequence or token classification model with a single output, or a causal
            language model that is read by likelihood, whose ``config.json`` says
            ``"implicit_reward": {"beta": 0.1}``, with ``"reference": "../other"`` (a folder as
            seen from there, or a hub id) if it was trained against one.
        device: ``auto`` takes CUDA where there is one.
        dtype: ``auto`` is float32 on a CPU and bfloat16 on CUDA.
        precision: ``exact`` computes all models in float32 on any device, where decodings that are
            lossless by construction give the baseline's tokens; on CUDA ``fast`` is bfloat16, in
            which the shape of a pass changes its rounding, and the table says in what share of
            jobs the answers are the same.
        threads: CPU threads of every pass that PyTorch computes; null gives large passes all of
            them and small ones one. What runs in NumPy (`runtime.linear`) takes one.
        enable_thinking: Whether chat templates that know it (Qwen3 and others) ask for reasoning
            before the answer; null leaves it to the template.
        reasoning_effort: How hard chat templates that know it (gpt-oss) ask to reason.
        template: Further variables of the models' chat templates, by name.
        thinking_budget: Most tokens of marked reasoning; where they are used up, its end is put
            into the text and the model goes on behind it. Samples are then drawn one by one.
        made_by: What makes the models' folders, told where one is missing.
    """

    target: str = Field(min_length=1)
    draft: str | None = None
    verifier: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    precision: Literal["fast", "exact"] = "fast"
    threads: int | None = Field(default=None, ge=1)
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    template: dict[str, Any] = Field(default_factory=dict)
    thinking_budget: int | None = Field(default=None, ge=0)
    made_by: str | None = None

    @property
    def variables(self) -> dict[str, Any]:
        """Variables that chat templates are given."""
        named = {
            "enable_thinking": self.enable_thinking,
            "reasoning_effort": self.reasoning_effort,
        }
        return {**{k: v for k, v in named.items() if v is not None}, **self.template}

    def build(self) -> LocalEngine:
        """Return the engine, with every path checked and no weights loaded.

        Raises:
            UserError: If a path is not a model that can play its role.
        """
        # Read when torch loads its thread pool. Threads that spin while they wait make every
        # kernel of a small model wait for the busiest core: a hundred times slower next to one
        # other process, measured.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        engine = LocalEngine(self)
        engine.check()
        return engine


class LocalEngine(Engine):
    """Runs requests on transformers models in this process, one request at a time.

    Llama-like models run layer by layer (`runtime.llama`), all other causal language models through
    their own ``forward`` (`runtime.library_runner`); either way a decoding can open them.

    Args:
        models: The models by role, and how they run.
    """

    name = "local"
    concurrency = 1

    def __init__(self, models: LocalModels) -> None:
        from ttc_bench.engines.runtime.source import ModelSource

        paths = {"target": models.target, "draft": models.draft, "verifier": models.verifier}
        self.models = models
        self._sources: dict[ModelRole, ModelSource] = {
            cast(ModelRole, role): ModelSource(cast(ModelRole, role), path, made_by=models.made_by)
            for role, path in paths.items()
            if path is not None
        }
        self._loaded: dict[ModelRole, Any] = {}
        self._writers: dict[ModelRole, Writer] = {}
        self._architectures: dict[ModelRole, Architecture] = {}
        self._fingerprints: dict[ModelRole, str] = {}
        self._capabilities: dict[ModelRole, frozenset[Capability]] = {}
        self._executable: set[tuple[Any, ...]] = set()

    def check(self) -> None:
        """Raise unless every configured path is a model that can play its role.

        Raises:
            UserError: For the first one that is not, or that cannot be computed as it shall be.
        """
        is_exact = self.models.precision == "exact"
        if is_exact and self.models.dtype not in ("auto", "float32"):
            raise UserError(
                "parameter model.precision: 'exact' computes in float32, but model.dtype is"
                f" {self.models.dtype!r}: leave model.dtype at 'auto'."
            )
        for source in self._sources.values():
            source.check()
            if is_exact and source.quantised_by:
                raise source.fault(
                    f"its weights are quantised ({source.quantised_by}), so parameter"
                    " model.precision cannot be 'exact', which computes in float32"
                )
            self._check_prompt(source)
        if self.models.template:
            self._check_template(self._source("target"))

    def _check_prompt(self, source: ModelSource) -> None:
        """Raise if a model's chat template does not make a prompt of a question.

        One that asks for a system message first is asked with one.
        """
        from ttc_bench.engines.runtime.chat import Prompter
        from ttc_bench.engines.runtime.source import first_line

        prompter, reason = Prompter(source.tokenizer, self.models.variables), ""
        question = Message(role="user", content=QUESTION)
        for messages in ((question,), (Message(role="system", content="Answer."), question)):
            try:
                if QUESTION in prompter.text(messages):
                    return
            except Exception as error:  # whatever a template's own code raises
                reason = reason or first_line(error)
        why = f"cannot be rendered ({reason})" if reason else "leaves out what is asked"
        raise source.fault(f"its chat template {why}")

    def _check_template(self, source: ModelSource) -> None:
        """Raise for a variable that the target's chat template does not read."""
        from ttc_bench.engines.runtime.chat import template_variables

        if (names := template_variables(source.tokenizer)) is None:
            return
        faults = [unknown("variable", n, names) for n in self.models.template if n not in names]
        if faults:
            head = f"parameter model.template: the chat template of {source.name}: "
            raise UserError("\n".join(head + fault for fault in faults))

    def roles(self) -> frozenset[ModelRole]:
        """Return the model roles that are configured."""
        return frozenset(self._sources)

    def model_name(self, role: ModelRole = "target") -> str:
        """Return the last part of the model's path, or its hub id."""
        return self._source(role).name

    def fingerprint(self, role: ModelRole = "target") -> str:
        """Return a hash over weights, tokenizer, configuration, number type and engine."""
        if role not in self._fingerprints:
            identity = "/".join(self._identity(role))
            self._fingerprints[role] = hashlib.sha256(identity.encode()).hexdigest()
        return self._fingerprints[role]

    def _identity(self, role: ModelRole) -> tuple[str, ...]:
        place, models = self._placement, self.models
        names = ("enable_thinking", "reasoning_effort", "thinking_budget")
        thinking = {name: getattr(models, name) for name in names}
        by_length = "longrope" in json.dumps(self._source(role).config)
        return (
            self._source(role).digest,
            ANSWERS_VERSION,
            str(place.dtype),
            place.device.type,
            *(["rotary=2"] if by_length else []),
            *(f"{name}={value}" for name, value in thinking.items() if value is not None),
            *(f"template.{name}={value!r}" for name, value in sorted(models.template.items())),
        )

    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model in ``role`` can be asked for, by its configuration."""
        if role not in self._capabilities:
            self._capabilities[role] = self._able(role)
        return self._capabilities[role]

    def _able(self, role: ModelRole) -> frozenset[Capability]:
        if role == "verifier":
            return frozenset({Capability.VERIFY})
        able = set(self._architecture(role).capabilities)
        if role == "draft" and not self._foreign_tokens:
            able.add(Capability.DRAFT)
        if str(self._placement.dtype) == "torch.float32":
            able.add(Capability.FLOAT32)
        if self.models.thinking_budget is not None:
            able.discard(Capability.BATCH)
        return frozenset(able)

    def set_by(self, role: ModelRole, needed: frozenset[Capability] = frozenset()) -> str:
        """Return what gives the engine a model in ``role``; see `Engine.set_by`."""
        if role == "served":
            return "only model.engine=hosted has one, by the parameter model.served_api_base"
        return super().set_by(role, needed)

    def shortcoming(self, role: ModelRole, capability: Capability) -> str:
        """Return what of the architecture stands in the way; see `Engine.shortcoming`."""
        if role == "verifier":
            return ""
        if capability == Capability.DRAFT:
            return self._foreign_tokens if role == "draft" else ""
        if capability == Capability.BATCH and self.models.thinking_budget is not None:
            return "the parameter model.thinking_budget ends reasoning sample by sample"
        return self._architecture(role).shortcoming(capability)

    def device(self, role: ModelRole = "target") -> str:
        """Return the name of the GPU that computes, or ``cpu``."""
        import torch

        place = self._placement.device
        return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type

    def prompt_text(self, messages: Sequence[Message], role: ModelRole = "target") -> str:
        """Return chat messages in the model's chat template; weights are not loaded."""
        from ttc_bench.engines.runtime.chat import Prompter

        return Prompter(self._source(role).tokenizer, self.models.variables).text(messages)

    def require(self, request: Request) -> None:
        """Raise unless the models can execute ``request``; see `Engine.require`.

        What they can do never changes, so that it is asked once.
        """
        is_continued = bool(request.messages) and request.messages[-1].role == "assistant"
        kind = (request.role, request.decoding, is_continued, request.n > 1)
        if kind not in self._executable:
            super().require(request)
            self._executable.add(kind)

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return ``request.n`` completions; log-probabilities are the model's own, untempered.

        A budget that would leave the context window is cut to what fits.

        Raises:
            CallError: ``context_length`` if the prompt does not fit the context window.
            CapabilityError: If the model cannot execute the request's decoding.
        """
        self.require(request)
        return self._writer(request.role).complete(request)

    async def complete_many(
        self, requests: Sequence[Request]
    ) -> AsyncIterator[tuple[int, Completion | CallError]]:
        """Complete many single-sample requests together; see `Engine.complete_many`.

        Raises:
            CapabilityError: If they differ in model or decoding, if the decoding is no
                `ElasticBatch`, or if the model cannot be batched.
            UserError: If a request alone exceeds the batch's token budget.
        """
        import torch

        if not requests:
            return
        batch, role = self._batch(requests), requests[0].role
        writer = self._writer(role)
        contexts: dict[int, DecodeContext] = {}
        for i, request in enumerate(requests):
            try:
                (contexts[i],) = writer.contexts(request)
            except CallError as error:
                yield i, error
        steps = batch.steps(self.language_model(role).white_box, contexts)
        while True:
            try:
                with torch.inference_mode():
                    admitted, finished = next(steps, (None, []))
            except CallError as error:
                # What ends a pass ends it for all rows.
                for i in [i for i, context in contexts.items() if not context.out.done]:
                    yield i, error
                return
            if admitted is None:
                return
            for i in admitted:
                contexts[i].out.leave_queue()
            for i in finished:
                yield i, writer.completion(requests[i], requests[i].first_index, contexts[i])

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Score each (partial) solution; see `runtime.verifier.Verifier`.

        Raises:
            CallError: ``context_length`` if the question with a solution exceeds the window.
            CapabilityError: If there is no verifier.
        """
        from ttc_bench.engines.runtime.verifier import Verifier, load_verifier

        if "verifier" not in self._loaded:
            self._loaded["verifier"] = load_verifier(self._source("verifier"), self._placement)
        verifier = self._loaded["verifier"]
        assert isinstance(verifier, Verifier)
        return verifier.read(self.model_name("verifier"), messages, solutions)

    async def prompt_logprobs(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return the log-probability of every token of ``text``; see `read_prompt_logprobs`.

        Raises:
            CallError: ``no_offsets`` if the tokenizer cannot tell where its tokens are.
            CapabilityError: If there is no such model.
        """
        from ttc_bench.engines.runtime.prompt_logprobs import read_prompt_logprobs

        return read_prompt_logprobs(self.language_model(role), self.model_name(role), text)

    async def close(self) -> None:
        """Do nothing: models stay loaded, and nothing is bound to an event loop."""

    def language_model(self, role: ModelRole = "target") -> LanguageModel:
        """Return the generating model in ``role``, loading it if need be.

        Raises:
            CapabilityError: If there is none, or it generates no text.
        """
        from ttc_bench.engines.runtime.models import LanguageModel

        if role == "verifier":
            raise CapabilityError(
                f"the verifier {self.model_name(role)} scores solutions, it generates no text."
            )
        if role not in self._loaded:
            self._loaded[role] = LanguageModel(
                self._source(role),
                self._placement,
                self.models.variables,
            )
        model = self._loaded[role]
        assert isinstance(model, LanguageModel)
        return model

    def _batch(self, requests: Sequence[Request]) -> ElasticBatch:
        """Return the decoding of requests that can run together.

        Raises:
            CapabilityError: If they cannot.
        """
        from ttc_bench.engines.decoding.elastic_batch import ElasticBatch

        batch, role = requests[0].decoding, requests[0].role
        same = all((r.decoding, r.role, r.n) == (batch, role, 1) for r in requests)
        if not same or type(batch) is not ElasticBatch:
            raise CapabilityError(
                "requests decode together as single samples of one model, by one and the same"
                " elastic batch."
            )
        self.require(requests[0])
        return batch

    def _writer(self, role: ModelRole) -> Writer:
        """Return what answers requests to ``role``; made once, with all that it imports."""
        if role not in self._writers:
            from ttc_bench.engines.runtime.writer import Writer

            name, budget = self.model_name(role), self.models.thinking_budget
            model = self.language_model(role)
            self._writers[role] = Writer(model, name, budget, self._draft_runner)
        return self._writers[role]

    def _source(self, role: ModelRole) -> ModelSource:
        if role not in self._sources:
            raise CapabilityError(f"the local engine has no {role} model: {self.set_by(role)}.")
        return self._sources[role]

    def _draft_runner(self) -> Runner:
        return self.language_model("draft").runner

    @cached_property
    def _foreign_tokens(self) -> str:
        """Why the draft's tokens are not the target's, in words; empty where they are."""
        target, draft = self._source("target"), self._source("draft")
        if target.folder == draft.folder:
            return ""
        own, other = (source.tokenizer.get_vocab() for source in (target, draft))
        if own == other:
            return ""
        return (
            f"their tokenizers differ, {len(other)} tokens against {target.name}'s {len(own)}: set"
            " the parameter model.draft to a model of the same family"
        )

    @cached_property
    def _placement(self) -> Placement:
        from ttc_bench.engines.runtime.models import Placement

        models = self.models
        dtype = "float32" if models.precision == "exact" else models.dtype
        return Placement.choose(models.device, dtype, models.threads)

    def _architecture(self, role: ModelRole) -> Architecture:
        from ttc_bench.engines.runtime.architecture import Architecture

        if role not in self._architectures:
            self._architectures[role] = Architecture(self._source(role).settings)
        return self._architectures[role]
