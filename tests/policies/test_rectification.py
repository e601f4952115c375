"""Rectified images are those of the policy's camera; what a policy was not told of is refused."""

import numpy as np
import pytest

from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.policy import CameraAware, Policy
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.scenes.handover_scene import HandoverScene, load_scenes
from policies.baselines.ibvs import IbvsMask
from policies.learned import HandoverPolicy
from policies.networks.factory import make_network
from policies.rectification import Rectification
from policies.registry import make_policy


def zoomed(factor: float, camera: PinholeCamera = HAND_EYE_CAMERA) -> PinholeCamera:
    return PinholeCamera(
        camera.width, camera.height, factor * camera.fx, factor * camera.fy, camera.cx, camera.cy
    )


OFF_CENTRE = PinholeCamera(320, 240, 250.0, 250.0, 170.0, 110.0)
CAMERAS = {
    "wider": zoomed(0.7),
    "narrower": zoomed(1.3),
    "larger": HAND_EYE_CAMERA.resized(640, 480),
    "smaller": HAND_EYE_CAMERA.resized(112, 84),
    "off centre": OFF_CENTRE,
}


def view(scene: HandoverScene, camera: PinholeCamera) -> dict[str, np.ndarray]:
    observation, _ = H2RHandoverEnv(scene, camera=camera).reset(seed=3)
    return observation


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("name", CAMERAS)
def test_what_is_rectified_is_what_the_policy_s_camera_sees(tiny_scene: HandoverScene, name: str) -> None:
    truth = view(tiny_scene, HAND_EYE_CAMERA)
    rectification = Rectification(HAND_EYE_CAMERA)
    rectification.use_camera(CAMERAS[name])
    observation = view(tiny_scene, CAMERAS[name])
    rgb, masks = rectification(observation)
    assert rgb.shape == truth["rgb"].shape
    assert set(np.unique(masks)) <= {0, 255}
    least = 0.7 if CAMERAS[name].fx < HAND_EYE_CAMERA.fx else 0.85  # fewer pixels, coarser outlines
    for part in (0, 1):
        assert overlap(masks[..., part] > 0, truth["masks"][..., part] > 0) > least
    inside = (masks > 0).any(axis=2) & (truth["masks"] > 0).any(axis=2)
    assert np.abs(rgb[inside].astype(float) - truth["rgb"][inside]).mean() < 12
    if name == "wider":  # without, it would not have been so
        assert overlap(observation["masks"][..., 0] > 0, truth["masks"][..., 0] > 0) < 0.6


def test_images_of_the_policy_s_camera_are_left_as_they_are(tiny_scene: HandoverScene) -> None:
    observation = view(tiny_scene, HAND_EYE_CAMERA)
    rgb, masks = Rectification(HAND_EYE_CAMERA)(observation)
    np.testing.assert_array_equal(rgb, observation["rgb"])
    np.testing.assert_array_equal(masks, observation["masks"])


def test_what_lies_beyond_the_image_s_edge_is_black_and_in_no_mask() -> None:
    rectification = Rectification(HAND_EYE_CAMERA)
    rectification.use_camera(zoomed(2.0))
    white = {"rgb": np.full((168, 224, 3), 255, np.uint8), "masks": np.full((168, 224, 2), 255, np.uint8)}
    rgb, masks = rectification(white)
    seen = np.zeros((168, 224), bool)
    seen[42:126, 56:168] = True
    np.testing.assert_array_equal(masks[..., 0] > 0, seen)
    np.testing.assert_array_equal(rgb[..., 0] > 0, seen)


def test_a_policy_takes_the_camera_it_is_told_and_refuses_others() -> None:
    policies = [HandoverPolicy(make_network("compact", {"window": 32, "hidden": 16}))]
    assert all(isinstance(policy, CameraAware) for policy in [*policies, IbvsMask()])
    large = {"rgb": np.zeros((480, 640, 3), np.uint8), "masks": np.zeros((480, 640, 2), np.uint8)}
    for policy in policies:
        with pytest.raises(PolicyError, match=r"640x480 px, .* 224x168; tell it"):
            policy.act(large)
        policy.use_camera(HAND_EYE_CAMERA.resized(640, 480))
        assert policy.act(large).shape == (7,)


class Untold:
    """A policy that nobody tells its camera."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def reset(self, seed: int) -> None:
        self._policy.reset(seed)

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return self._policy.act(observation)


@pytest.mark.nightly  # 120 episodes
def test_rectification_restores_success_with_other_focal_lengths() -> None:
    """Measured, of 24: own camera 23; 0.7 of the focal length 23, untold 18; 1.3 of it 24, untold 16."""
    policies = {"told": make_policy("ranging"), "untold": Untold(make_policy("ranging"))}
    scenes = load_scenes()[::3][:8]
    own, wider, narrower = (
        {
            name: sum(episode.score.success for episode in episodes)
            for name, episodes in evaluate(policies, scenes, 3, 0, {"camera": camera}).items()
        }
        for camera in (HAND_EYE_CAMERA, CAMERAS["wider"], CAMERAS["narrower"])
    )
    assert own["told"] == own["untold"] >= 22
    for other in (wider, narrower):
        assert other["told"] >= own["told"] - 1
        assert other["untold"] <= own["told"] - 4
