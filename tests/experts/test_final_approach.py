"""The expert goes on from the pre-grasp pose: straight, slowly, and closes where it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from experts.final_approach import FinalApproach
from experts.labels import Labeller
from experts.three_phase import Phase, ThreePhaseExpert
from experts.trajectory import remaining
from h2rh_env.core.action import decode_action
from h2rh_env.core.clearance.final_approach import kept_away
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.motion_limits import FINAL_STEP_M
from h2rh_env.core.task import MAX_GRASP_STEPS
from h2rh_env.envs.initial_poses import sample_initial_poses

REACHES, GRASPS = ThreePhaseExpert(), ThreePhaseExpert(task="grasp")
seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=20, deadline=None)


def initial(scene, seed):
    return sample_initial_poses(scene, np.random.default_rng(seed), 1)[0]


def rollout(scene, seed):
    return GRASPS.rollout(scene, initial(scene, seed))


@some
@given(seed=seeds)
def test_it_closes_at_the_grasp_in_time(tiny_scene, seed):
    rolled = rollout(tiny_scene, seed)
    assert rolled.declared
    assert len(rolled.actions) <= MAX_GRASP_STEPS
    assert rolled.phases[-1] is Phase.CLOSE
    np.testing.assert_allclose(
        rolled.poses[-1].translation, tiny_scene.grasp.scene_from_grasp.translation, atol=1e-5
    )
    assert kept_away(
        [pose.matrix for pose in rolled.poses], tiny_scene.hand_clearance, tiny_scene.object_clearance
    ).all()


@some
@given(seed=seeds)
def test_up_to_the_final_approach_it_does_what_it_does_without(tiny_scene, seed):
    longer, shorter = rollout(tiny_scene, seed), REACHES.rollout(tiny_scene, initial(tiny_scene, seed))
    common = longer.phases.index(Phase.ADVANCE)
    assert common > 0.6 * len(shorter.actions)
    np.testing.assert_array_equal(longer.actions[:common], shorter.actions[:common])


@some
@given(seed=seeds)
def test_the_final_approach_is_slow_and_straight(tiny_scene, seed):
    rolled = rollout(tiny_scene, seed)
    grasp_from_scene = tiny_scene.grasp.scene_from_grasp.inverse()
    begin = rolled.phases.index(Phase.ADVANCE)
    along = np.array([grasp_from_scene.apply(pose.translation) for pose in rolled.poses[begin:]])
    assert (np.diff(along[:, 2]) <= FINAL_STEP_M + 1e-7).all()
    assert (np.diff(np.hypot(*along[:, :2].T)) <= 1e-6).all()
    assert np.hypot(*along[4:, :2].T).max() < 1e-5


@pytest.mark.parametrize("offset", [(0, 0, 0.3), (0.02, -0.01, 0.15), (0, 0.028, 0.05), (0.005, 0, -0.02)])
@pytest.mark.parametrize("turn", [(0, 0, 0), (0.1, 0, 0.05)])
def test_from_wherever_it_is_picked_up_it_comes_to_the_grasp(tiny_scene, offset, turn):
    offset = SE3(Rotation.from_rotvec(turn).as_matrix(), -np.array(offset, float))
    rolled = GRASPS.rollout(tiny_scene, tiny_scene.grasp.scene_from_grasp @ offset)
    assert rolled.declared
    distance, angle = remaining(rolled.poses[-1], tiny_scene.grasp.scene_from_grasp)
    assert distance < GRASPS.final_approach.deep_m
    assert angle < GRASPS.final_approach.close_turned_rad


@pytest.mark.parametrize(
    ("along", "beside", "closes"),
    [(0, 0, True), (-0.003, 0, True), (-0.005, 0, False), (0.014, 0, True), (0, 0.011, False)],
)
def test_depth_is_forgiven_shortness_is_not(along, beside, closes):
    assert FinalApproach(0.3).closes(SE3(np.eye(3), np.array([beside, 0.0, along]))) is closes


def test_off_the_line_it_begins_anew(tiny_scene):
    beside = tiny_scene.grasp.scene_from_grasp @ SE3(np.eye(3), np.array([0.2, 0, -0.1]))
    assert GRASPS.phase_at(tiny_scene, beside) not in (Phase.ADVANCE, Phase.CLOSE)
    rolled = GRASPS.rollout(tiny_scene, beside)
    assert rolled.declared


def test_a_hand_eye_offset_brings_the_gripper_to_the_grasp(tiny_scene):
    offset = SE3(Rotation.from_rotvec([0.1, 0, 0.05]).as_matrix(), np.array([0.0, -0.06, 0.02]))
    expert = ThreePhaseExpert(task="grasp", gripper_from_camera=offset)
    rolled = expert.rollout(tiny_scene, initial(tiny_scene, 3) @ offset, max_steps=80)
    assert rolled.declared
    end = rolled.poses[-1] @ offset.inverse()
    np.testing.assert_allclose(end.translation, tiny_scene.grasp.scene_from_grasp.translation, atol=1e-5)


def test_labels_lead_on_to_the_grasp_where_the_fingers_may_close(tiny_scene):
    labeller = Labeller(expert=GRASPS)
    grasp = tiny_scene.grasp.scene_from_grasp
    pose = grasp @ SE3(np.eye(3), np.array([0.004, 0.0, 0.008]))
    action, camera_from_goal = labeller(tiny_scene, pose)
    assert action[6] == 1
    assert labeller.arrived(tiny_scene, pose)
    assert remaining(pose @ decode_action(action)[0], grasp)[0] < 1e-6
    assert remaining(pose @ camera_from_goal, grasp)[0] < 1e-9


def test_another_task_is_told():
    with pytest.raises(PolicyError, match=r"'throw'.*reach, grasp"):
        ThreePhaseExpert(task="throw")
