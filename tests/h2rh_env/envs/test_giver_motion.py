"""A giver who moves: within the speed that was promised, the same for the same seed, and seen as it should be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from experts.three_phase import ThreePhaseExpert
from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.core.task import MAX_EPISODE_STEPS
from h2rh_env.envs.giver_motion import STEP_S, GiverMotion, MovingGiver, peak_speeds
from h2rh_env.envs.handover import H2RHandoverEnv

STILL = encode_action(SE3.identity(), 0.0)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), speed=st.floats(0, 0.5), turn=st.floats(0, 1))
def test_no_motion_exceeds_its_bounds_and_each_begins_at_rest(seed, speed, turn):
    motion = MovingGiver(speed, turn).draw(np.random.default_rng(seed))
    fastest, fastest_turn = peak_speeds(motion)
    assert fastest <= speed + 1e-9
    assert fastest_turn <= turn + 1e-7
    np.testing.assert_array_equal(motion.offsets_world[0], 0)
    np.testing.assert_array_equal(motion.world_from_scene(np.array([1.0, 2, 3]), 0).matrix, np.eye(4))


def test_motions_differ_and_do_move():
    rng = np.random.default_rng(0)
    ends = np.array([MovingGiver().draw(rng).offsets_world[-1] for _ in range(50)])
    assert np.median(np.linalg.norm(ends, axis=1)) > 0.02


def test_hand_and_object_turn_about_the_objects_centre():
    motion = GiverMotion(np.array([[0.0, 0, 0], [0.01, 0, 0]]), np.array([[0.0, 0, 0], [0, 0, 0.1]]))
    centre = np.array([0.5, 0.3, 0.3])
    np.testing.assert_allclose(motion.world_from_scene(centre, 1).apply(centre), centre + [0.01, 0, 0])
    np.testing.assert_array_equal(
        motion.world_from_scene(centre, 9).matrix, motion.world_from_scene(centre, 1).matrix
    )


def test_a_camera_at_rest_in_the_room_drifts_in_the_scene(tiny_scene):
    env = H2RHandoverEnv(tiny_scene, giver="moving")
    _, info = env.reset(seed=0)
    world_from_camera = env.scene_from_camera.matrix
    drifted = []
    for _ in range(10):
        _, _, _, _, info = env.step(STILL)
        np.testing.assert_allclose(
            info["world_from_scene"] @ info["scene_from_camera"], world_from_camera, atol=1e-12
        )
        drifted.append(np.linalg.norm(info["scene_from_camera"] - world_from_camera))
    assert max(drifted) > 1e-3


def test_an_action_moves_the_camera_in_the_room_in_its_own_frame(tiny_scene):
    env = H2RHandoverEnv(tiny_scene, giver="moving")
    env.reset(seed=0)
    before = env.world_from_scene @ env.scene_from_camera
    motion = SE3(np.eye(3), np.array([0.01, -0.02, 0.03]))
    env.step(encode_action(motion, 0.0))
    after = env.world_from_scene @ env.scene_from_camera
    np.testing.assert_allclose((before.inverse() @ after).matrix, motion.matrix, atol=1e-7)


def test_a_giver_with_no_speed_is_a_giver_who_stands(tiny_scene):
    still = H2RHandoverEnv(tiny_scene)
    slow = H2RHandoverEnv(tiny_scene, giver=MovingGiver(0.0, 0.0))
    (a, _), (b, _) = still.reset(seed=5), slow.reset(seed=5)
    np.testing.assert_array_equal(a["rgb"], b["rgb"])
    step = encode_action(SE3(np.eye(3), np.array([0, 0.01, 0.05])), 0.0)
    for _ in range(3):
        np.testing.assert_allclose(
            still.step(step)[4]["scene_from_camera"], slow.step(step)[4]["scene_from_camera"]
        )


def test_the_object_is_seen_where_the_giver_carried_it(tiny_scene):
    """A camera at rest in the room sees the object's centre at the carried place's projection."""
    recorded = np.tile(np.eye(4), (11, 1, 1))
    recorded[:, 0, 3] = 0.01 * np.arange(11)
    env = H2RHandoverEnv(tiny_scene, giver=MovingGiver(recorded=[recorded]))
    pregrasp = tiny_scene.grasp.pregrasp()
    env.reset(seed=0, options={"scene_from_camera": pregrasp.matrix})
    for _ in range(10):
        observation, *_ = env.step(STILL)
    rows, columns = np.nonzero(observation["masks"].max(axis=2))
    carried = np.concatenate([tiny_scene.object_points, tiny_scene.hand_points]) + [0.1, 0, 0]
    expected = HAND_EYE_CAMERA.project(pregrasp.inverse().apply(carried))
    assert columns.min() == pytest.approx(expected[:, 0].min(), abs=8)
    assert columns.max() == pytest.approx(expected[:, 0].max(), abs=8)
    assert rows.mean() == pytest.approx(expected[:, 1].mean(), abs=6)


def test_a_recorded_motion_is_replayed_from_its_first_pose(tiny_scene):
    poses = []
    for step in range(5):
        turned = Rotation.from_euler("z", 0.01 * step).as_matrix()
        poses.append(SE3(turned, np.array([3.0, 1.0 + 0.005 * step, 2.0])).matrix)
    motion = MovingGiver(recorded=[poses]).draw(np.random.default_rng(0))
    np.testing.assert_allclose(motion.offsets_world[-1], [0, 0.02, 0], atol=1e-12)
    np.testing.assert_allclose(motion.rotvecs_world[-1], [0, 0, 0.04], atol=1e-12)
    assert peak_speeds(motion) == pytest.approx((0.05, 0.1))


def test_wrong_motions_say_what_would_be_right():
    fast = np.tile(np.eye(4), (2, 1, 1))
    fast[1, 0, 3] = 0.2 * STEP_S
    with pytest.raises(ValueError, match=r"0\.2 m/s.*bounds are 0\.1 m/s"):
        MovingGiver(recorded=[fast])
    with pytest.raises(ValueError, match=r"\(T, 4, 4\)"):
        MovingGiver(recorded=[np.eye(4)])
    with pytest.raises(ValueError, match="max_speed_mps"):
        MovingGiver(max_speed_mps=-1)
    assert peak_speeds(MovingGiver(recorded=[np.eye(4)[None]]).draw(np.random.default_rng(0))) == (0, 0)


def test_the_expert_reaches_a_giver_who_moves(tiny_scene):
    """It looks at scene and pose alone, so it follows; it may not wait for a millimetre."""
    env = H2RHandoverEnv(tiny_scene, camera=HAND_EYE_CAMERA.resized(56, 42), giver="moving")
    expert = ThreePhaseExpert(tolerance_m=0.02, tolerance_rad=0.07)
    successes = 0
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(MAX_EPISODE_STEPS):
            action = expert.action_at(env.scene, env.scene_from_camera)
            _, reward, terminated, _, info = env.step(action)
            if terminated:
                break
        successes += reward == 1
        assert not terminated or env.unwrapped.failures[info["first_failure_index"]] in {
            None,
            "too near on the way",
        }
        assert decode_action(action)[1] in {0, 1}
    assert successes >= 19
