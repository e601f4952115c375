"""Conditions: within what they promise, the same for the same seed, and none where none are asked for."""

import numpy as np
import pytest

from h2rh_env.contact.conditions import BENCHMARK_CONDITIONS, ContactConditions
from h2rh_env.contact.config import PhysicsConfig
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.geometry import rotation_angle


@pytest.fixture(scope="module")
def drawn():
    return [BENCHMARK_CONDITIONS.draw(seed) for seed in range(2000)]


def test_draws_fill_their_intervals_and_stay_inside(drawn):
    friction = np.array([one.friction for one in drawn])
    mass = np.array([one.mass_factor for one in drawn])
    for values, (low, high) in ((friction, (0.3, 0.7)), (mass, (0.7, 1.3))):
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02)
    assert abs(np.corrcoef(friction, mass)[0, 1]) < 0.06


def test_arrival_noise_has_the_size_that_is_told(drawn):
    offsets = np.array([one.arrival_from_gripper.translation for one in drawn])
    angles = np.array([rotation_angle(one.arrival_from_gripper.rotation) for one in drawn])
    assert np.sqrt((offsets**2).sum(axis=1).mean()) == pytest.approx(0.002, rel=0.05)
    assert np.sqrt((angles**2).mean()) == pytest.approx(np.radians(1), rel=0.05)


def test_equal_seeds_draw_equal_conditions():
    one, other, third = (BENCHMARK_CONDITIONS.draw(seed) for seed in (7, 7, 8))
    assert (one.friction, one.mass_factor) == (other.friction, other.mass_factor)
    np.testing.assert_array_equal(one.arrival_from_gripper.matrix, other.arrival_from_gripper.matrix)
    assert one.friction != third.friction


def test_exact_conditions_draw_nothing():
    exact = ContactConditions.exact(0.4).draw(3)
    assert (exact.friction, exact.mass_factor) == (0.4, 1.0)
    np.testing.assert_array_equal(exact.arrival_from_gripper.matrix, np.eye(4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"friction": (0.7, 0.3)},
        {"friction": (-0.1, 0.3)},
        {"mass_factor": (0.0, 1.0)},
        {"arrival_noise_m": -1.0},
        {"arrival_noise_rad": float("nan")},
    ],
)
def test_conditions_that_cannot_be_are_refused(wrong):
    with pytest.raises(HandoverError):
        ContactConditions(**wrong)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_physics_that_cannot_be_is_refused(value):
    with pytest.raises(HandoverError, match="time_step_s"):
        PhysicsConfig(time_step_s=value)
