"""Server-sent events, from bytes as they arrive (WHATWG HTML, section 9.2).

A server that is asked for a stream may answer with one JSON object all the same, or name its
stream by another content type: what comes decides, not its name.
"""

from __future__ import annotations

import json

from ttc_bench.engines.hosting.failures import no_stream, too_long

LONGEST, LONGEST_PAGE = 16 * 2**20, 65536
"""Bytes that no event is longer than, and after which what is no event and no JSON is a page."""


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
        if len(whole) > LONGEST:
            raise too_long()
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

    def rest(self) -> list[bytes]:
        """Return the data of a last event whose end is missing, if it is a whole object."""
        last = self._rest.strip().removeprefix(b"data:").strip()
        whole = b"\n".join([*self._data, last] if last else self._data)
        self._rest, self._data = b"", []
        return [whole] if whole.startswith(b"{") and _is_whole(whole) else []


def _is_whole(data: bytes) -> bool:
    """Return whether what stands at the end of a body is no part of an event that was cut off."""
    if data.endswith(b"[DONE]") or b"\n" in data:
        return data.endswith((b"}", b"[DONE]"))
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _plain(chunk: bytes) -> list[bytes] | None:
    """Return the data of a chunk of whole events of one ``data: `` line each, or ``None``.

    It is what servers send as a rule, and takes half the time.
    """
    if not (chunk.startswith(b"data: ") and chunk.endswith(b"\n\n")) or b"\r" in chunk:
        return None
    events = chunk[6:-2].split(b"\n\ndata: ")
    return events if chunk.count(b"\n") == 2 * len(events) else None


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class BodyReader:
    """Reads a body by what it begins with: events, a JSON object, or JSON line by line.

    Args:
        content_type: What its server calls it, for the message if it is neither.
    """

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self._events: EventReader | None = None
        self._whole = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that ``chunk`` completes.

        Raises:
            TryError: If it can only be a page, or has no end.
        """
        if self._events is not None:
            return self._events.feed(chunk)
        self._whole += chunk
        if len(self._whole) > LONGEST:
            raise too_long()
        start = self._start()
        is_json = start.startswith((b"{", b"["))
        is_told = self._content_type == "text/event-stream" and not is_json
        if not is_told and not start.startswith(_FIELDS):
            if len(start) > LONGEST_PAGE and not is_json:
                raise no_stream(self._content_type, start[:LONGEST_PAGE].decode(errors="replace"))
            return []
        self._events = EventReader()
        return self._events.feed(start)

    def rest(self) -> list[bytes]:
        """Return what is left at the end of the body: its objects, if it was no event stream.

        Raises:
            TryError: If it was something else.
        """
        if self._events is not None:
            return self._events.rest()
        start = self._start()
        if not start:
            return []
        if start.startswith(b"{"):
            return _objects(start)
        if start.startswith(b"[") and (listed := _listed(start)):
            return listed
        raise no_stream(self._content_type, start.decode(errors="replace"))

    def _start(self) -> bytes:
        return self._whole.removeprefix(_BYTE_ORDER_MARK).lstrip()


def _listed(body: bytes) -> list[bytes]:
    """Return the objects of a JSON array, if it is one of objects alone."""
    try:
        values = json.loads(body)
    except ValueError:
        return []
    are_objects = all(isinstance(value, dict) for value in values)
    return [json.dumps(value).encode() for value in values] if are_objects else []


def _objects(body: bytes) -> list[bytes]:
    """Return a JSON body as one object, or as its lines where each of them is one."""
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    is_by_line = len(lines) > 1 and all(a[:1] == b"{" and a[-1:] == b"}" for a in lines)
    return lines if is_by_line else [body]
