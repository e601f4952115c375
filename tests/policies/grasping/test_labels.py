"""Labels: grasps between those that hold count, those beside what failed don't, and contact agrees."""

from dataclasses import replace

import numpy as np
import pytest

from h2rh_env.contact.handover import final_approach, simulate_handover
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.scenes.handover_scene import load_scenes
from policies.grasping.training.labels import Grasps, grasps_that_do, in_frame


@pytest.fixture(scope="module")
def scene():
    (found,) = [s for s in load_scenes() if s.name == "power_drill-00409"]
    return found


@pytest.fixture(scope="module")
def labels(scene):
    return grasps_that_do(scene)


def test_what_is_stored_comes_first_and_much_lies_between(scene, labels):
    stored = np.array([grasp.contact_scene for grasp in scene.acceptable_grasps])
    np.testing.assert_array_equal(labels.contact[: len(stored)], stored)
    assert len(labels.contact) > 5 * len(stored)
    np.testing.assert_allclose(np.linalg.norm(labels.approach, axis=1), 1)
    np.testing.assert_allclose((labels.approach * labels.closing).sum(axis=1), 0, atol=1e-9)


def test_without_what_lies_between_or_without_grasps_there_is_only_what_is_stored(scene):
    assert len(grasps_that_do(scene, None).contact) == len(scene.acceptable_grasps)
    assert len(grasps_that_do(replace(scene, acceptable_grasps=())).contact) == 0


def test_contact_agrees_with_what_lies_between(scene, labels):
    rng = np.random.default_rng(0)
    picked = rng.choice(np.arange(len(scene.acceptable_grasps), len(labels.contact)), 8, replace=False)
    held = [hands_over(scene, labels, i) for i in picked]
    assert sum(held) >= 7


def test_beside_what_failed_nothing_counts(scene, labels):
    """Of the grasps on one side of the object, all are said to have failed."""
    middle = np.median([grasp.contact_scene[2] for grasp in scene.acceptable_grasps[1:]])
    above = tuple(g for g in scene.acceptable_grasps if g.contact_scene[2] > middle)
    assert len(above) >= 3
    fewer = grasps_that_do(replace(scene, acceptable_grasps=above))
    low = np.quantile(labels.contact[:, 2], 0.1)
    assert (labels.contact[:, 2] <= low).sum() > 20
    assert (fewer.contact[:, 2] <= low).sum() == 0


def test_a_frame_keeps_the_grasp(labels):
    few = Grasps(*(values[:5] for values in labels))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rows = in_frame(few, SE3(turn, np.array([0.1, 0.2, 0.3])))
    np.testing.assert_allclose(rows[:, :3], few.contact @ turn.T + [0.1, 0.2, 0.3])
    np.testing.assert_allclose(rows[:, 3:6] @ turn, few.approach, atol=1e-12)
    np.testing.assert_allclose(rows[:, 6:] @ turn, few.closing, atol=1e-12)


def hands_over(scene, labels, i):
    z, x = labels.approach[i], labels.closing[i]
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    begin = labels.contact[i] - (FINGERTIP_DEPTH_M + STANDOFF_M) * z
    return simulate_handover(scene, final_approach(SE3(rotation, begin), STANDOFF_M), int(i)).handed_over
