"""A data card, README.md of a dataset: what it holds, how it was made and what it must not be taken for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..minari import DatasetSummary
from .features import ACTION, HAND_GREY, MASKS, OBJECT_GREY, RGB, SENTENCES, STATE

MEANINGS = {
    RGB: "the hand-eye camera's image, background black",
    MASKS: f"grey, lossless: object {OBJECT_GREY}, hand {HAND_GREY}, neither 0",
    STATE: "the camera's pose relative to the episode's first frame: position, m, and quaternion wxyz",
    ACTION: "the expert's answer there: extrinsic xyz Euler angles, rad, and translation, m, of one step in the "
    "camera's frame, and a grasp score; where noise was executed, the next pose differs from it",
    "camera_from_goal": "privileged: the pose in which the task ends, seen from the camera; m and wxyz",
    "clearance_m": "privileged: from the gripper to hand and object, m",
    "next.reward": "1 at the last frame of a success, else 0",
    "next.success": "whether the episode ended there, and well",
    "next.done": "whether the episode ended there",
    "timestamp": "s; demonstrations have no clock, so frames are evenly spaced",
    "frame_index": "in the episode",
    "episode_index": "in the dataset",
    "index": "of the frame in the dataset",
    "task_index": "in meta/tasks.parquet",
}
CARD = """---
task_categories:
- robotics
tags:
- LeRobot
- handover
configs:
- config_name: default
  data_files: data/*/*.parquet
---
# Human-to-robot handovers

{sentence}

{episodes} episodes, {frames} frames at {fps} frames per second, {height} x {width} px; {successes} of {episodes}
episodes end in a success. Simulated: the images are rendered from Gaussian Splatting scenes, and an expert that sees
the scene acts. Features that are called privileged are not to be had on a robot; do not train on them what is to act
there.

| feature | what it is |
|---|---|
{rows}

## How it was made

`python -m experts.collect`, then `python -m h2rh_env.datasets.lerobot`, with

```json
{provenance}
```

`meta/h2rh.json` names the scene and the seed of each episode.
"""


def data_card(summary: DatasetSummary, frames: int, fps: int, origins: Sequence[Mapping[str, Any]]) -> str:
    """Returns the text of the card.

    Args:
        summary: of the demonstrations that were exported.
        frames: how many there are.
        origins: each episode's scene and reward.
    """
    scenes = sorted({origin["scene"] for origin in origins})
    return CARD.format(
        sentence=SENTENCES[summary.task],
        episodes=summary.episodes,
        frames=frames,
        fps=fps,
        height=summary.height,
        width=summary.width,
        successes=sum(origin["reward"] > 0 for origin in origins),
        rows="\n".join(f"| `{key}` | {meaning} |" for key, meaning in MEANINGS.items()),
        provenance=json.dumps({"scenes of the episodes": scenes} | summary.provenance, indent=1),
    )
