"""Demonstrations of random content, on small images."""

import numpy as np
from scipy.spatial.transform import Rotation

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.datasets.minari import Demonstration

CAMERA = HAND_EYE_CAMERA.resized(40, 32)
PROVENANCE = {"scenes": {"a": "0" * 64}, "seed": 0}


def random_demonstration(seed: int, steps: int = 4) -> Demonstration:
    rng = np.random.default_rng(seed)
    actions = rng.normal(0, 0.02, (steps, 7)).astype(np.float32)
    actions[:, 6] = np.arange(steps) == steps - 1
    return Demonstration(
        rgb=rng.integers(0, 256, (steps, CAMERA.height, CAMERA.width, 3), dtype=np.uint8),
        masks=rng.integers(0, 2, (steps, CAMERA.height, CAMERA.width, 2), dtype=np.uint8) * np.uint8(255),
        actions=actions,
        scene_from_camera=random_poses(rng, steps),
        camera_from_goal=random_poses(rng, steps),
        clearance_m=rng.uniform(0.1, 0.5, steps),
        scene=f"scene-{seed}",
        scene_hash="0" * 64,
        seed=seed,
        reward=float(seed % 2),
    )


def random_poses(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4, 4), a small step apart from each other."""
    poses = [SE3.identity()]
    for _ in range(count - 1):
        turn = Rotation.from_rotvec(rng.normal(0, 0.03, 3)).as_matrix()
        poses.append(poses[-1] @ SE3(turn, rng.normal(0, 0.01, 3)))
    return np.stack([pose.matrix for pose in poses])
