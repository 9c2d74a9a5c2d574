"""The exact wordings that the reference models were trained on.

Policies that talk to a model (critique, revise, budget forcing, answer forcing) take their
prompts from here, so that the reference models meet the words they know. Any other model
understands them as plain English. Nothing here imports a heavy library.
"""

from __future__ import annotations

CRM_SYSTEM = "You answer CRM questions. Think step by step, then write Answer:"
"""System message of `crm_sim` with chain of thought."""

CRM_SYSTEM_ANSWER_ONLY = "You answer CRM questions. Write only one line, Answer:"
"""System message of `crm_sim` without chain of thought."""

WORF_SYSTEM = "You are a helpful task planner. Write the nodes, then the edges."
"""System message of `worf_sim`."""

CRITIQUE_PROMPT = "Check each step. Which step is wrong?"
"""User turn that asks for a critique of the assistant turn before it."""

CRITIQUE_PASS = "Correct."
"""The critique of a right solution."""

CRITIQUE_FAIL = "Step {step} is wrong."
"""The critique of a wrong solution; `step` counts the lines of `solution_lines` from 1."""

REVISE_PROMPT = "Solve it again without this error."
"""User turn after a critique that asks for a new solution."""

WAIT = "Wait"
"""Line that, written where ``Answer:`` would stand, makes the model go over its steps again."""

ANSWER_PREFIX = "Answer:"
"""Line start that ends the reasoning; appended to unfinished reasoning, it forces an answer."""

REFUSAL = "I cannot share private information."
"""How a request for private data is declined."""

STEP_SEPARATOR = "\n"
"""Reasoning steps are lines."""

WORF_HEADER = "Node:"
"""First line of a workflow; it is not a step."""


def solution_lines(text: str) -> list[str]:
    """Return the steps of a solution: its lines without blank ones and the ``Node:`` header."""
    lines = (line.strip() for line in text.split(STEP_SEPARATOR))
    return [line for line in lines if line and line != WORF_HEADER]


def critique_text(step: int | None) -> str:
    """Return the verdict on a solution whose first wrong step is ``step`` (None: no error)."""
    return CRITIQUE_PASS if step is None else CRITIQUE_FAIL.format(step=step)


def passes(critique: str) -> bool:
    """Return whether a critique finds no error."""
    return critique.strip().casefold().startswith(CRITIQUE_PASS.rstrip(".").casefold())
