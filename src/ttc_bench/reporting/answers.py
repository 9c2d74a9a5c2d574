"""Single responses: two variants on the same questions, and why an answer has its score."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from html import escape
from typing import Any

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.metrics.base import REPLAYED, answer_digest
from ttc_bench.reporting.labels import label, natural
from ttc_bench.reporting.row_dicts import Row
from ttc_bench.reporting.sheet import counted_as, known, number
from ttc_bench.reporting.stored_response import bill, noted, samples, scores
from ttc_bench.types import DataFrame, Job

QUESTION = ("job_id", "benchmark", "task", "difficulty")
"""Columns that name a question."""

MOST_LETTERS = 100
"""Letters of a question or a gold answer that are shown in a line."""

SCORED = (*QUESTION, "status", "answer", "reward", "latency_s", "total_tokens")
"""Columns of the scores that `side_by_side` takes."""


def side_by_side(first: DataFrame, second: DataFrame) -> DataFrame:
    """Return a row per question with what two variants made of it.

    Args:
        first: Scores of one variant, columns `SCORED`.
        second: Scores of the other.

    Returns:
        `QUESTION`, then ``reward``, ``status``, ``answer`` and costs with ``_first`` and
        ``_second``; a question that one of them was not asked has nulls there.
    """
    both = first.merge(second, on=list(QUESTION), how="outer", suffixes=("_first", "_second"))
    order = ["benchmark", "task", "job_id"]
    return both.sort_values(order, key=lambda c: c.astype(str).map(natural), ignore_index=True)


def _right(table: DataFrame, side: str) -> Any:
    return (table[f"reward_{side}"].astype("Float64") >= 1).fillna(value=False)


def _failed(table: DataFrame, side: str) -> Any:
    return (table[f"status_{side}"].astype("string") == "failed").fillna(value=False)


FILTERS: Mapping[str, Callable[[DataFrame], Any]] = {
    "all": lambda table: table["job_id"].notna(),
    "first right, second wrong": lambda t: _right(t, "first") & ~_right(t, "second"),
    "first wrong, second right": lambda t: ~_right(t, "first") & _right(t, "second"),
    "both wrong": lambda t: ~_right(t, "first") & ~_right(t, "second"),
    "both right": lambda t: _right(t, "first") & _right(t, "second"),
    "answers differ": lambda t: (
        t["answer_first"].astype("string").fillna("")
        != t["answer_second"].astype("string").fillna("")
    ),
    "either failed": lambda t: _failed(t, "first") | _failed(t, "second"),
}
"""Which questions are shown, by name: functions of what `side_by_side` returns. Right is a reward
of 1; everything else, failures too, is not."""


def is_of(response: Row, score: Row) -> bool:
    """Return whether a stored response has the text that was scored, letter by letter.

    Of each variant the responses of the last run are stored; scores are kept of every run.
    """
    text = response["text"]
    digest = answer_digest(text) if isinstance(text, str) else None
    return digest == (score["answer"] if known(score["answer"]) else None)


def why(job: Job | None, score: Row, text: str | None) -> list[str]:
    """Return how a response came to its reward, a line each.

    Args:
        job: The question; ``None`` where it is not stored any more.
        score: The row of its scores.
        text: The response; ``None`` where it failed.
    """
    if text is None:
        reason = f"{score['error_type']}: {score['error_message']}"
        return [f"The response failed, which counts as the reward 0. {reason}"]
    if job is None:
        by = f" by {label(score['reward_rule'])}" if known(score.get("reward_rule")) else ""
        return [f"Reward {number(score['reward'], '{:.3f}')}{by}. What was read as its answer, and"
                " what was expected, is told where the question is stored."]  # fmt: skip
    rule = REWARD_RULES[job.reward_metric]
    figure = "" if rule.figure == rule.name else f" ({label(rule.figure)})"
    lines = [f"Reward {number(score['reward'], '{:.3f}')} by {rule.name}{figure}."]
    lines.append(f"Scored was: {benchmark_of(job).answer(text, job)}{_unlike(job, score)}")
    shown = (spec for spec in rule.metrics if known(score.get(spec.name)))
    return lines + [
        f"{label(spec.name)} {number(score[spec.name], '{:.3f}')}: {spec.definition}"
        for spec in shown
    ]


def _unlike(job: Job, score: Row) -> str:
    """Return what was expected of an answer that has less than the whole reward."""
    if not known(score["reward"]) or score["reward"] >= 1 or not job.references:
        return ""
    expected = gold(job).replace("\n", ", ")
    if len(expected) > MOST_LETTERS:
        expected = "the gold answer above"
    return f", which is not {'wholly ' if score['reward'] > 0 else ''}as expected: {expected}"


def beginning(job: Job) -> str:
    """Return how a question begins, in a line."""
    text = " ".join(job.messages[-1].content.split())
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def gold(job: Job) -> str:
    """Return the gold answers as text, one a line."""
    return "\n".join("None (there is no such record)" if r is None else r for r in job.references)


def unmeasured(score: Row, metric: str) -> str:
    """Return why a metric of a response is not known, as its scores tell; else nothing."""
    if known(score[metric]):
        return ""
    kept = score.get("null_reasons")
    with suppress(ValueError, AttributeError, TypeError):
        told = json.loads(kept) if isinstance(kept, str) else {}
        if reason := next((one for one, names in told.items() if metric in names), ""):
            return str(reason)
    return REPLAYED.reason if known(flag := score.get("replayed")) and flag else ""


def candidates(response: Row, job: Job | None) -> DataFrame:
    """Return the texts that a policy chose from, in the order in which they came.

    Columns: ``sample`` from 1, ``answer`` as the benchmark reads it, ``votes`` for that answer
    (null where it cannot be read), ``score`` that the policy noted (null without one), ``reward``
    and ``text``. Without the question ``answer``, ``votes`` and ``reward`` are null.

    Raises:
        DataError: If the column ``samples`` is damaged, or the scores in ``info``.
    """
    import pandas as pd

    texts = samples(response)
    answers = _read(texts, job)
    votes = Counter(answer for answer in answers if answer is not None)
    rows = [
        {
            "sample": place + 1,
            "answer": None if answer is None else _short(answer),
            "votes": votes.get(answer),
            "score": score,
            "reward": None if job is None else benchmark_of(job).score(text, job)["reward"],
            "text": text,
        }
        for place, (text, answer, score) in enumerate(
            zip(texts, answers, scores(response, len(texts)), strict=True)
        )
    ]
    types = {"sample": "Int64", "answer": "string", "votes": "Int64", "score": "Float64",
             "reward": "Float64", "text": "string"}  # fmt: skip
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _read(texts: Sequence[str], job: Job | None) -> list[Any]:
    """Return the answers in texts as votes compare them; ``None`` is unreadable, or unknown."""
    return [None if job is None else benchmark_of(job).parse(text, job) for text in texts]


def chosen(response: Row, job: Job | None) -> list[str]:
    """Return which candidate became the response, and by what, a sentence each.

    Args:
        response: The response.
        job: The question; ``None`` where it is not stored any more.

    Raises:
        DataError: If the column ``samples`` is damaged, or what the policy noted.
    """
    texts = samples(response)
    if response["text"] not in texts:
        return ["None of them is the response itself: the policy made it otherwise."]
    place = texts.index(response["text"])
    told, answers = [f"Candidate {place + 1} is the response."], _read(texts, job)
    # No other policy notes votes: elsewhere equal answers decide nothing.
    if job is not None and "votes" in noted(response):
        told.append(_voted(place, answers))
    if any(isinstance(one, tuple) and len(one) > 1 for one in answers):
        told.append("An answer of several parts is listed as votes compare it: in alphabetical"
                    " order, whatever order the response has.")  # fmt: skip
    return told


def _voted(place: int, answers: Sequence[Any]) -> str:
    """Return how a vote was decided, as `ttc_bench.policies.voting.vote` decides it."""
    votes = Counter(answer for answer in answers if answer is not None)
    most = votes.get(answers[place], 0)
    if not votes:
        return "No answer could be read, so nothing was voted on, and the first one is taken."
    of = f"Its answer has {most} of {counted_as(len(answers), 'vote')}"
    equals = [answer for answer, n in votes.items() if n == most and answer != answers[place]]
    if not equals:
        return f"{of}, the most; of those that gave it the first is taken."
    others = " and ".join(map(_short, equals))
    return f"{of}, as many as {others}: in a tie the answer that came first wins."


def _short(answer: Any) -> str:
    parts = answer if isinstance(answer, tuple | frozenset) else (answer,)
    return ", ".join(sorted(map(str, parts)) if isinstance(answer, frozenset) else map(str, parts))


def difference(before: str, after: str) -> str:
    """Return two texts as one, its lines marked ``-`` and ``+`` where they differ."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return "\n".join(line for line in lines if not line.startswith("?"))


