"""Simulation: forces balance: what the pads carry is the object's weight, and its torque about the centre of mass."""

import mujoco
import numpy as np
import pytest

from h2rh_env.contact.conditions import ContactConditions
from h2rh_env.contact.config import BENCHMARK_PHYSICS
from h2rh_env.contact.mujoco_model import GRAVITY, compile_model
from h2rh_env.contact.simulation import Simulation
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import ROBOTIQ_2F85

MASS_KG = 0.3


@pytest.fixture
def held(box, approach):
    """A box that hangs from pads which hold it 2 cm beside its centre, the giver gone, at rest."""
    model = compile_model(box(mass_kg=MASS_KG), ROBOTIQ_2F85, BENCHMARK_PHYSICS)
    grasp = approach(up_m=0.02)[-1]
    simulation = Simulation(model, BENCHMARK_PHYSICS, ContactConditions.exact().draw(0), grasp)
    for k in range(1000):
        if k == 600:
            simulation.hold(0.0)
        simulation.step(grasp, max(0.0, 0.085 - 2e-4 * k))
    return model, simulation


def pad_wrench(model):
    """Force (3,) and torque (3,) about the object's centre of mass that the pads' contacts exert on it."""
    data, force, torque = model.data, np.zeros(3), np.zeros(3)
    centre = data.xipos[model.object_body]
    for k in range(data.ncon):
        local = np.zeros(6)
        mujoco.mj_contactForce(model.model, data, k, local)
        frame = data.contact.frame[k].reshape(3, 3)
        towards = 1 if model.model.geom_bodyid[data.contact.geom[k, 1]] == model.object_body else -1
        one = towards * frame.T @ local[:3]
        force += one
        torque += np.cross(data.contact.pos[k] - centre, one) + towards * frame.T @ local[3:]
    return force, torque


def test_the_pads_carry_the_weight_and_its_torque(held):
    force, torque = pad_wrench(held[0])
    np.testing.assert_allclose(force, -MASS_KG * GRAVITY, atol=0.03)
    np.testing.assert_allclose(torque, 0, atol=0.003)


def test_each_pad_presses_with_the_grip_force(held):
    np.testing.assert_allclose(held[1].pad_forces_n(), ROBOTIQ_2F85.grip_force_n, rtol=0.02)


def test_what_the_giver_holds_stays_where_it_is(box, approach):
    model = compile_model(box(), ROBOTIQ_2F85, BENCHMARK_PHYSICS)
    far = approach(length_m=0.3)[0]
    simulation = Simulation(model, BENCHMARK_PHYSICS, ContactConditions.exact().draw(0), far)
    for _ in range(200):
        simulation.step(far, 0.085)
    assert simulation.displacement_m < 1e-9
    np.testing.assert_allclose(simulation.scene_from_gripper.matrix, far.matrix, atol=1e-9)


def test_what_nobody_holds_falls(box, approach):
    model = compile_model(box(), ROBOTIQ_2F85, BENCHMARK_PHYSICS)
    far = approach(length_m=0.3)[0]
    simulation = Simulation(model, BENCHMARK_PHYSICS, ContactConditions.exact().draw(0), far)
    simulation.hold(0.0)
    for _ in range(250):
        simulation.step(far, 0.085)
    assert simulation.displacement_m == pytest.approx(0.5 * 9.81 * 0.5**2, rel=0.01)
    np.testing.assert_allclose(simulation.now_from_held.rotation, np.eye(3), atol=1e-9)


def test_the_arm_follows_its_setpoint_closely(box, approach):
    start, end = approach(overlap_m=-0.1)
    model = compile_model(box(), ROBOTIQ_2F85, BENCHMARK_PHYSICS)
    simulation = Simulation(model, BENCHMARK_PHYSICS, ContactConditions.exact().draw(0), start)
    way = (end.translation - start.translation) / 1500
    for k in range(1, 501):
        simulation.step(SE3(start.rotation, start.translation + k * way), 0.085)
    off = simulation.scene_from_gripper.translation - (start.translation + 500 * way)
    assert np.linalg.norm(off) < 0.0005
