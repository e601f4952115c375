import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.training.streaming.order import Piece, ShuffleBuffer, read_order

shards = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=6)


def frames_of(pieces: list[Piece]) -> list[tuple[int, int, int]]:
    return [(p.shard, p.block, row) for p in pieces for row in range(p.first, p.first + p.count)]


@given(shards, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_processes_read_equally_many_frames_of_their_own(
    shards: list[list[int]], processes: int, together: int, epoch: int
) -> None:
    parts = [frames_of(read_order(shards, 1, epoch, each, processes, together)) for each in range(processes)]
    frames = [frame for part in parts for frame in part]
    assert len(set(map(len, parts))) == 1
    assert len(set(frames)) == len(frames)
    assert 0 <= sum(map(sum, shards)) - len(frames) < processes


def test_a_process_shares_at_most_its_first_and_last_shard() -> None:
    shards = [[8, 8, 8]] * 20
    for process in range(3):
        own = {piece.shard for piece in read_order(shards, 0, 0, process, 3, 4)}
        shared = own & {
            piece.shard
            for other in range(3)
            if other != process
            for piece in read_order(shards, 0, 0, other, 3, 4)
        }
        assert len(shared) <= 2
        assert len(own) <= 8


def test_a_few_shards_are_read_in_turn_in_an_order_of_the_epoch_s_own() -> None:
    shards = [[4] * 6] * 12
    order = [piece.shard for piece in read_order(shards, 0, 0, 0, 1, 3)]
    assert len(set(order[:18])) == 3
    assert order[:3] == order[3:6]
    assert order == [piece.shard for piece in read_order(shards, 0, 0, 0, 1, 3)]
    assert order != [piece.shard for piece in read_order(shards, 0, 1, 0, 1, 3)]
    assert len(set(order[:3])) == 3
    assert len({piece.shard for piece in read_order(shards, 0, 0, 0, 1, 1)[:6]}) == 1


@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2))
def test_every_frame_is_drawn_once(count: int, capacity: int, batch: int, epoch: int) -> None:
    buffer = ShuffleBuffer(count, capacity, 0, epoch, 0)
    drawn: list[int] = []
    sizes = []
    while True:
        places = buffer.places.copy()
        slots, fresh = buffer.draw(batch)
        if not len(slots):
            break
        assert fresh <= len(slots)
        assert max(places[slots]) < max(buffer.read, 1)
        drawn += places[slots].tolist()
        sizes.append(len(slots))
    assert sorted(drawn) == list(range(count))
    if capacity >= batch:
        assert set(sizes[:-1]) <= {batch}


@pytest.mark.parametrize(("capacity", "mixed"), [(1000, 0.25), (8, 0.02)])
def test_the_larger_the_buffer_the_further_frames_are_moved(capacity: int, mixed: float) -> None:
    """Of 1,000 frames in random order, the mean distance from where they were is a third of them."""
    buffer = ShuffleBuffer(1000, capacity, 0, 0, 0)
    drawn: list[int] = []
    while len(drawn) < 1000:
        places = buffer.places.copy()
        slots, _ = buffer.draw(8)
        drawn += places[slots].tolist()
    moved = np.abs(np.array(drawn) - np.arange(1000)).mean() / 1000
    assert moved > mixed if capacity == 1000 else moved < mixed
