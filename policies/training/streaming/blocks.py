"""Blocks: frames of one scene that are read in one request, a few hundred of them."""

from __future__ import annotations

from collections.abc import Iterator

from ..dataset import Frames, concatenate

BLOCK_FRAMES = 256


def blocks_of(parts: Iterator[Frames]) -> Iterator[Frames]:
    """Joins episodes that follow each other, of one scene, to blocks of at least `BLOCK_FRAMES`, where there are."""
    held: list[Frames] = []
    for part in parts:
        if held and (held[0].scenes[0] != part.scenes[0] or sum(map(len, held)) >= BLOCK_FRAMES):
            yield concatenate(held)
            held = []
        held.append(part)
    if held:
        yield concatenate(held)


def one_scene_each(frames: Frames) -> Iterator[Frames]:
    """Cuts frames of scenes in any order to blocks of one scene each."""
    rows: dict[str, list[int]] = {}
    for row, scene in enumerate(frames.scenes):
        rows.setdefault(scene, []).append(row)
    for of_scene in rows.values():
        for first in range(0, len(of_scene), BLOCK_FRAMES):
            yield frames.select(of_scene[first : first + BLOCK_FRAMES])
