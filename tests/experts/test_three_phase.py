"""The expert's phases (Eqs. 7-13), its clearance (Eq. 14), and what it says at any pose."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from experts.three_phase import Phase, ThreePhaseExpert
from experts.trajectory import remaining
from h2rh_env.core.action import decode_action
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.geometry import SE3, angle_between, look_at, uniform_directions
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.policy import Policy, PrivilegedPolicy
from h2rh_env.core.spaces import action_space
from h2rh_env.core.task import MAX_EPISODE_STEPS
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.envs.metrics import closes_on

EXPERT = ThreePhaseExpert()
seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=25, deadline=None)


def start_of(scene, seed: int) -> SE3:
    return sample_initial_poses(scene, np.random.default_rng(seed), 1)[0]


def anywhere(scene, seed: int) -> SE3:
    """Any pose of any rotation 0.16 to 1 m from the object."""
    rng = np.random.default_rng(seed)
    while True:
        position = scene.object_centre + rng.uniform(0.16, 1.0) * uniform_directions(rng, 1)[0]
        if scene.clearance.distance(position) > 0.1:
            return SE3(Rotation.random(rng=rng).as_matrix(), position)


@some
@given(seed=seeds)
def test_from_every_start_it_declares_at_the_pregrasp_pose_in_time(tiny_scene, seed):
    rollout = EXPERT.rollout(tiny_scene, start_of(tiny_scene, seed))
    assert rollout.declared
    assert len(rollout.actions) <= MAX_EPISODE_STEPS
    end, pregrasp = rollout.poses[-1], tiny_scene.grasp.pregrasp(0.3)
    np.testing.assert_allclose(end.translation, pregrasp.translation, atol=1e-3)
    turned = min(remaining(end, goal)[1] for goal in (pregrasp, half_turned(pregrasp)))
    assert turned < 3e-3
    assert closes_on(tiny_scene.object_points, end @ SE3(np.eye(3), np.array([0, 0, 0.3])))


@some
@given(seed=seeds)
def test_no_pose_comes_within_the_clearance(tiny_scene, seed):
    rollout = EXPERT.rollout(tiny_scene, start_of(tiny_scene, seed))
    assert tiny_scene.clearance.distance([pose.translation for pose in rollout.poses]).min() > 0.1


@some
@given(seed=seeds)
def test_phases_come_in_order_and_only_the_last_action_declares(tiny_scene, seed):
    rollout = EXPERT.rollout(tiny_scene, start_of(tiny_scene, seed))
    assert rollout.phases == sorted(rollout.phases)
    assert Phase.AVOID not in rollout.phases
    np.testing.assert_array_equal(rollout.actions[:, 6], [0] * (len(rollout.actions) - 1) + [1])
    np.testing.assert_array_equal(rollout.actions[-1, :6], 0)


@some
@given(seed=seeds)
def test_phase_one_turns_in_place_by_the_least_angle_until_the_object_is_centred(tiny_scene, seed):
    rollout = EXPERT.rollout(tiny_scene, start_of(tiny_scene, seed))
    for before, after, phase in zip(rollout.poses, rollout.poses[1:], rollout.phases, strict=False):
        if phase is Phase.TURN:
            to_object = tiny_scene.object_centre - before.translation
            np.testing.assert_allclose(after.translation, before.translation, atol=1e-7)
            left = angle_between(before.rotation[:, 2], to_object)
            assert angle_between(after.rotation[:, 2], to_object) == pytest.approx(
                max(left - 0.12, 0), abs=1e-5
            )


@some
@given(seed=seeds)
def test_phase_two_moves_straight_to_the_pregrasp_position_and_looks_at_the_object(tiny_scene, seed):
    start = start_of(tiny_scene, seed)
    goal = tiny_scene.grasp.pregrasp().translation
    rollout = EXPERT.rollout(tiny_scene, start)
    line = (goal - start.translation) / np.linalg.norm(goal - start.translation)
    before_last = None
    for before, after, phase in zip(rollout.poses, rollout.poses[1:], rollout.phases, strict=False):
        if phase is Phase.APPROACH:
            off = (after.translation - start.translation) @ (np.eye(3) - np.outer(line, line))
            assert np.linalg.norm(off) < 1e-6
            assert np.linalg.norm(before.translation - goal) >= 0.5
            if before_last is Phase.APPROACH:
                sight = tiny_scene.object_centre - after.translation
                assert angle_between(after.rotation[:, 2], sight) < 0.02
        before_last = phase


@some
@given(seed=seeds)
def test_phase_three_is_lerp_and_slerp_without_re_aiming(tiny_scene, seed):
    rollout = EXPERT.rollout(tiny_scene, start_of(tiny_scene, seed))
    first = rollout.phases.index(Phase.SETTLE)
    start, end = rollout.poses[first], EXPERT.goal(tiny_scene, rollout.poses[first])
    length, angle = remaining(start, end)
    for pose in rollout.poses[first:]:
        left, turn = remaining(pose, end)
        travelled = np.linalg.norm(pose.translation - start.translation)
        assert travelled + left == pytest.approx(length, abs=1e-6)
        assert turn == pytest.approx(angle * left / length, abs=1e-4)
    assert length < 0.5


@some
@given(seed=seeds)
def test_an_action_stays_inside_the_action_space_and_one_step(tiny_scene, seed):
    pose = anywhere(tiny_scene, seed)
    action = EXPERT.action_at(tiny_scene, pose)
    assert action_space().contains(action)
    distance, angle = remaining(SE3.identity(), decode_action(action)[0])
    assert distance <= 0.05 * (1 + 1e-5)
    assert angle <= 0.12 * (1 + 1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_from_anywhere_it_finds_round_the_object_without_touching_it(tiny_scene, seed):
    rollout = EXPERT.rollout(tiny_scene, anywhere(tiny_scene, seed), max_steps=90)
    assert rollout.declared
    positions = [pose.translation for pose in rollout.poses]
    assert tiny_scene.clearance.distance(positions).min() > 0.1 - 1e-6


@some
@given(seed=seeds)
def test_where_a_learner_is_too_near_the_next_step_is_farther(tiny_scene, seed):
    rng = np.random.default_rng(seed)
    inwards = tiny_scene.object_centre + np.linspace(0.4, 0, 400)[:, None] * uniform_directions(rng, 1)
    position = inwards[np.argmax(tiny_scene.clearance.distance(inwards) < rng.uniform(0.04, 0.1))]
    pose = SE3(Rotation.random(rng=rng).as_matrix(), position)
    motion, at_pregrasp = EXPERT.plan_step(tiny_scene, pose)
    assert not at_pregrasp
    assert EXPERT.phase_at(tiny_scene, pose) is Phase.AVOID
    before, after = tiny_scene.clearance.distance([position, (pose @ motion).translation])
    assert after > before


def test_exactly_opposite_the_pregrasp_pose_there_is_a_way_round(tiny_scene):
    goal = tiny_scene.grasp.pregrasp().translation
    start = look_at(2.2 * tiny_scene.object_centre - 1.2 * goal, tiny_scene.object_centre)
    assert EXPERT.phase_at(tiny_scene, start) is Phase.AVOID
    assert EXPERT.rollout(tiny_scene, start, max_steps=60).declared


def test_with_the_object_exactly_behind_it_turns(tiny_scene):
    away = tiny_scene.grasp.pregrasp(0.9)
    backwards = SE3(away.rotation @ np.diag([1.0, -1.0, -1.0]), away.translation)
    assert EXPERT.phase_at(tiny_scene, backwards) is Phase.TURN
    assert EXPERT.rollout(tiny_scene, backwards, max_steps=60).declared


def test_the_half_turn_that_turns_the_camera_least_is_taken(tiny_scene):
    pregrasp = tiny_scene.grasp.pregrasp()
    for pose in (pregrasp, half_turned(pregrasp)):
        np.testing.assert_allclose(EXPERT.goal(tiny_scene, pose).matrix, pose.matrix, atol=1e-12)
        assert EXPERT.plan_step(tiny_scene, pose)[1]


def test_at_the_pregrasp_pose_it_declares_and_does_not_move_and_beside_it_does_not(tiny_scene):
    pregrasp = tiny_scene.grasp.pregrasp()
    np.testing.assert_array_equal(EXPERT.action_at(tiny_scene, pregrasp), [0, 0, 0, 0, 0, 0, 1])
    beside = SE3(pregrasp.rotation, pregrasp.translation + [0.01, 0, 0])
    assert EXPERT.action_at(tiny_scene, beside)[6] == 0
    labeller = ThreePhaseExpert(tolerance_m=0.015, tolerance_rad=0.05)
    assert labeller.action_at(tiny_scene, beside)[6] == 1


def test_thresholds_change_the_way(tiny_scene):
    start = start_of(tiny_scene, 1)
    early = ThreePhaseExpert(settle_within_m=2.0).rollout(tiny_scene, start)
    assert Phase.APPROACH not in early.phases
    slow = ThreePhaseExpert(max_step_m=0.02, max_step_rad=0.05).rollout(tiny_scene, start, max_steps=100)
    assert slow.declared
    assert len(slow.actions) > 1.5 * len(early.actions)
    far = ThreePhaseExpert(standoff_m=0.35).rollout(tiny_scene, start)
    np.testing.assert_allclose(
        far.poses[-1].translation, tiny_scene.grasp.pregrasp(0.35).translation, atol=2e-3
    )


def test_a_wide_phi_does_not_re_aim(tiny_scene):
    expert = ThreePhaseExpert(aim_within_rad=np.pi, centred_rad=np.pi)
    rollout = expert.rollout(tiny_scene, start_of(tiny_scene, 2))
    for before, after, phase in zip(rollout.poses, rollout.poses[1:], rollout.phases, strict=False):
        if phase is Phase.APPROACH:
            np.testing.assert_allclose(after.rotation, before.rotation, atol=1e-6)


def test_a_hand_eye_offset_brings_the_gripper_to_the_same_place(tiny_scene):
    offset = SE3(Rotation.from_rotvec([0.1, 0, 0.05]).as_matrix(), np.array([0.0, -0.06, 0.02]))
    expert = ThreePhaseExpert(gripper_from_camera=offset)
    start = start_of(tiny_scene, 3) @ offset
    end = expert.rollout(tiny_scene, start, max_steps=40).poses[-1] @ offset.inverse()
    np.testing.assert_allclose(end.translation, tiny_scene.grasp.pregrasp().translation, atol=2e-3)


def test_as_a_policy_it_acts_on_what_it_was_shown(tiny_scene):
    expert = ThreePhaseExpert()
    assert isinstance(expert, Policy)
    assert isinstance(expert, PrivilegedPolicy)
    expert.reset(0)
    with pytest.raises(PolicyError, match="observe_state"):
        expert.act({})
    pose = start_of(tiny_scene, 4)
    expert.observe_state(tiny_scene, pose)
    np.testing.assert_array_equal(expert.act({}), expert.action_at(tiny_scene, pose))


def test_a_scene_without_a_hand_is_approached_too(tiny_scene):
    scene = dataclasses.replace(tiny_scene, hand_points=np.zeros((0, 3), np.float32))
    assert EXPERT.rollout(scene, start_of(scene, 5)).declared
