"""Server-sent events, from bytes as they arrive (WHATWG HTML, section 9.2)."""

from __future__ import annotations


class EventReader:
    """Cuts a byte stream into the data of its events; chunks may break anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that ``chunk`` completes."""
        if not self._rest and not self._data:
            plain = _plain(chunk)
            if plain is not None:
                return plain
        # A trailing "\r" may be half of "\r\n": it waits for the next chunk.
        whole = self._rest + chunk
        if b"\r" in whole:
            rest = b"\r" if whole.endswith(b"\r") else b""
            body = whole[: len(whole) - len(rest)]
            whole = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + rest
        *lines, self._rest = whole.split(b"\n")
        done = []
        for line in lines:
            if not line:
                if self._data:
                    done.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            # Comments (": ping") and the other fields carry nothing that is used here.
        return done


def _plain(chunk: bytes) -> list[bytes] | None:
    """Return the data of a chunk of whole events of one ``data: `` line each, or ``None``.

    It is what servers send as a rule, and takes half the time.
    """
    if not (chunk.startswith(b"data: ") and chunk.endswith(b"\n\n")) or b"\r" in chunk:
        return None
    events = chunk[6:-2].split(b"\n\ndata: ")
    return events if chunk.count(b"\n") == 2 * len(events) else None
