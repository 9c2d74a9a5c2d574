"""Event streams are read the same however the network cuts them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.engines.hosting.sse import EventReader

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
EVENTS = st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=6)


def parsed(chunks: list[bytes]) -> list[bytes]:
    reader = EventReader()
    return [data for chunk in chunks for data in reader.feed(chunk)]


@given(EVENTS, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["data: ", "data:"]), st.data())
def test_data_is_the_same_however_it_is_cut(
    events: list[list[str]], end: str, field: str, data: st.DataObject
) -> None:
    if field == "data:":  # One space after the colon belongs to the field.
        events = [[line.lstrip(" ") for line in event] for event in events]
    blocks = ["".join(f"{field}{line}{end}" for line in event) + end for event in events]
    noise = data.draw(st.sampled_from(["", f": ping{end}{end}", f"event: any{end}"]))
    stream = noise.join(blocks).encode()
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))
    cuts = [0, *sorted(places), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(cuts)]
    assert parsed(chunks) == ["\n".join(event).encode() for event in events]
    assert parsed([block.encode() for block in blocks]) == parsed([stream])


def test_an_event_is_complete_at_its_blank_line() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\n\ndata: b\n\n") == [b"a", b"b"]
    assert reader.feed(b"data: c\n") == []
    assert reader.feed(b"\n") == [b"c"]
    assert reader.feed(b"data: d\ndata: e\n\n") == [b"d\ne"]
