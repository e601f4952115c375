"""Demonstrate: the expert's path from an initial pose, with noise on what is executed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.clearance.final_approach import kept_away
from h2rh_env.core.geometry import SE3, rotation_angle, rotation_from_euler_xyz
from h2rh_env.core.task import CLEARANCE_M, EPISODE_STEPS
from h2rh_env.scenes.handover_scene import HandoverScene

from .labels import Labeller

HOLD_JITTER_M = 0.012
HOLD_JITTER_RAD = 0.04


def demonstrate(
    scene: HandoverScene,
    labeller: Labeller,
    scene_from_initial_camera: SE3,
    rng: np.random.Generator,
    hold: int = 3,
    noise: float = 0.0,
) -> list[SE3] | None:
    """Rolls the expert out from an initial pose to where its task ends, with noise, and hovers about it in the end.

    Args:
        hold: how many poses are added once the end is reached, each jittered about it, as far as an episode's time
            allows; the task ends at the last of them.
        noise: upper bound of the noise, as a fraction of each step.

    Returns:
        The poses (T), of which the last is declared or closed at, or None if the end is not reached in time or a pose
        is too near: such a trajectory is rejected whole.
    """
    spread = rng.uniform(0, noise)
    most = EPISODE_STEPS[labeller.expert.task]
    poses = [scene_from_initial_camera]
    while True:
        camera_from_next_camera, at_end = decode_action(labeller.expert.action_at(scene, poses[-1]))
        if at_end:
            break
        if len(poses) >= most:
            return None
        noise_here = 0.0 if labeller.arrived(scene, poses[-1]) else spread
        poses.append(poses[-1] @ _corrupted(camera_from_next_camera, noise_here, rng))
    end = poses[-1]
    for _ in range(min(hold, most - len(poses))):
        hovering = end @ _random_motion(HOLD_JITTER_M, HOLD_JITTER_RAD, rng)
        poses.append(poses[-1] @ _possible(poses[-1].inverse() @ hovering))
    return poses if _kept_away(scene, labeller, poses) else None


def _kept_away(scene: HandoverScene, labeller: Labeller, poses: list[SE3]) -> bool:
    if labeller.expert.task == "reach":
        return bool((scene.clearance.distance(positions(poses)) > CLEARANCE_M).all())
    path = [pose.matrix for pose in poses]
    return bool(kept_away(path, scene.hand_clearance, scene.object_clearance).all())


def positions(poses: list[SE3]) -> npt.NDArray[np.float64]:
    """Returns the positions (T, 3), m, of poses."""
    return np.array([pose.translation for pose in poses])


def _corrupted(camera_from_next_camera: SE3, spread: float, rng: np.random.Generator) -> SE3:
    """The motion with noise in proportion to it, so that it fades where the steps do, within an action's bounds."""
    length_m = float(np.linalg.norm(camera_from_next_camera.translation))
    angle_rad = rotation_angle(camera_from_next_camera.rotation)
    noisy = camera_from_next_camera @ _random_motion(spread * length_m, spread * angle_rad, rng)
    return _possible(noisy)


def _possible(camera_from_next_camera: SE3) -> SE3:
    """The motion that an environment makes of it: within an action's bounds."""
    return decode_action(encode_action(camera_from_next_camera, 0.0))[0]


def _random_motion(sigma_m: float, sigma_rad: float, rng: np.random.Generator) -> SE3:
    rotation = rotation_from_euler_xyz(rng.normal(0, sigma_rad, 3))
    return SE3(rotation, rng.normal(0, sigma_m, 3))
