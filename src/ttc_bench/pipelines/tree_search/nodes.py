"""Variants of step-level search under a process verifier (arXiv 2408.03314)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.types import Job

STEP = "\n"
"""Solutions are written step by step, one line each."""


@dataclass(frozen=True)
class Branch:
    """A partial solution.

    Attributes:
        text: The steps so far.
        left: Tokens of the job's budget that it may still grow by.
        is_done: Whether it holds a readable answer, or can grow no further.
        score: The verifier's score of it.
    """

    text: str
    left: int
    is_done: bool = False
    score: float = 0.0


class _Search(Variant):
    """What both searches share.

    Attributes:
        beams: Branches kept (beam), or independent subtrees (DVTS).
        width: Continuations drawn per branch and step.
        depth: Most steps; the last one runs to the end of the solution, so that with one beam,
            width and step the search is a single sample.
        temperature: Sampling temperature.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.CONTINUE}),
        "verifier": frozenset({Capability.VERIFY}),
    }

    beams: int = Field(default=2, ge=1)
    width: int = Field(default=2, ge=1)
    depth: int = Field(default=12, ge=1)
    temperature: float = Field(default=0.8, gt=0.0, le=5.0)

    async def _expand(
        self, session: Session, branch: Branch, count: int, last: bool
    ) -> list[Branch]:
        """Return ``count`` scored continuations of a branch by one step."""
        stop = session.job.stop if last else (*session.job.stop, STEP)
        samples = await session.complete(
            session.continuing(
                branch.text,
                n=count,
                stop=stop,
                max_tokens=branch.left,
                sampling=session.sampling(self.temperature),
                purpose="step",
            )
        )
        texts = [branch.text + sample.text for sample in samples]
        scores = await session.verify(texts)
        return [
            Branch(
                text if last else text + STEP,
                left := branch.left - sample.usage.completion_tokens,
                last or left < 1 or not sample.text or session.parse(text) is not None,
                score,
            )
            for text, sample, score in zip(texts, samples, scores, strict=True)
        ]


@variant("tree_search", "beam")
class Beam(_Search):
    """Beam search: expand every branch, keep the best ``beams`` of all."""

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the best solution found."""
        branches = await self._expand(
            session, Branch("", job.max_tokens), self.beams * self.width, self.depth == 1
        )
        for step in range(2, self.depth + 1):
            branches = _best(branches, self.beams)
            if all(branch.is_done for branch in branches):
                break
            grown = [branch for branch in branches if branch.is_done]
            for branch in branches:
                if not branch.is_done:
                    grown += await self._expand(session, branch, self.width, step == self.depth)
            branches = grown
        return _outcome(branches)


@variant("tree_search", "dvts")
class DiverseVerifierTreeSearch(_Search):
    """Diverse verifier tree search: independent subtrees, each greedy in the verifier's score."""

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the best solution of all subtrees."""
        first = await self._expand(
            session, Branch("", job.max_tokens), self.beams * self.width, self.depth == 1
        )
        groups = [first[i :: self.beams] for i in range(self.beams)]
        leaves = []
        for group in groups:
            (branch,) = _best(group, 1)
            for step in range(2, self.depth + 1):
                if branch.is_done:
                    break
                grown = await self._expand(session, branch, self.width, step == self.depth)
                (branch,) = _best(grown, 1)
            leaves.append(branch)
        return _outcome(leaves)


def _best(branches: Sequence[Branch], count: int) -> list[Branch]:
    return sorted(branches, key=lambda branch: branch.score, reverse=True)[:count]


def _outcome(branches: Sequence[Branch]) -> Outcome:
    done = [branch for branch in branches if branch.is_done] or list(branches)
    (best,) = _best(done, 1)
    texts = tuple(branch.text.rstrip(STEP) for branch in branches)
    return Outcome(best.text.rstrip(STEP), samples=texts, info={"score": best.score})
