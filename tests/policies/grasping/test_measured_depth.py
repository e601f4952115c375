"""Measured depth: it decides how far away the object is, and too little of it decides nothing."""

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import aim
from h2rh_env.core.policy import DepthPolicy
from h2rh_env.envs.handover import H2RHandoverEnv
from policies.grasping.checkpoint import Checkpoint
from policies.grasping.controller import ControlConfig
from policies.grasping.fusion import FusionConfig
from policies.grasping.inputs import CropView
from policies.grasping.measured_depth import BOUNDS, LEAST_PIXELS, measured_over_said
from policies.grasping.policy import GraspingPolicy

ASIDE = np.array([0.15, -0.1, 1.0])
VIEW = CropView(aim(np.eye(3), ASIDE), 0.2)
SHAPE = (HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width)


def seen(distance_m, radius_px=20):
    """Depth and mask of a disc at a distance along the view's axis, square to it."""
    rays = HAND_EYE_CAMERA.unproject(np.ones(SHAPE))
    towards = rays @ VIEW.camera_from_crop[:, 2]
    depth_m = (distance_m / towards).astype(np.float32)
    middle = HAND_EYE_CAMERA.project(ASIDE)
    rows, columns = np.indices(SHAPE)
    return depth_m, np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1]) < radius_px


@pytest.mark.parametrize("distance_m", [0.3, 0.5, 0.62])
def test_it_is_how_many_times_as_far_the_object_is_as_said(distance_m):
    depth_m, is_object = seen(distance_m)
    found = measured_over_said(depth_m, is_object, HAND_EYE_CAMERA, VIEW, np.full((8, 8), 0.4))
    assert found == pytest.approx(distance_m / 0.4, rel=1e-4)


def test_each_pixel_is_held_to_the_cell_that_shows_it():
    depth_m, is_object = seen(0.5)
    said_m = np.full((8, 8), 9.0)
    said_m[2:6, 2:6] = 0.5  # the disc lies in these
    assert measured_over_said(depth_m, is_object, HAND_EYE_CAMERA, VIEW, said_m) == pytest.approx(1, rel=1e-4)


def test_holes_and_flying_pixels_do_not_matter():
    depth_m, is_object = seen(0.5)
    rng = np.random.default_rng(0)
    depth_m[rng.uniform(size=SHAPE) < 0.3] = 0
    depth_m[rng.uniform(size=SHAPE) < 0.1] *= 3
    found = measured_over_said(depth_m, is_object, HAND_EYE_CAMERA, VIEW, np.full((8, 8), 0.5))
    assert found == pytest.approx(1, rel=1e-3)


def test_too_few_pixels_decide_nothing_and_what_cannot_be_is_bounded():
    depth_m, is_object = seen(0.5)
    few = is_object & (np.cumsum(is_object.ravel()).reshape(SHAPE) < LEAST_PIXELS)
    said_m = np.full((8, 8), 0.1)
    assert measured_over_said(depth_m, few, HAND_EYE_CAMERA, VIEW, said_m) is None
    assert measured_over_said(0 * depth_m, is_object, HAND_EYE_CAMERA, VIEW, said_m) is None
    assert measured_over_said(depth_m, is_object, HAND_EYE_CAMERA, VIEW, said_m) == BOUNDS[1]


def test_the_goal_is_as_far_away_as_was_measured(network, tiny_scene):
    heedless = FusionConfig(hand_caution=0, most_danger=1)
    policy = GraspingPolicy(Checkpoint(network, heedless, ControlConfig(), HAND_EYE_CAMERA, {"by": "test"}))
    assert isinstance(policy, DepthPolicy)
    observation, _ = H2RHandoverEnv([tiny_scene], depth=True).reset(seed=3)
    contacts = []
    for times in (0.5, 0.6):
        policy.reset(0)
        policy.act(observation | {"depth": np.float32(times) * observation["depth"]})
        contacts.append(policy._fusion.goal.contact)
    assert np.linalg.norm(contacts[1]) == pytest.approx(1.2 * np.linalg.norm(contacts[0]), rel=0.01)
