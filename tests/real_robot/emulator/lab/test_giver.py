"""A giver sways and trembles within what is stated, the same for the same seed, and stands still when he let go."""

import numpy as np

from h2rh_env.core.geometry import SE3, rotation_angle
from real_robot.emulator.lab.giver import Giver, GiverConfig

CENTRE = np.array([0.1, 0.2, 0.3])
REST = SE3(np.diag([-1.0, -1.0, 1.0]), np.array([0.8, 0.1, 0.2]))
TIMES_S = np.arange(0, 30, 0.01)


def moved(seed, config=None):
    giver = Giver(REST, CENTRE, config or GiverConfig(), np.random.default_rng(seed))
    poses = [REST.inverse() @ giver.world_from_scene(t) for t in TIMES_S]
    offsets = np.array([pose.apply(CENTRE) - CENTRE for pose in poses])
    return offsets, np.array([rotation_angle(pose.rotation) for pose in poses])


def test_the_sway_reaches_millimetres_and_never_more_than_is_stated():
    for seed in range(3):
        offsets, turns = moved(seed)
        assert 0.001 < np.linalg.norm(offsets, axis=1).max() <= 0.005 + 1e-9
        assert np.radians(0.5) < turns.max() <= np.radians(3.0) + 1e-9


def test_a_hand_trembles_at_some_hertz():
    """Without the sway's slow waves, what is left from one hundredth of a second to the next is the tremble."""
    offsets, _ = moved(0)
    steps = np.linalg.norm(np.diff(offsets, n=2, axis=0), axis=1)
    assert steps.max() > 1e-5


def test_the_same_seed_is_the_same_giver_and_another_is_not():
    assert np.array_equal(moved(0)[0], moved(0)[0])
    assert not np.array_equal(moved(0)[0], moved(1)[0])
    assert not moved(0, GiverConfig(sway_m=0.0, sway_rad=0.0))[0].any()


def test_who_stands_still_moves_no_more():
    giver = Giver(REST, CENTRE, GiverConfig(), np.random.default_rng(0))
    before = giver.world_from_scene(1.0).matrix
    giver.stand_still(1.0)
    giver.stand_still(5.0)
    assert np.array_equal(giver.world_from_scene(9.0).matrix, before)
