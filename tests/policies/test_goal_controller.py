import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experts.three_phase import ThreePhaseExpert
from h2rh_env.core.action import decode_action
from h2rh_env.core.geometry import SE3, look_at, rotation_angle, rotation_from_euler_xyz
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.motion_limits import STEP_M, STEP_RAD
from h2rh_env.core.task import GRASP_SCORE_THRESHOLD, MAX_EPISODE_STEPS
from h2rh_env.envs.initial_poses import sample_initial_poses
from policies.config import ControlConfig
from policies.goal_controller import step_towards

CONTACT = np.array([0.0, 0.0, 0.405])


def step(world_from_camera: SE3, world_from_goal: SE3) -> tuple[SE3, float]:
    goal = world_from_camera.inverse() @ world_from_goal
    sight = goal.apply(CONTACT)
    action = step_towards(SE3.stack([goal]), sight[None] / np.linalg.norm(sight), ControlConfig())[0]
    return decode_action(action)


@given(
    st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1),
    st.floats(-0.3, 0.3),
    st.floats(-0.3, 0.3),
)
def test_steps_lead_to_the_goal_and_declare_there(direction: list[float], pan: float, tilt: float) -> None:
    goal = SE3.identity()
    eye = goal.apply(CONTACT) + 0.8 * np.array([direction[0], direction[1], -1.0]) / 1.5
    pose = look_at(eye, goal.apply(CONTACT)) @ SE3(rotation_from_euler_xyz([tilt, pan, 0]), np.zeros(3))
    for _ in range(MAX_EPISODE_STEPS):
        motion, score = step(pose, goal)
        assert np.linalg.norm(motion.translation) <= STEP_M + 1e-6
        assert rotation_angle(motion.rotation) <= STEP_RAD + 1e-6
        if score >= GRASP_SCORE_THRESHOLD:
            break
        pose = pose @ motion
    assert score >= GRASP_SCORE_THRESHOLD
    assert np.linalg.norm(pose.translation) < 0.021


def test_either_half_turn_of_the_goal_gives_the_same_step() -> None:
    goal = SE3(rotation_from_euler_xyz([0.2, -0.1, 0.6]), np.array([0.05, 0.1, 0.2]))
    first, second = (step(SE3.identity(), g)[0] for g in (goal, half_turned(goal)))
    np.testing.assert_allclose(first.matrix, second.matrix, atol=1e-6)


def test_at_the_goal_nothing_is_left_to_do() -> None:
    motion, score = step(SE3.identity(), SE3.identity())
    np.testing.assert_allclose(motion.matrix, np.eye(4), atol=1e-7)
    assert score == 1


def test_knowing_the_true_goal_it_acts_as_the_expert_does(tiny_scene) -> None:
    expert = ThreePhaseExpert()
    for world_from_camera in sample_initial_poses(tiny_scene, np.random.default_rng(0), 10):
        for pose in expert.rollout(tiny_scene, world_from_camera).poses[:-1]:
            camera_from_world = pose.inverse()
            goal = camera_from_world @ expert.goal(tiny_scene, pose)
            sight = camera_from_world.apply(tiny_scene.object_centre)
            action = step_towards(SE3.stack([goal]), sight[None] / np.linalg.norm(sight), ControlConfig())[0]
            motion, _ = decode_action(action)
            expected, _ = expert.plan_step(tiny_scene, pose)
            off = expected.inverse() @ motion
            assert np.linalg.norm(off.translation) < 0.2 * STEP_M
            assert rotation_angle(off.rotation) < 0.8 * STEP_RAD  # the expert aims from where the step ends
