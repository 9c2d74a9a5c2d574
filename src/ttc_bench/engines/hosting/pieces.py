"""Text that comes in pieces, from servers that send parts and from those that send all so far."""

from __future__ import annotations

_SIGNS = 3
"""Different signs from which a piece that begins with all before it is no chance: 1, 10 may be."""


class Pieces(list[str]):
    """The parts of a text in their order, whatever the server sends.

    Most servers send what is new. Some send all of the text so far in every event, which would
    double it: each of their pieces begins with the one before.

    Attributes:
        grows: Whether every piece holds all before it; ``None`` while that is not told.
        length: Characters of the text so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grows: bool | None = None
        self.length = 0
        self._last = ""
        self._steps = 0

    def take(self, piece: str) -> str:
        """Take in a piece that is not empty, and return what is new in it."""
        goes_on = piece.startswith(self._last)
        if self.grows is None and self:
            self._steps += goes_on and piece != self._last
            is_told = self._steps > 1 and len(set(piece)) >= _SIGNS
            self.grows = False if not goes_on else True if is_told else None
            if self.grows:
                self[:] = [self._last]
        if not self.grows:
            self._last = piece
            self.append(piece)
            self.length += len(piece)
            return piece
        if not goes_on and self._last.startswith(piece):
            return ""
        if not goes_on:
            self.clear()  # What came before was taken back.
        new = piece[len(self._last) :] if goes_on else piece
        self._last, self.length = piece, len(piece)
        if new:
            self.append(new)
        return new

    def settle(self, others_grow: bool | None) -> bool:
        """Keep the text once, now that no more comes; return whether it is clear which it is.

        Args:
            others_grow: What the same server's other texts told, if any did.
        """
        if self.grows is not None or len(self) < 2 or others_grow is False:
            return True
        if others_grow or len(set(self._last)) >= _SIGNS:
            self[:] = [self._last]
            return True
        return not self._steps
