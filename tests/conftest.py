"""One tiny scene: a can on end, held by a hand at its lower half."""

import numpy as np
import pytest

from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.labels import Label
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.scenes.gaussians import SH_C0, GaussianScene
from h2rh_env.scenes.handover_scene import HandoverScene

CAN_CENTRE = np.array([0.5, 0.3, 0.3])


def cylinder(rng: np.random.Generator, count: int, radius: float, low: float, high: float) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, count)
    height = rng.uniform(low, high, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def make_tiny_scene(name: str = "tiny", seed: int = 0) -> HandoverScene:
    """A can of 33 mm radius and 0.1 m height; the giver's hand comes from +y; the grasp from -y."""
    rng = np.random.default_rng(seed)
    can = CAN_CENTRE + cylinder(rng, 900, 0.033, -0.05, 0.05)
    hand = CAN_CENTRE + np.array([0, 0.055, -0.05]) + rng.normal(size=(400, 3)) * [0.02, 0.01, 0.012]
    means = np.concatenate([can, hand])
    labels = np.repeat(np.array([Label.OBJECT, Label.HAND], np.uint8), [len(can), len(hand)])
    rgb = np.where((labels == Label.OBJECT)[:, None], [0.8, 0.2, 0.2], [0.85, 0.65, 0.5])
    gaussians = GaussianScene(
        means=means.astype(np.float32),
        wxyz=np.tile(np.float32([1, 0, 0, 0]), (len(means), 1)),
        log_scales=np.full((len(means), 3), np.log(0.004), np.float32),
        opacity_logits=np.full(len(means), 3.0, np.float32),
        sh=((rgb - 0.5) / SH_C0).astype(np.float32)[:, None],
        labels=labels,
    )
    contact = CAN_CENTRE + [0, 0, 0.02]
    rotation = np.stack([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]], axis=1)
    grasp = GraspCandidate(SE3(rotation, contact - FINGERTIP_DEPTH_M * rotation[:, 2]), 0.066, 0.9)
    return HandoverScene(
        name, "can", gaussians, can.astype(np.float32), hand.astype(np.float32), grasp, {"made": "in a test"}
    )


@pytest.fixture(scope="session")
def tiny_scene() -> HandoverScene:
    return make_tiny_scene()