CALL_COLUMNS = ("purpose", "role", "model", "prompt_tokens", "completion_tokens",
                "verifier_tokens", "latency_s", "flops", "usd", "attempts", "replayed")  # fmt: skip
"""What is shown of each call of a bill."""


def calls(response: Row) -> DataFrame:
    """Return the calls of a response, in their order; columns `CALL_COLUMNS`.

    Raises:
        DataError: If the column ``bill`` is damaged.
    """
    import pandas as pd

    return pd.DataFrame(bill(response), columns=list(CALL_COLUMNS))


LOOKS = {
    "accepted": ("background:rgba(15,180,17,.30)", "green", "drafted and accepted"),
    "rejected": ("background:rgba(215,14,60,.30);text-decoration:line-through", "red",
                 "drafted and rejected"),
    "own": ("", "plain", "chosen by the target"),
    "added": ("background:rgba(1,140,239,.30)", "blue", "added by the policy"),
    "probe": ("background:rgba(255,165,0,.30);text-decoration:line-through", "orange",
              "asked for on the way, no part of the answer"),
}  # fmt: skip
"""How tokens and parts look by their state, on light and on dark, what that is called, and what it
means."""


def tokens_html(trace: Sequence[Row]) -> str:
    """Return the tokens or parts of a trace as HTML, coloured by what became of them.

    The text of each is escaped. A token that left the stack early is the bluer the earlier.
    """
    deepest = max((row["layer"] for row in trace if known(row["layer"])), default=1) or 1
    spans = (
        f'<span title="{escape(_told_of(row))}" style="{_look(row, deepest)}">'
        f"{escape(row['text'])}</span>"
        for row in trace
    )
    style = "white-space:pre-wrap;font-family:monospace;overflow-wrap:anywhere"
    return f'<div style="{style}">{"".join(spans)}</div>'


