"""Rollouts: many episodes of a network at once, judged as in evaluation, and labelled by an expert for DAgger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.core.action import decode_action
from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.geometry import SE3
from h2rh_env.core.spaces import action_space
from h2rh_env.core.task import CLEARANCE_M, GRASP_SCORE_THRESHOLD, MAX_EPISODE_STEPS
from h2rh_env.scenes.handover_scene import HandoverScene

from ..networks.base import HandoverNetwork
from ..tracking.tracker import Tracker
from .dataset import Frames, concatenate
from .validation import Outcome, outcome_of

Images = npt.NDArray[np.uint8]
Observe = Callable[[Sequence[HandoverScene], Sequence[SE3]], tuple[Images, Images]]
Label = Callable[[HandoverScene, SE3], tuple[npt.NDArray[np.float32], SE3]]

HELD_FRAMES = 3  # a declared episode is labelled until the expert too has called this many frames arrived


@dataclass
class _Episode:
    scene: HandoverScene
    seed: int
    scene_from_camera: SE3
    tracker: Tracker
    path: list[npt.NDArray[np.float64]] = field(default_factory=list)
    actions: list[npt.NDArray[np.float32]] = field(default_factory=list)
    end_mask: npt.NDArray[np.bool_] | None = None
    declared: bool = False
    held: int = 0
    steps: int = 0


def roll_out(
    network: HandoverNetwork,
    initial_poses: Sequence[tuple[HandoverScene, SE3, int]],
    observe: Observe,
    label: Label | None = None,
    progress: Callable[[int], None] = lambda episodes: None,
    together: int = 128,
) -> tuple[list[Outcome], Frames | None]:
    """Runs an episode of at most 30 steps from each initial pose.

    Args:
        initial_poses: scene, scene_from_camera and seed of each episode.
        observe: renders rgb (B, H, W, 3) and masks (B, H, W, 2) of scenes from poses.
        label: the expert's action at a pose, and the pre-grasp pose as `camera_from_goal`. With it, every visited
            frame is kept with that label, and an episode goes on after the network declares, until the expert
            too has found it arrived a few times. It ends when Eq. 14 is broken.
        progress: called with the number of episodes done.
        together: episodes rendered in one batch.

    Returns:
        An outcome for each initial pose, and the labelled frames (None without `label`).
    """
    outcomes: list[Outcome] = []
    parts: list[Frames] = []
    for first in range(0, len(initial_poses), together):
        episodes = [
            _Episode(scene, seed, pose, Tracker(network.config))
            for scene, pose, seed in initial_poses[first : first + together]
        ]
        parts += _run(network, episodes, observe, label)
        outcomes += [_outcome(episode) for episode in episodes]
        progress(len(episodes))
    return outcomes, concatenate(parts) if label else None


@torch.inference_mode()
def _run(
    network: HandoverNetwork, episodes: list[_Episode], observe: Observe, label: Label | None
) -> list[Frames]:
    network.eval()
    limits = action_space()
    parts: list[Frames] = []
    alive = episodes
    while alive:
        rgb, masks = observe([e.scene for e in alive], [e.scene_from_camera for e in alive])
        views = zip(alive, rgb, masks, strict=True)
        seen = [e.tracker.see(frame, mask, e.scene_from_camera) for e, frame, mask in views]
        images, geometry = network.preprocess(seen)
        actions = np.clip(
            network.act(images.float() / 255, geometry, seen),
            limits.low,
            limits.high,
        )
        if label:
            answers, goals = zip(*(label(e.scene, e.scene_from_camera) for e in alive), strict=True)
            labels = torch.from_numpy(np.stack(answers))
            poses = torch.from_numpy(np.stack([goal.matrix[:3] for goal in goals]).astype(np.float32))
            parts.append(Frames(images, geometry, labels, poses, tuple(e.scene.name for e in alive)))
            for episode, answer in zip(alive, answers, strict=True):
                episode.held += bool(answer[6] >= GRASP_SCORE_THRESHOLD)
        for episode, action, mask in zip(alive, actions, masks[..., 0] > 0, strict=True):
            _advance(episode, action, mask)
        alive = [e for e in alive if _goes_on(e, labelled=label is not None)]
    return parts


def _advance(episode: _Episode, action: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> None:
    """Records what counts for the score until the network declares; moves in any case."""
    motion, grasp_score = decode_action(action)
    if not episode.declared and episode.steps <= MAX_EPISODE_STEPS:
        episode.path.append(episode.scene_from_camera.matrix)
        episode.end_mask = mask
        if episode.steps < MAX_EPISODE_STEPS:
            episode.actions.append(action)
            episode.declared = grasp_score >= GRASP_SCORE_THRESHOLD
    episode.scene_from_camera = episode.scene_from_camera @ motion
    episode.steps += 1


def _goes_on(episode: _Episode, labelled: bool) -> bool:
    """30 actions, and one more look so that the last pose is judged."""
    if episode.steps > MAX_EPISODE_STEPS:
        return False
    if not labelled:
        return not episode.declared
    position = episode.scene_from_camera.translation
    near = float(episode.scene.clearance.distance(position)) <= CLEARANCE_M
    return not near and (episode.held < HELD_FRAMES or not episode.declared)


def _outcome(episode: _Episode) -> Outcome:
    assert episode.end_mask is not None
    record = EpisodeRecord(
        episode.scene.name,
        episode.scene.scene_hash,
        "",
        episode.seed,
        np.stack(episode.path),
        np.array(episode.actions),
        episode.declared,
        episode.end_mask,
    )
    return outcome_of(record, episode.scene)
