"""Variants of step-level search under a process verifier (arXiv 2408.03314)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field

from ttc_bench.benchmarks.sim.formats import STEP_SEPARATOR
from ttc_bench.engines.base import Capability
from ttc_bench.engines.trace import TraceRecord
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.policies.continuation import PartialAnswer, extend
from ttc_bench.policies.voting import scores_of_answers


@dataclass(frozen=True)
class Branch:
    """A partial solution, the verifier's score of it, and its place in the tree."""

    partial: PartialAnswer
    score: float
    place: int | None = None


class Tree:
    """Every step that a search drew, and which ones it went on from."""

    def __init__(self) -> None:
        self._steps: list[TraceRecord] = []

    def grow(
        self, root: Branch, partials: Sequence[PartialAnswer], scores: Sequence[float]
    ) -> list[Branch]:
        """Return branches that go on from another one; as yet all are dropped."""
        branches = []
        for partial, score in zip(partials, scores, strict=True):
            branches.append(Branch(partial, score, len(self._steps)))
            text = partial.text.removeprefix(root.partial.text)
            self._steps.append(TraceRecord("step", text, "dropped", root.place, score))
        return branches

    def keep(self, branches: list[Branch]) -> list[Branch]:
        """Note that a search goes on from these branches, and return them."""
        for branch in branches:
            assert branch.place is not None
            self._steps[branch.place] = replace(self._steps[branch.place], state="kept")
        return branches

    @property
    def trace(self) -> Sequence[TraceRecord]:
        """The steps, in the order in which they were drawn."""
        return self._steps


class _Search(Variant):
    """What both searches share.

    A search draws at most ``beams * width * depth`` steps. Each place among the branches has seed
    indexes of its own: branches of equal text go on with draws that are independent.

    Attributes:
        beams: Branches kept (beam), or independent subtrees (DVTS).
        width: Continuations drawn per branch and step.
        depth: Most steps; the last one runs to the end of the solution, so that with one beam,
            width and step the search is a single sample.
        temperature: Sampling temperature.
        top_p: Nucleus mass.
        separator: What ends a step: a line break, or a blank line for models that write
            paragraphs.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.CONTINUE}),
        "verifier": frozenset({Capability.VERIFY}),
    }

    beams: int = Field(default=2, ge=1)
    width: int = Field(default=2, ge=1)
    depth: int = Field(default=12, ge=1)
    temperature: float = Field(default=0.8, gt=0.0, le=5.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    separator: str = Field(default=STEP_SEPARATOR, min_length=1)

    async def _expand(
        self, session: Session, tree: Tree, root: Branch, count: int, step: int, place: int = 0
    ) -> list[Branch]:
        """Return ``count`` scored continuations, by step ``step``, of the branch at ``place``."""
        partials = await extend(
            session,
            root.partial,
            stop=None if step == self.depth else self.separator,
            n=count,
            first_index=place * self.width,
            sampling=session.sampling(self.temperature, self.top_p),
            purpose="step",
        )
        scores = await session.verify([each.text for each in partials])
        return tree.grow(root, partials, scores)

    async def _first_steps(self, session: Session, tree: Tree) -> list[Branch]:
        root = Branch(PartialAnswer(), 0.0)
        return await self._expand(session, tree, root, self.beams * self.width, 1)


@variant("tree_search", "beam")
class Beam(_Search):
    """Beam search: extend every branch by a step, keep the best ``beams`` of all.

    Copies make room for other texts (``filter_duplicates`` of Beeching et al., 2024).
    """

    async def answer(self, session: Session) -> Outcome:
        """Return the best solution found."""
        tree = Tree()
        branches = tree.keep(_best(await self._first_steps(session, tree), self.beams))
        for step in range(2, self.depth + 1):
            if all(branch.partial.is_ended for branch in branches):
                break
            candidates: list[Branch] = []
            for place, branch in enumerate(branches):
                if branch.partial.is_ended:
                    candidates.append(branch)
                else:
                    candidates += await self._expand(session, tree, branch, self.width, step, place)
            branches = tree.keep(_best(candidates, self.beams))
        return _outcome(session, branches, tree)


@variant("tree_search", "dvts")
class DiverseVerifierTreeSearch(_Search):
    """Diverse verifier tree search: independent subtrees, each greedy in the verifier's score.

    Source: the variant of beam search that Beeching et al. (2024) add to arXiv 2408.03314: no
    subtree can crowd out another, so the finalists differ.
    """

    async def answer(self, session: Session) -> Outcome:
        """Return the best solution of all subtrees."""
        tree = Tree()
        first = await self._first_steps(session, tree)
        subtrees = [first[i :: self.beams] for i in range(self.beams)]
        descents = [
            await self._descend(session, tree, subtree, place)
            for place, subtree in enumerate(subtrees)
        ]
        return _outcome(session, descents, tree)

    async def _descend(
        self, session: Session, tree: Tree, subtree: list[Branch], place: int
    ) -> Branch:
        (branch,) = tree.keep(_best(subtree, 1))
        for step in range(2, self.depth + 1):
            if branch.partial.is_ended:
                break
            steps = await self._expand(session, tree, branch, self.width, step, place)
            (branch,) = tree.keep(_best(steps, 1))
        return branch


def _best(branches: Sequence[Branch], count: int) -> list[Branch]:
    """Return the best branches, copies of one text last, the earlier one first among equals."""
    ranked = sorted(branches, key=lambda branch: branch.score, reverse=True)
    texts = [branch.partial.text for branch in ranked]
    order = sorted(range(len(ranked)), key=lambda place: texts[place] in texts[:place])
    return [ranked[place] for place in order[:count]]


def _outcome(session: Session, finalists: Sequence[Branch], tree: Tree) -> Outcome:
    """Return the best finalist that holds an answer."""
    texts = tuple(branch.partial.text for branch in finalists)
    scores = scores_of_answers(
        [session.parse(text) for text in texts], [branch.score for branch in finalists]
    )
    best = max(range(len(texts)), key=lambda i: scores[i])
    info = {"score": scores[best], "scores": scores}
    return Outcome(texts[best], samples=texts, trace=tree.trace, info=info)
