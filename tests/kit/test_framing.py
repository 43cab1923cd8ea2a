from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trio_moon.kit.framing import ETX, FrameSplitter

frames = st.lists(st.binary(max_size=40).map(lambda data: data.replace(ETX, b"")), max_size=8)


@given(frames, st.lists(st.integers(1, 30)))
def test_frames_are_the_same_however_the_bytes_are_split(sent: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frame + ETX for frame in sent)
    splitter = FrameSplitter(1000)
    got: list[bytes] = []
    for size in cuts:
        got += splitter.feed(data[:size])
        data = data[size:]
    got += splitter.feed(data)
    assert got == sent
    assert splitter.pending_bytes == 0


@given(frames, st.integers(1, 30))
def test_a_frame_above_the_limit_is_dropped_and_counted_and_nothing_else(sent: list[bytes], step: int) -> None:
    data = b"".join(frame + ETX for frame in sent)
    splitter = FrameSplitter(limit=10)
    got = [frame for at in range(0, len(data), step) for frame in splitter.feed(data[at : at + step])]
    assert got == [frame for frame in sent if len(frame) <= 10]
    assert splitter.oversized == sum(len(frame) > 10 for frame in sent)


def test_an_endless_frame_is_not_kept() -> None:
    splitter = FrameSplitter(limit=100)
    for _ in range(1000):
        assert splitter.feed(b"x" * 100) == []
    assert splitter.feed(ETX + b"ok" + ETX) == [b"ok"]
    assert splitter.oversized == 1
