"""A can in a hand: a few hundred Gaussians, and the grasp that takes the can from the side away from the hand."""

import numpy as np
import pytest

from h2rh_env.core.action import encode_action
from h2rh_env.core.geometry import SE3, look_at, uniform_directions
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.labels import Label
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.gaussians import GaussianScene
from h2rh_env.scenes.handover_scene import HandoverScene

CAN_RADIUS_M, CAN_HEIGHT_M = 0.03, 0.16
CONTACT = np.array([0.3, 0.1, 0.45])


def can_points(rng, count):
    angle, height = rng.uniform(0, 2 * np.pi, count), rng.uniform(-0.1, CAN_HEIGHT_M - 0.1, count)
    ring = CAN_RADIUS_M * np.stack([np.cos(angle), np.sin(angle)], 1)
    return CONTACT + np.concatenate([ring, height[:, None]], 1)


def make_scene(hand_offset):
    """The can with a hand, a ball of 4 cm, at an offset (3,), m, from the contact point."""
    rng = np.random.default_rng(0)
    can, hand = can_points(rng, 2700), CONTACT + hand_offset + 0.04 * uniform_directions(rng, 900)
    means = np.concatenate([can, hand]).astype(np.float32)
    n = len(means)
    colours = np.repeat(np.array([[0.8, 0.1, 0.1], [0.9, 0.7, 0.6]]), [len(can), len(hand)], axis=0)
    gaussians = GaussianScene(
        means,
        np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        np.full((n, 3), np.log(0.0035), np.float32),
        np.full(n, 4.0, np.float32),
        ((colours - 0.5) / 0.28209479)[:, None].astype(np.float32),
        np.repeat(np.array([Label.OBJECT, Label.HAND], np.uint8), [len(can), len(hand)]),
    )
    approach = look_at(CONTACT - [0, 0.5, 0], CONTACT).rotation
    grasp = SE3(approach, CONTACT - FINGERTIP_DEPTH_M * approach[:, 2])
    return HandoverScene(
        "can",
        "can",
        gaussians,
        can.astype(np.float32),
        hand.astype(np.float32),
        GraspCandidate(grasp, 2 * CAN_RADIUS_M, 1.0),
    )


@pytest.fixture(scope="session")
def scene():
    """The hand is below the can and behind it, out of the way of a gripper that comes along +y."""
    return make_scene(np.array([0.0, 0.05, -0.13]))


@pytest.fixture(scope="session")
def beside_scene():
    """The hand is where a finger of the gripper would go, but not where one would that is turned."""
    return make_scene(np.array([0.08, 0.0, 0.0]))


@pytest.fixture(scope="session")
def crowded_scene():
    """The hand is before the can, where the gripper would go however it is turned."""
    return make_scene(np.array([0.0, -0.075, 0.0]))


@pytest.fixture(scope="session")
def rasteriser():
    return make_rasteriser("numba")


@pytest.fixture(scope="session")
def start():
    """0.7 m from the contact, 30 degrees round, looking at the can."""
    eye = CONTACT + 0.7 * np.array([-np.sin(0.5), -np.cos(0.5), 0.15])
    return look_at(eye, CONTACT)


class Homing:
    """Walks straight to the pre-grasp pose, which it is shown."""

    def __init__(self, step_m=0.05, turn_rad=0.12):
        self._step_m, self._turn_rad = step_m, turn_rad

    def reset(self, seed):
        self._scene = None

    def observe_state(self, scene, world_from_camera):
        self._camera_from_goal = world_from_camera.inverse() @ scene.grasp.pregrasp()

    def act(self, observation):
        goal = encode_action(self._camera_from_goal, 0.0)
        way, turn = np.linalg.norm(goal[3:6]), np.linalg.norm(goal[:3])
        if way < 0.01 and turn < 0.02:
            return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
        part = max(way / self._step_m, turn / self._turn_rad, 1.0)
        return np.array([*goal[:6] / part, 0.0], np.float32)


@pytest.fixture(scope="session")
def homing():
    return Homing()
