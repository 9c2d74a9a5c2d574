"""Reasoning that a model writes into its text, in every marking that chat templates use.

Hidden reasoning is no answer: it is neither graded nor voted. Hosted engines get it in a field of
its own; models that run by themselves write it between markers.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_NAMES = r"(?:seed:)?think|thinking|thoughts?|reasoning|scratchpad"
_ADDRESS = r"(?:[^<]|<\|constrain\|>)*"
"""What Harmony may say of a message before it begins: whom it goes to, and its format."""

_VISIBLE = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>final"
    + _ADDRESS
    + r"<\|message\|>|<\|(?:return|end)\|>\s*\Z"
    r"|<\|(?:START|END)_RESPONSE\|>|<\|(?:begin|end)_of_solution\|>",
    re.IGNORECASE,
)
"""What the formats of gpt-oss (Harmony), Cohere and Sky-T1 write around an answer."""

_TAG = re.compile(
    rf"""
    # A marker in quotes is talked about.
    (?<![`"'\u201c\u2018])(?:
    <(?P<xml>{_NAMES})>            | </(?P<xml_end>{_NAMES})>
    | \[(?P<mistral>THINK)\]       | \[/(?P<mistral_end>THINK)\]
    | \u25c1(?P<kimi>think)\u25b7  | \u25c1/(?P<kimi_end>think)\u25b7
    | <\|(?P<sky>begin_of_thought)\|>   | <\|(?P<sky_end>end_of_thought)\|>
    | <\|(?P<cohere>START_THINKING)\|>  | <\|(?P<cohere_end>END_THINKING)\|>
    | <\|(?P<apertus>inner_prefix)\|>   | <\|(?P<apertus_end>inner_suffix)\|>
    | <\|(?P<gemma>channel)>thought\b   | <(?P<gemma_end>channel)\|>
    | <(?P<med>unused94)>(?:thought\b)? | <(?P<med_end>unused95)>
    | (?:<\|start\|>assistant)?<\|channel\|>(?P<harmony>analysis|commentary){_ADDRESS}<\|message\|>
    | (?P<harmony_end><\|end\|>)
    # gpt-oss where its server left the special tokens out
    | \A\s*(?P<bare>analysis)(?=(?s:.)*assistantfinal) | (?P<bare_end>assistantfinal)
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SIGN = re.compile(r"[<\[\u25c1]|assistantfinal", re.IGNORECASE)
"""What stands in every text that has a marker: most have none, and this is found five times as fast
as the markers are."""

_CLOSING = {
    "xml": "</{}>",
    "mistral": "[/THINK]",
    "kimi": "\u25c1/think\u25b7",
    "sky": "<|end_of_thought|>",
    "cohere": "<|END_THINKING|>",
    "apertus": "<|inner_suffix|>",
    "gemma": "<channel|>",
    "med": "<unused95>",
    "harmony": "<|end|><|start|>assistant<|channel|>final<|message|>",
    "bare": "assistantfinal",
}
_NEVER_ALONE = ("harmony_end", "bare_end", "gemma_end")
"""Ends that mean nothing where their block did not begin."""

_HARMONY = frozenset({"<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"})
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_GOES_ON = re.compile(r"[ \t]+[a-z]|[,.;:)]")
"""How a sentence goes on behind a marker that it talks about."""

_SAID_OF = re.compile(
    r"[ \t]+(?:is|are|was|were|tags?|tokens?|markers?|blocks?|sections?|elements?|and|or|opens?"
    r"|starts?|begins?|marks?|means|denotes|stands|must|should|may|can)\b|[,;:)]|\.(?!\.)"
)
"""How a sentence goes on that begins with a marker, as reasoning hardly does."""

_FILLED = re.compile(r"\S")


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


@dataclass(frozen=True)
class Block:
    """A part of a text that is reasoning, as offsets into the text.

    Attributes:
        start: Where its opening marker begins, or the text where that stood in the prompt.
        inner: Where the reasoning begins.
        until: Where it ends.
        end: Where its closing marker ends.
        closing: What would close it, if it is still open.
    """

    start: int
    inner: int
    until: int
    end: int
    closing: str | None = None

    @property
    def is_alone(self) -> bool:
        """Whether it is an end marker that ends nothing, within a text."""
        return 0 < self.start == self.until


def split_thinking(text: str) -> Thought:
    """Return a text with its reasoning apart; see `thinking_blocks`.

    Args:
        text: What the model wrote.
    """
    blocks = thinking_blocks(text)
    if not blocks:
        return Thought(text)
    edges = [0, *(edge for block in blocks for edge in (block.start, block.end)), len(text)]
    breaks = ["\n" if block.is_alone else "" for block in blocks]
    parts = zip(edges[::2], edges[1::2], [*breaks, ""], strict=True)
    shown = "".join(text[a:b] + line_end for a, b, line_end in parts)
    hidden = (text[block.inner : block.until].strip() for block in blocks)
    return Thought(
        _VISIBLE.sub("", shown).strip(), "\n".join(filter(None, hidden)), blocks[-1].closing
    )


def thinking_blocks(text: str) -> list[Block]:
    """Return the parts of a text that are reasoning, in their order.

    An open block runs to the end of the text. What stands before an end without a beginning is
    reasoning too: many chat templates write the beginning into the prompt. Behind that, one more
    end is a block of nothing, unless it ends a block around the last one. A marker that a sentence
    or a listing talks about is none.

    Args:
        text: What the model wrote.
    """
    if not _SIGN.search(text):
        return []
    blocks, family, opening, nested = list[Block](), None, None, 0
    tags = list(_TAG.finditer(text))
    ends, fences = _next_ends(tags), [fence.start() for fence in _FENCE.finditer(text)]
    for place, tag in enumerate(tags):
        group = str(tag.lastgroup)
        if family is None and not group.endswith("_end"):
            in_listing = bisect_left(fences, tag.start()) % 2 == 1
            if not in_listing and not _is_talked_about(text, tag, ends[place]):
                family, opening, nested = group, tag, 0
        elif family is None and group not in _NEVER_ALONE:
            after = blocks[-1].end if blocks else 0
            if not (_within_line(text, tag, after) and _GOES_ON.match(text, tag.end())):
                is_more = nested > 0 and _FILLED.search(text, tag.end())
                start = after if is_more or not blocks else tag.start()
                blocks.append(Block(start, start, tag.start(), tag.end()))
                nested -= 1
        elif group == family:
            nested += 1
        elif opening is not None and group == f"{family}_end":
            blocks.append(Block(opening.start(), opening.end(), tag.start(), tag.end()))
            family, opening = None, None
    if opening is not None and family is not None:
        closing = _CLOSING[family].format(opening[family])
        blocks.append(Block(opening.start(), opening.end(), len(text), len(text), closing))
    return _with_final_turns(text, blocks)


def opening_at_end(text: str) -> str:
    """Return the beginning of a block with which a text ends, blanks included; else nothing."""
    tags = list(_TAG.finditer(text))
    if not tags or str(tags[-1].lastgroup).endswith("_end") or text[tags[-1].end() :].strip():
        return ""
    return text[tags[-1].start() :]


def answer_start(text: str, blocks: Sequence[Block], after: int = 0) -> int | None:
    """Return where the first letter of the answer stands; ``None`` if all is reasoning.

    Args:
        text: What the model wrote.
        blocks: Its parts that are reasoning.
        after: Where to begin to look.
    """
    at = after
    for block in (*blocks, Block(len(text), 0, 0, len(text))):
        shown = text[at : block.start]
        if shown.strip():
            return at + len(shown) - len(shown.lstrip())
        at = max(block.end, after)
    return None


def _with_final_turns(text: str, blocks: list[Block]) -> list[Block]:
    """Return blocks, or an empty one where a text only says that its answer begins (Harmony)."""
    if blocks or not (final := _VISIBLE.match(text)):
        return blocks
    return [Block(0, final.end(), final.end(), final.end())]


def _within_line(text: str, tag: re.Match[str], after: int = 0) -> bool:
    """Return whether something stands before a marker in its line, behind a place."""
    start = max(text.rfind("\n", after, tag.start()) + 1, after)
    return _FILLED.search(text, start, tag.start()) is not None


def _next_ends(tags: Sequence[re.Match[str]]) -> list[re.Match[str] | None]:
    """Return for each marker the next one that would end it, in one pass from the last."""
    later: dict[str, re.Match[str]] = {}
    ends: list[re.Match[str] | None] = []
    for tag in reversed(tags):
        ends.append(later.get(f"{tag.lastgroup}_end"))
        later[str(tag.lastgroup)] = tag
    return ends[::-1]


def _is_talked_about(text: str, tag: re.Match[str], end: re.Match[str] | None) -> bool:
    """Return whether a beginning is only mentioned: in a line, and never ended as a block is."""
    if not (_within_line(text, tag) or _SAID_OF.match(text, tag.end())):
        return False
    return end is None or bool(_GOES_ON.match(text, end.end()))


def marker_texts(special: Iterable[str]) -> frozenset[str]:
    """Return those texts of a tokenizer's special tokens that mark reasoning.

    A decoder that leaves special tokens out would make one text of reasoning and answer.

    Args:
        special: Texts of all special tokens.
    """
    texts = frozenset(special)
    markers = {text for text in texts if _TAG.fullmatch(text)} - _HARMONY
    # Other models end their turns by tokens of the same names.
    parts = _HARMONY if "<|channel|>" in texts else {"<|channel>"}
    return frozenset(markers | (parts & texts))
