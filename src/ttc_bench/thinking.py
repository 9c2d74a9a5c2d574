"""Reasoning that a model writes into its text, in every marking that chat templates use.

Hidden reasoning is no answer: it is neither graded nor voted. Hosted engines get it in a field of
its own; models that run by themselves write it between markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_NAMES = r"(?:seed:)?think|thinking|thoughts?|reasoning"
_FINAL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>|<\|(?:return|end)\|>\s*\Z"
)
"""What the Harmony format (gpt-oss) writes around an answer."""

_TAG = re.compile(
    rf"""
    # A marker in quotes is talked about.
    (?<![`"'])(?:
    <(?P<xml>{_NAMES})>            | </(?P<xml_end>{_NAMES})>
    | \[(?P<mistral>THINK)\]       | \[/(?P<mistral_end>THINK)\]
    | \u25c1(?P<kimi>think)\u25b7  | \u25c1/(?P<kimi_end>think)\u25b7
    | <\|(?P<sky>begin_of_thought)\|>   | <\|(?P<sky_end>end_of_thought)\|>
    | <\|(?P<cohere>START_THINKING)\|>  | <\|(?P<cohere_end>END_THINKING)\|>
    | (?:<\|start\|>assistant)?<\|channel\|>(?P<harmony>analysis|commentary)[^<]*<\|message\|>
    | (?P<harmony_end><\|end\|>)
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CLOSING = {
    "xml": "</{}>",
    "mistral": "[/THINK]",
    "kimi": "\u25c1/think\u25b7",
    "sky": "<|end_of_thought|>",
    "cohere": "<|END_THINKING|>",
    "harmony": "<|end|><|start|>assistant<|channel|>final<|message|>",
}

_HARMONY = frozenset({"<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"})


class Thought(NamedTuple):
    """A text, its reasoning apart.

    Attributes:
        answer: What is left: the text itself, byte for byte, if it marks no reasoning.
        reasoning: What stands between the markers; ``None`` if there are none.
        closing: What would close a block that is still open.
    """

    answer: str
    reasoning: str | None = None
    closing: str | None = None


def split_thinking(text: str) -> Thought:
    """Return a text with its reasoning apart.

    An open block runs to the end of the text. What stands before an end without a beginning is
    reasoning too: many chat templates write the beginning into the prompt.

    Args:
        text: What the model wrote.
    """
    visible, hidden, at = list[str](), list[str](), 0
    family, closing = None, None
    for tag in _TAG.finditer(text):
        group = str(tag.lastgroup)
        part = text[at : tag.start()]
        if family is None and not group.endswith("_end"):
            visible.append(part)
            family, closing = group, _CLOSING[group].format(tag[group])
        elif family is None and group != "harmony_end":
            hidden, visible = [*hidden, *visible, part], []
        elif group == f"{family}_end":
            hidden.append(part)
            family, closing = None, None
        else:
            continue
        at = tag.end()
    if not at:
        return Thought(text)
    (visible if family is None else hidden).append(text[at:])
    answer = _FINAL.sub("", "".join(visible)).strip()
    return Thought(answer, "\n".join(filter(None, map(str.strip, hidden))), closing)


def marker_texts(special: Iterable[str]) -> frozenset[str]:
    """Return those texts of a tokenizer's special tokens that mark reasoning.

    A decoder that leaves special tokens out would make one text of reasoning and answer.

    Args:
        special: Texts of all special tokens.
    """
    texts = frozenset(special)
    markers = {text for text in texts if _TAG.fullmatch(text)} - _HARMONY
    # Other models end their turns by tokens of the same names.
    return frozenset(markers | (_HARMONY & texts if "<|channel|>" in texts else set()))