def _look(row: Row, deepest: int) -> str:
    if known(row["layer"]):
        return f"background:rgba(1,140,239,{0.75 * (1 - row['layer'] / deepest):.2f})"
    return LOOKS.get(row["state"], LOOKS["own"])[0]


def _told_of(row: Row) -> str:
    if known(row["layer"]):
        return counted_as(int(row["layer"]), "layer")
    score = f", {row['score']:.2f}" if known(row.get("score")) else ""
    return f"{LOOKS[row['state']][2] if row['state'] in LOOKS else row['state']}{score}"


def legend(trace: Sequence[Row]) -> str:
    """Return what the colours of tokens or parts mean, with how many there are of each."""
    if any(known(row["layer"]) for row in trace):
        layers = Counter(int(row["layer"]) for row in trace if known(row["layer"]))
        exits = sorted(layers.items())
        counts = ", ".join(f"{n} after {counted_as(layer, 'layer')}" for layer, n in exits)
        return f"Tokens by where they left the stack, the bluer the earlier: {counts}."
    states = Counter(str(row["state"]) for row in trace)
    there = [(states[name], told, colour) for name, (_, colour, told) in LOOKS.items()
             if states[name]]  # fmt: skip
    counts = ", ".join(f"{n} {told} ({colour})" for n, told, colour in there)
    scored = any(known(row.get("score")) for row in trace)
    more = " Point at one for the score by which it was judged." if scored else ""
    what = "Parts" if any(row.get("kind") == "part" for row in trace) else "Tokens"
    return f"{what}: {counts}.{more}"


def tree_text(trace: Sequence[Row]) -> str:
    """Return the steps of a search as lines, each below the step that it goes on from."""
    below: dict[int | None, list[Row]] = {}
    for row in trace:
        below.setdefault(row["parent"] if known(row["parent"]) else None, []).append(row)
    lines: list[str] = []
    # A stack, for a search may be deeper than calls within calls go.
    left = [(row, 0) for row in reversed(below.get(None, []))]
    while left:
        row, depth = left.pop()
        mark = "+" if row["state"] == "kept" else "-"
        text = " ".join(str(row["text"]).split())
        lines.append(f"{mark} {number(row.get('score'), '{:.3f}')} {'  ' * depth}{text}")
        left += [(child, depth + 1) for child in reversed(below.get(row["place"], []))]
    return "\n".join(lines)


def rounds(trace: Sequence[Row]) -> list[tuple[str, str]]:
    """Return each round with its text: a revision as its difference to the draft before it."""
    told, draft = list[tuple[str, str]](), ""
    for row in trace:
        text = str(row["text"])
        is_revision = row["state"] == "revision"
        told.append((str(row["state"]), difference(draft, text) if is_revision else text))
        draft = draft if row["state"] == "critique" else text
    return told
