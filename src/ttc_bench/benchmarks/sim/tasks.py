"""All task types of the simulated benchmarks, and what a problem of theirs says."""

from __future__ import annotations

from ttc_bench.benchmarks.sim import formats
from ttc_bench.benchmarks.sim.crm_tasks import CRM_TASKS
from ttc_bench.benchmarks.sim.problems import Problem, Task
from ttc_bench.benchmarks.sim.worf_tasks import WORF_TASKS

TASKS: dict[str, Task] = {task.name: task for task in (*CRM_TASKS, *WORF_TASKS)}
"""All task types by name."""


def system_text(problem: Problem, chain: bool = True) -> str:
    """Return the system message of a problem."""
    if problem.benchmark == "worf_sim":
        return formats.WORF_SYSTEM
    return formats.CRM_SYSTEM if chain else formats.CRM_SYSTEM_ANSWER_ONLY


def question_text(problem: Problem) -> str:
    """Return the user message of a problem."""
    return TASKS[problem.task].ask(problem.data, problem.style)


def gold_text(problem: Problem) -> str:
    """Return the gold solution of a problem."""
    return TASKS[problem.task].gold(problem)
