"""Views: poses of the camera all around a scene, near and far, on the approach and beside it.

On trajectories alone near means aligned, and a network learns to tell where it is from how large the object looks.
Here it meets the object from everywhere, and is told each time where the grasp would be.
"""

from __future__ import annotations

import numpy as np

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import SceneError
from h2rh_env.core.geometry import SE3, Array, aim, rotation_from_euler_xyz, slerp, upright_rotation
from h2rh_env.core.gripper import upright_half_turn
from h2rh_env.scenes.handover_scene import HandoverScene

DISTANCES_M = (0.12, 0.8)  # from the contact point; drawn evenly in their logarithm
MAX_OFF_APPROACH_RAD = float(np.radians(90))  # at the contact point, between the camera and the approach
JITTER_RAD = tuple(np.radians([15, 15, 20]))  # about the camera's own axes after looking there, at most
LEAST_CLEARANCE_M = 0.05  # nothing is seen from within
MAX_TRIES = 1000  # for each view


def sample_views(
    scene: HandoverScene, rng: np.random.Generator, count: int, camera: PinholeCamera = HAND_EYE_CAMERA
) -> list[SE3]:
    """Draws poses `scene_from_camera` that look at the object or at its contact point, roughly.

    Raises:
        SceneError: Hardly any pose keeps clear of hand and object.
    """
    views: list[SE3] = []
    for _ in range(MAX_TRIES * count):
        if len(views) == count:
            return views
        view = _draw(scene, rng)
        if scene.clearance.distance(view.translation) > LEAST_CLEARANCE_M and _looks_at(scene, view, camera):
            views.append(view)
    raise SceneError(
        f"scene {scene.name!r} has hardly any view from {DISTANCES_M[0]} to {DISTANCES_M[1]} m that is "
        f"{LEAST_CLEARANCE_M} m clear of hand and object: {len(views)} of {count} in {MAX_TRIES * count} tries"
    )


def _draw(scene: HandoverScene, rng: np.random.Generator) -> SE3:
    grasp, contact = upright_half_turn(scene.grasp.scene_from_grasp), scene.grasp.contact_scene
    away_m = float(np.exp(rng.uniform(*np.log(DISTANCES_M))))
    off, round_about = rng.uniform(0, MAX_OFF_APPROACH_RAD), rng.uniform(0, 2 * np.pi)
    sine = np.sin(off)
    direction = grasp.rotation @ [sine * np.cos(round_about), sine * np.sin(round_about), -np.cos(off)]
    position = contact + away_m * direction
    target = contact + rng.uniform() * (scene.object_centre - contact)
    rotation = _looking(grasp.rotation, target - position, rng.uniform())
    jitter = rotation_from_euler_xyz(rng.uniform(-1, 1, 3) * JITTER_RAD)
    return SE3(rotation @ jitter, position)


def _looking(grasp_rotation: Array, direction: Array, upright: float) -> Array:
    """Looks along a direction, rolled between how the grasp would (0) and upright (1)."""
    as_grasp = aim(grasp_rotation, direction)
    return slerp(as_grasp, upright_rotation(direction), upright)


def _looks_at(scene: HandoverScene, scene_from_camera: SE3, camera: PinholeCamera) -> bool:
    points = scene_from_camera.inverse().apply(np.stack([scene.object_centre, scene.grasp.contact_scene]))
    u, v = camera.project(points).T
    return bool(((u > 0) & (u < camera.width) & (v > 0) & (v < camera.height)).any())
