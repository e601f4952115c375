"""What a library is given: the smallest scene and camera that it takes for real ones."""

import gymnasium as gym
import numpy as np
import pytest

import h2rh_env  # noqa: F401 (registers the environments)
from h2rh_env.core.camera import HAND_EYE_CAMERA

IDS = ("H2RHandover-v0", "H2RHandoverMoving-v0", "H2RHandoverGrasp-v0")


@pytest.fixture(params=IDS)
def env_id(request):
    return request.param


@pytest.fixture(scope="session")
def small(tiny_scene):
    """Arguments of an environment whose steps take no time."""
    return {"scenes": tiny_scene, "camera": HAND_EYE_CAMERA.resized(56, 42), "rasteriser": "numba"}


@pytest.fixture
def rescaled(small):
    """An environment as most learners want it: actions in [-1, 1]."""
    env = gym.make("H2RHandover-v0", reward="shaped", **small)
    return gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
