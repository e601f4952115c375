"""Trajectory: one bounded step of linear and spherical linear interpolation, both finishing together."""

from __future__ import annotations

import numpy as np

from h2rh_env.core.geometry import SE3, rotation_angle, slerp
from h2rh_env.core.motion_limits import STEP_M, STEP_RAD

ROUNDING = 1e-6  # of a step: what is left of a way because of rounding is no step of its own


def remaining(scene_from_camera: SE3, target: SE3) -> tuple[float, float]:
    """Distance, m, and angle, rad, to a target pose."""
    distance = float(np.linalg.norm(target.translation - scene_from_camera.translation))
    return distance, rotation_angle(scene_from_camera.rotation.T @ target.rotation)


def advance(
    scene_from_camera: SE3, target: SE3, max_step_m: float = STEP_M, max_step_rad: float = STEP_RAD
) -> SE3:
    """The pose one step closer: lerp of the position (Eq. 10), SLERP of the rotation (Eq. 11).

    Both move by the same fraction of what remains, the largest that exceeds neither bound. So the way does not depend
    on where it is taken up, and the steps are of one length but the last, which gives the target itself.
    """
    distance, angle = remaining(scene_from_camera, target)
    steps = max(distance / max_step_m, angle / max_step_rad)
    if steps <= 1 + ROUNDING:
        return target
    start, end = scene_from_camera.translation, target.translation
    return SE3(slerp(scene_from_camera.rotation, target.rotation, 1 / steps), start + (end - start) / steps)
