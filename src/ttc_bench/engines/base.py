"""The contract of an engine: what a policy may ask of a model, and what comes back.

A policy builds a `Request`; an `Engine` turns it into `Completion` objects. How tokens are
produced inside the model is a `Decoding` (a typed, self-contained algorithm): an engine never
knows policies, and a policy never knows which engine it runs on.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from pydantic import Field, StrictBool

from ttc_bench.engines.completion import CallError, Completion, Reading
from ttc_bench.errors import CapabilityError, UserError
from ttc_bench.params import Params
from ttc_bench.types import Message

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext

ModelRole = Literal["target", "draft", "verifier", "served"]
"""Who is asked; ``served`` is the target at an endpoint that speculates by itself."""


class Capability(StrEnum):
    """What a model behind an engine can be asked for."""

    GENERATE = "generate"
    """Complete chat messages."""
    CONTINUE = "continue"
    """Continue a partial assistant turn exactly where it ends."""
    LOGPROBS = "logprobs"
    """Report the log-probability of every generated token."""
    WHITE_BOX = "white_box"
    """Open its layers, key-value cache and logits to a decoding loop."""
    PROPAGATE = "propagate"
    """Fill the caches of layers that a token skips from the state at which it left."""
    EVICT = "evict"
    """Let go of any position of its key-value cache."""
    ROLL_BACK = "roll_back"
    """Forget the last positions of its cache: rejected drafts."""
    DRAFT = "draft"
    """Propose tokens to the target: their ids mean the same text to both."""
    PROMPT_LOGPROBS = "prompt_logprobs"
    """Report the log-probability of every prompt token."""
    BATCHED_SAMPLING = "batched_sampling"
    """Draw all samples of a request in one call that shares the prompt's computation."""
    DECODING_LOOP = "decoding_loop"
    """Run a decoding loop that is not its own."""
    BATCH = "batch"
    """Decode many requests together (`Engine.complete_many`)."""
    VERIFY = "verify"
    """Score a (partial) solution."""
    FLOAT32 = "float32"
    """Compute in float32, where the order of the sums hardly ever decides a token."""


class Sampling(Params):
    """How the next token is drawn.

    Attributes:
        temperature: 0 is greedy decoding.
        top_p: Nucleus mass (arXiv 1904.09751); 1 keeps every token.
        top_k: Most likely tokens kept; 0 keeps every token.
        seed: Sample ``i`` of a request draws from a generator seeded by ``(seed, i)``.
    """

    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    seed: int = 0


Requirements = Mapping[ModelRole, frozenset[Capability]]
"""What each model role must be able to do; ``target`` is whichever role a request addresses."""


class Decoding(Params):
    """How tokens come out of the model: settings are fields, `run` is the loop.

    An engine that runs loops (`Capability.DECODING_LOOP`) calls this one; any other has a loop of
    its own, which is plain decoding, and refuses every decoding but `Plain`.

    Attributes:
        requires: What each model role must be able to do, ``target`` at least, beside running the
            loop.
        version: Raised whenever a change of the algorithm could change an answer.
        lossless: Whether its greedy answers are those of `Plain` by construction, on a model that
            computes in float32. A test decodes with every one that says so.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.WHITE_BOX})
    }
    version: ClassVar[int] = 1
    lossless: ClassVar[bool] = False

    @abstractmethod
    def run(self, context: DecodeContext) -> None:
        """Decode one sample until ``context.out`` says that it is finished.

        Raises:
            CapabilityError: If the models given cannot execute the decoding.
        """

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Raise `TypeError` where the class does not say what it requires of the target."""
        check_requirements(cls.__qualname__, cls.requires)

    def needs(self) -> Requirements:
        """Return `requires` and, of any decoding but `Plain`, that the engine runs its loop."""
        if type(self) is Plain:
            return self.requires
        return {
            **self.requires,
            "target": self.requires["target"] | {Capability.DECODING_LOOP},
        }

    @property
    def label(self) -> str:
        """Short name and settings, for people to read."""
        return f"{type(self).__name__}({self.model_dump_json()})"

    @property
    def identity(self) -> dict[str, Any]:
        """What sets its completions apart from those of any other decoding; JSON-ready."""
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "version": self.version,
            "settings": self.model_dump(mode="json"),
        }


def check_requirements(name: str, requires: Requirements) -> None:
    """Raise unless ``requires`` says for the target, and maybe for others, what they must do.

    Raises:
        TypeError: Naming the class that says it.
    """
    roles = get_args(ModelRole)
    if "target" not in requires or not set(requires) <= set(roles):
        raise TypeError(
            f"{name}.requires has the roles {sorted(requires)}: it must have 'target', and may have"
            f" others of {sorted(roles)}."
        )
    for role, abilities in requires.items():
        if not isinstance(abilities, frozenset) or not abilities <= set(Capability):
            raise TypeError(f"{name}.requires[{role!r}] is {abilities!r}: no set of `Capability`.")


