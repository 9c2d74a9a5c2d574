"""Tables as text: what a cell says, and cells in columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.types import DataFrame

GAP = "  "
"""What stands between two columns."""


_FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")
"""What a cell begins with that some spreadsheet computes, or that `as_text` has marked: signs of
full width count where the keyboard is an East Asian one."""

_FIGURE = re.compile(r"[+-]?[\d.]")
"""What a figure begins with, whatever unit or interval comes behind."""


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Attributes:
        headings: Names of the columns.
        rows: One list of cells per row.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    @cached_property
    def numeric(self) -> Sequence[bool]:
        """Whether each column holds figures, which stand flush right."""
        return [
            any(_FIGURE.match(cell) for cell in column)
            and all(_FIGURE.match(cell) or cell in ("-", "") for cell in column)
            for column in zip(*self.rows, strict=True)
        ] or [False] * len(self.headings)

    def telling(self) -> Sheet:
        """Return it without the columns that tell nothing: all unknown, or all 0."""
        told = [
            number
            for number, column in enumerate(zip(*self.rows, strict=True))
            if set(column) - {"-", "", "0"}
        ]
        return Sheet(
            [self.headings[n] for n in told], [[row[n] for n in told] for row in self.rows]
        )

    def aligned(self, left: Collection[str]) -> str:
        """Return lines of aligned columns, the headings over a rule.

        Args:
            left: Headings of the columns that are flush left.
        """
        cells = [self.headings, *self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            GAP.join(
                cell.ljust(width) if name in left else cell.rjust(width)
                for name, cell, width in zip(self.headings, row, widths, strict=True)
            ).rstrip()
            for row in cells
        ]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


NO_TERMINAL = (100, 24)
"""Columns and lines of what a run prints to where there is no terminal, as a pipe or a log."""


def wrapped(line: str, width: int | None, indent: str = "") -> str:
    """Return a sentence in lines of at most ``width`` characters; ``None`` leaves it whole.

    Args:
        line: The sentence.
        width: Most characters of a line.
        indent: What the lines behind the first one begin with.
    """
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def plain_sheet(table: DataFrame) -> Sheet:
    """Return a table as it is, its numbers to four figures."""
    rows = [[cell(value) for value in row.values()] for row in row_dicts(table)]
    return Sheet([str(name) for name in table.columns], rows)


def known(value: Any) -> bool:
    """Return whether there is a value: neither None nor NaN nor NA."""
    import pandas as pd

    return bool(pd.notna(value))


def number(value: Any, form: str = "{:.4g}", factor: float = 1.0) -> str:
    """Return a number times a factor as text; what is not known is a dash."""
    return form.format(value * factor) if known(value) else "-"


def cell(value: Any) -> str:
    """Return a value as text, fractions to four figures; what is not known is a dash."""
    import numbers

    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return number(float(value))
    return str(value) if known(value) else "-"


def counted_as(n: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``1 question`` and ``2 questions``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def as_text(cell: str) -> str:
    """Return a cell that a spreadsheet shows as it is, whatever it begins with.

    An apostrophe before ``=``, ``+``, ``-``, ``@``, a tab or a line break keeps it from being
    computed (OWASP, "CSV injection"); `from_text` takes it away again.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def from_text(cell: str) -> str:
    """Return what `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(table: DataFrame, **options: Any) -> str:
    """Return a table as CSV of which no spreadsheet computes a text; numbers are as they are.

    Args:
        table: The table; its index is left out.
        options: Those of pandas' ``to_csv``.
    """
    import pandas as pd

    def guarded(column: Any) -> Any:
        if pd.api.types.is_numeric_dtype(column):
            return column
        return column.map(lambda value: as_text(value) if isinstance(value, str) else value)

    headings = [as_text(str(name)) for name in table.columns]
    text: str = table.apply(guarded).set_axis(headings, axis=1).to_csv(index=False, **options)
    return text
