"""Prepared frames of a few scenes, in several shards."""

from dataclasses import replace
from pathlib import Path

from policies.training.dataset import Frames
from policies.training.streaming.blocks import one_scene_each
from policies.training.streaming.prepare import inputs_of
from policies.training.streaming.shards import FramesIndex, Store

from ..discs import small_network, some_frames


def frames_of_scenes(count: int) -> Frames:
    """Frames of which every five are of a scene of their own."""
    frames = some_frames(count)
    return replace(frames, scenes=tuple(f"scene-{row // 5}" for row in range(count)))


def write(address: str | Path, frames: Frames, shards: int) -> Store:
    """Writes frames as shards of equally many scenes."""
    store, network = Store(address), small_network()
    names = list(dict.fromkeys(frames.scenes))
    size = -(-len(names) // shards)
    said = {}
    for number in range(shards):
        own = set(names[number * size : (number + 1) * size])
        part = frames.select([row for row, scene in enumerate(frames.scenes) if scene in own])
        said[f"{number:05d}"] = store.write_shard(f"{number:05d}", one_scene_each(part))
    images, geometry, actions, goals = frames.at(frames.goals[:1, 0, 0].long() * 0)
    shapes = {
        "images": list(images.shape[1:]), "geometry": list(geometry.shape[1:]), "actions": list(actions.shape[1:]),
        "goals": list(goals.shape[1:]),
    }  # fmt: skip
    store.write_index(FramesIndex(shapes, inputs_of(network), {"made": "in a test"}, shards, said))
    return store