class Plain(Decoding):
    """Plain autoregressive decoding: one pass for the prompt, then one pass per token."""

    requires: ClassVar[Requirements] = {"target": frozenset({Capability.GENERATE})}

    def run(self, context: DecodeContext) -> None:
        """Decode one sample on a full cache."""
        decode_on = _plain_loop()
        decode_on(context, context.target.new_cache(context.capacity, [context.meter]))


@cache
def _plain_loop() -> Callable[[DecodeContext, Any], None]:
    """Return the loop of `Plain`; the module that has it imports this one."""
    from ttc_bench.engines.decoding.plain import decode_on

    return decode_on


GREEDY = Sampling()
PLAIN = Plain()
PLAIN_IDENTITY = PLAIN.identity
"""Made once: nearly all calls are of it."""


@dataclass(frozen=True)
class Request:
    """One call to a model, possibly for several samples.

    Attributes:
        messages: Chat messages. If the last one is an assistant turn it is continued.
        max_tokens: Most completion tokens per sample.
        stop: Strings that end a sample; the match is cut off the text.
        sampling: How tokens are drawn.
        n: Samples wanted.
        first_index: Seed index of the first sample: samples ``first_index`` to
            ``first_index + n - 1`` are drawn, each independent of ``n``.
        role: Which of the run's models answers.
        decoding: The decoding algorithm.
        purpose: What the call is for, as it stands in the bill ("answer", "probe", ...).
        prompt_share_kept: Share of the prompt's tokens left by pruning, for the bill.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = GREEDY
    n: int = 1
    first_index: int = 0
    role: ModelRole = "target"
    decoding: Decoding = PLAIN
    purpose: str = "answer"
    prompt_share_kept: float | None = None

    @property
    def indexes(self) -> range:
        """Seed indexes of the samples wanted."""
        return range(self.first_index, self.first_index + self.n)

    def identity(self, fingerprint: str, index: int) -> dict[str, Any]:
        """Return what one sample belongs to: equal identities are interchangeable completions.

        Args:
            fingerprint: Identity of every model that takes part.
            index: Seed index of the sample. Greedy decoding has one sample whatever the index.
        """
        is_drawn = self.sampling.temperature > 0
        return {
            "models": fingerprint,
            "role": self.role,
            **_identity_of(self.messages),
            "max_tokens": self.max_tokens,
            "stop": self.stop,
            "sampling": self.sampling.model_dump() if is_drawn else "greedy",
            "decoding": PLAIN_IDENTITY if self.decoding is PLAIN else self.decoding.identity,
            "index": index if is_drawn else 0,
        }


@dataclass(frozen=True)
class ReadRequest:
    """One reading of texts by a model that writes nothing.

    Attributes:
        texts: What is read: solutions to score, or one text.
        purpose: What is read for, as it stands in the bill ("verify", ...).
        role: Which of the run's models reads.
        messages: The chat messages that the texts answer, if they do.
    """

    texts: tuple[str, ...]
    purpose: str
    role: ModelRole
    messages: tuple[Message, ...] = ()

    def identity(self, fingerprint: str) -> dict[str, Any]:
        """Return what a reading belongs to: equal identities are interchangeable readings."""
        texts = json.dumps(self.texts).encode()
        return {
            "models": fingerprint,
            "role": self.role,
            "reads": self.purpose,
            **(_identity_of(self.messages) if self.messages else {}),
            "texts": hashlib.sha256(texts).hexdigest(),
        }


_SORTED = json.JSONEncoder(sort_keys=True, check_circular=False)
"""Writes identities; `json.dumps` would make another for each."""


def key_of(identity: Mapping[str, Any]) -> str:
    """Return the key under which a journal keeps what belongs to ``identity``."""
    return hashlib.sha256(_SORTED.encode(identity).encode()).hexdigest()


@lru_cache(64)
def _identity_of(messages: tuple[Message, ...]) -> Mapping[str, str]:
    """Return a digest of chat messages, and the end of the last one for people to read.

    The digest is that of their JSON as a list.
    """
    digest, last = _begun(messages[:-1]).copy(), messages[-1]
    digest.update(f"{json.dumps(vars(last))}]".encode())
    return {"messages": digest.hexdigest(), "last_message": last.content[-80:]}


@lru_cache(64)
def _begun(messages: tuple[Message, ...]) -> hashlib._Hash:
    """Return a digest of the JSON of a list that goes on: a job's messages, before an answer."""
    written = (json.dumps(vars(message)) for message in messages)
    return hashlib.sha256(f"[{''.join(f'{one}, ' for one in written)}".encode())


