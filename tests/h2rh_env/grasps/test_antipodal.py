"""What the antipodal proposer proposes closes on the object and touches nothing else."""

import numpy as np
import pytest

from h2rh_env.core.clearance import between_fingers, swept_hits
from h2rh_env.core.errors import GraspError
from h2rh_env.core.gripper import PANDA, ROBOTIQ_2F85
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.closing import OPEN_GAP_M, closing_of
from h2rh_env.grasps.surface import Surface, thinned

CENTRE = np.array([0.5, -0.2, 0.4])


def can(radius: float, height: float = 0.1, spacing: float = 0.002, noise: float = 0.0) -> np.ndarray:
    """A closed can on end."""
    rng = np.random.default_rng(0)
    side = int(2 * np.pi * radius * height / spacing**2)
    lid = int(2 * np.pi * radius**2 / spacing**2)
    angle = rng.uniform(0, 2 * np.pi, side + lid)
    reach = np.concatenate([np.full(side, radius), radius * np.sqrt(rng.uniform(size=lid))])
    z = np.concatenate(
        [rng.uniform(-height / 2, height / 2, side), rng.choice([-height / 2, height / 2], lid)]
    )
    points = np.stack([reach * np.cos(angle), reach * np.sin(angle), z], axis=1)
    return (CENTRE + points + rng.normal(scale=noise, size=points.shape)).astype(np.float32)


def box(size: tuple[float, float, float]) -> np.ndarray:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (9000, 3))
    face = rng.integers(3, size=len(points))
    points[np.arange(len(points)), face] = rng.choice([-0.5, 0.5], len(points))
    return (CENTRE + points * size).astype(np.float32)


def propose(points: np.ndarray, gripper=ROBOTIQ_2F85, seed: int = 0):
    return AntipodalProposer(gripper, seeds=120).propose(points, np.random.default_rng(seed))


@pytest.mark.parametrize("gripper", [ROBOTIQ_2F85, PANDA])
def test_grasps_hold_the_can_and_the_open_gripper_comes_in_without_touching_it(gripper):
    points = can(0.033)
    candidates = propose(points, gripper)
    assert len(candidates) > 100
    for candidate in candidates[::10]:
        inside = candidate.scene_from_grasp.inverse().apply(points)
        assert between_fingers(inside, gripper).sum() > 20
        assert not swept_hits(points, candidate.pregrasp(), 0.3, 0.001, gripper).any()
        assert 0 < candidate.score <= 1


def test_the_width_of_a_can_is_its_diameter_and_the_closing_axis_crosses_its_own():
    across = [c for c in propose(can(0.033)) if abs(c.scene_from_grasp.rotation[2, 0]) < 0.2]
    assert np.median([c.width_m for c in across]) == pytest.approx(0.066, abs=0.003)
    assert max(c.width_m for c in across) < 0.072
    for candidate in across:
        offset = (candidate.contact_scene - CENTRE) * [1, 1, 0]
        assert abs(candidate.scene_from_grasp.rotation[:, 0] @ offset) < 0.006


@pytest.mark.parametrize("radius", [0.051, 0.0425])
def test_nothing_closes_on_a_can_as_wide_as_the_opening(radius):
    assert propose(can(radius, height=0.14)) == []


def test_a_box_is_held_by_the_sides_that_fit():
    candidates = propose(box((0.06, 0.16, 0.21)))
    assert all(abs(c.scene_from_grasp.rotation[0, 0]) > np.cos(np.arctan(0.5)) for c in candidates)
    assert np.median([c.width_m for c in candidates]) == pytest.approx(0.06, abs=0.003)


def test_a_surface_seen_from_one_side_only_is_not_taken_for_a_plate():
    points = box((0.06, 0.16, 0.21))
    front = points[points[:, 0] > CENTRE[0] + 0.029]
    assert propose(front) == []


def test_the_same_seed_gives_the_same_grasps_and_camera_up_is_up():
    first, second = propose(can(0.033), seed=3), propose(can(0.033), seed=3)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.scene_from_grasp.matrix, b.scene_from_grasp.matrix)
        assert a.scene_from_grasp.rotation[2, 1] <= 0


def test_poses_are_rotations_whose_tips_never_reach_in_deeper_than_the_fingers_are_long():
    points = can(0.033)
    for candidate in propose(points)[::10]:
        pose = candidate.scene_from_grasp
        np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-6)
        inside = pose.inverse().apply(points)
        held = inside[between_fingers(inside)]
        assert held[:, 2].min() > ROBOTIQ_2F85.palm_depth_m + OPEN_GAP_M / 2


def test_normals_of_a_noisy_can_stand_on_its_wall():
    surface = Surface.from_points(can(0.033, noise=0.001))
    offsets = surface.points - CENTRE
    wall = np.abs(offsets[:, 2]) < 0.04
    radial = offsets[wall] * [1, 1, 0] / np.linalg.norm(offsets[wall, :2], axis=1, keepdims=True)
    assert (np.abs((surface.normals[wall] * radial).sum(axis=1)) > 0.9).mean() > 0.97


def test_thinning_keeps_the_mean_of_each_voxel():
    points = np.array([[0.001, 0.001, 0.001], [0.003, 0.001, 0.001], [0.011, 0.001, 0.001]])
    np.testing.assert_allclose(thinned(points, 0.01), [[0.002, 0.001, 0.001], [0.011, 0.001, 0.001]])
    assert thinned(np.zeros((0, 3)), 0.01).shape == (0, 3)


def test_closing_on_nothing_scores_nothing():
    surface = Surface.from_points(can(0.033))
    closing = closing_of(np.eye(3)[None], np.array([[5.0, 5, 5]]), surface, ROBOTIQ_2F85)
    assert (closing.score[0], closing.width_m[0], closing.middle_m[0]) == (0, 0, 0)


@pytest.mark.parametrize("points", [np.zeros((50, 3)), np.full((500, 3), np.nan)])
def test_too_few_points_or_points_that_are_not_finite_are_refused(points):
    with pytest.raises(GraspError, match="at least 100 are needed"):
        AntipodalProposer().propose(points.astype(np.float32), np.random.default_rng(0))
