import numpy as np
import pytest

from h2rh_env.core.action import decode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, angle_between
from h2rh_env.core.spaces import action_space
from h2rh_env.core.task import GRASP_SCORE_THRESHOLD
from policies.baselines.ibvs import IbvsMask


def disc(u: float, v: float, radius: float) -> dict[str, np.ndarray]:
    rows, columns = np.mgrid[: HAND_EYE_CAMERA.height, : HAND_EYE_CAMERA.width]
    masks = np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 2), np.uint8)
    masks[np.hypot(columns + 0.5 - u, rows + 0.5 - v) < radius, 0] = 255
    return {"rgb": np.zeros((*masks.shape[:2], 3), np.uint8), "masks": masks}


@pytest.mark.parametrize(("u", "v"), [(40, 84), (190, 84), (112, 30), (112, 140), (50, 130)])
def test_the_step_turns_the_camera_towards_the_object(u: float, v: float) -> None:
    action = IbvsMask().act(disc(u, v, 12))
    assert action_space().contains(action)
    motion, score = decode_action(action)
    ray = np.array(
        [(u - HAND_EYE_CAMERA.cx) / HAND_EYE_CAMERA.fx, (v - HAND_EYE_CAMERA.cy) / HAND_EYE_CAMERA.fy, 1]
    )
    axis = np.array([0, 0, 1.0])
    turned = SE3(motion.rotation, np.zeros(3)).inverse().apply(ray)
    assert angle_between(turned, axis) < 0.7 * angle_between(ray, axis)
    assert motion.translation[2] > 0
    assert score < GRASP_SCORE_THRESHOLD


def test_a_centred_object_that_fills_its_part_is_declared() -> None:
    motion, score = decode_action(IbvsMask(wanted_area=0.06).act(disc(112, 84, 27)))
    assert score >= GRASP_SCORE_THRESHOLD
    assert np.abs(motion.translation).max() < 0.005


def test_too_near_it_moves_back() -> None:
    motion, _ = decode_action(IbvsMask(wanted_area=0.06).act(disc(112, 84, 70)))
    assert motion.translation[2] < 0


def test_it_holds_still_while_it_sees_no_object() -> None:
    action = IbvsMask().act(disc(-100, -100, 5))
    np.testing.assert_array_equal(action, np.zeros(7))