def check_concurrency(name: str, concurrency: Any) -> None:
    """Raise unless at least one job may be in flight.

    Raises:
        TypeError: Naming the engine that says it.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise TypeError(f"{name}.concurrency is {concurrency!r}: it must be an integer from 1 on.")


class CallLimits(Params):
    """What can be changed of how a run calls its models, while it goes on.

    What is ``None`` stays as the run was started.

    Attributes:
        paused: Whether no call may leave.
        concurrency: Most calls in flight at once.
        max_usd: Dollars that the run never passes.
        max_requests: Requests that it never passes.
        requests_per_minute: Most requests in any minute.
        tokens_per_minute: Most tokens, of prompts and answers, in any minute.
    """

    paused: StrictBool = False
    concurrency: int | None = Field(default=None, ge=1)
    max_usd: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    max_requests: int | None = Field(default=None, ge=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)


class Engine(ABC):
    """Runs requests on one or several models, addressed by their role.

    Attributes:
        name: Kind of engine, as it stands in results ("local", "hosted"); a class attribute will
            do, as for ``concurrency``.
        concurrency: Jobs that may be in flight at once; 1 keeps timings undisturbed.
        is_paid: Whether a call may cost money: then nothing is asked twice, not even to time it.
    """

    is_paid: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raise `TypeError` for a concurrency at which no job would ever be answered."""
        super().__init_subclass__(**kwargs)
        stated = cls.__dict__.get("concurrency", 1)
        if not hasattr(stated, "__get__"):
            check_concurrency(cls.__qualname__, stated)

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind of engine, as it stands in results."""

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """Jobs that may be in flight at once, 1 or more."""

    @abstractmethod
    def roles(self) -> frozenset[ModelRole]:
        """Return the model roles that are configured."""

    @abstractmethod
    def model_name(self, role: ModelRole = "target") -> str:
        """Return the name of the model in ``role``, as it stands in results."""

    @abstractmethod
    def fingerprint(self, role: ModelRole = "target") -> str:
        """Return an identity that changes whenever the model's answers could change."""

    @abstractmethod
    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model in ``role`` can be asked for."""

    @abstractmethod
    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return ``request.n`` completions, in order of their seed index.

        Raises:
            CallError: If the call failed for good.
            CapabilityError: If the model cannot execute the request; see `require`.
        """

    @abstractmethod
    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Score each (partial) solution to ``messages`` with the verifier."""

    @abstractmethod
    async def prompt_logprobs(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return the log-probability of every token of ``text``, given those before it."""

    @abstractmethod
    async def close(self) -> None:
        """Release what is bound to the running event loop; the engine stays usable."""

    def limit(self, limits: CallLimits) -> None:
        """Go by other limits from now on; called on the event loop that makes the calls.

        Raises:
            UserError: Naming those that this engine has none of; then none is changed.
        """
        asked = limits.model_dump(exclude={"paused"}, exclude_none=True)
        if asked:
            raise UserError(f"the {self.name} engine has no {' and no '.join(asked)} to change.")

    def device(self, role: ModelRole = "target") -> str | None:
        """Return what the model in ``role`` computes on; ``None`` where others serve it."""
        return None

    def prompt_text(self, messages: Sequence[Message], role: ModelRole = "target") -> str | None:
        """Return chat messages as the model in ``role`` reads them, by its chat template.

        ``None`` where that is not known here, as of a model that others serve.
        """
        return None

    def complete_many(
        self, requests: Sequence[Request]
    ) -> AsyncIterator[tuple[int, Completion | CallError]]:
        """Yield each request's place and completion, or what failed it, as they finish.

        Args:
            requests: Single-sample requests for one model, all by the same batched decoding.

        Raises:
            CapabilityError: If the requests cannot be decoded together.
            UserError: If a request alone exceeds the batch's token budget.
        """
        raise CapabilityError(f"the {self.name} engine does not decode requests together.")

    def missing_capabilities(self, requires: Requirements) -> list[str]:
        """Return what the models lack of ``requires``, in words; nothing if they can do it all."""
        missing = []
        for role, needed in requires.items():
            if role not in self.roles():
                missing.append(f"a {role} model ({self.set_by(role, needed)})")
            elif lacking := sorted(needed - self.capabilities(role)):
                why = "; ".join(filter(None, (self.shortcoming(role, one) for one in lacking)))
                model = f"the {role} model {self.model_name(role)}" + (f" ({why})" if why else "")
                missing.append(f"{', '.join(lacking)} on {model}")
        return missing

    def set_by(self, role: ModelRole, needed: frozenset[Capability] = frozenset()) -> str:
        """Return what gives the engine a model in a role in which it has none, in words.

        Args:
            role: The role.
            needed: What the model must be able to do.
        """
        return f"set the parameter model.{role}"

    def shortcoming(self, role: ModelRole, capability: Capability) -> str:
        """Return why the model in ``role`` lacks a capability, in words; empty for no reason."""
        return ""

    def require(self, request: Request) -> None:
        """Raise unless the models can execute ``request``.

        Raises:
            CapabilityError: Naming its decoding, its model and what is missing.
        """
        name = self.model_name(request.role)
        needs = dict(request.decoding.needs())
        abilities = set(needs.pop("target"))
        if request.messages and request.messages[-1].role == "assistant":
            abilities.add(Capability.CONTINUE)
        if request.n > 1:
            abilities.add(Capability.BATCHED_SAMPLING)
        needs[request.role] = frozenset(abilities)
        if missing := self.missing_capabilities(needs):
            raise CapabilityError(
                f"{type(request.decoding).__name__} cannot run on the {self.name} model {name}:"
                f" it needs {' and '.join(missing)}."
            )
