"""H2RHandoverGrasp-v0: the episode goes on until the fingers close, and contact decides."""

import json

import gymnasium as gym
import numpy as np
import pytest

from experts.three_phase import ThreePhaseExpert
from h2rh_env.contact.conditions import ContactConditions
from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import PANDA
from h2rh_env.core.task import MAX_GRASP_STEPS
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.envs.reward import ShapedGraspReward
from h2rh_env.scenes.handover_scene import load_scenes

CAMERA = HAND_EYE_CAMERA.resized(56, 42)
ID = "H2RHandoverGrasp-v0"
CLOSE = encode_action(SE3.identity(), 1.0)
FOUND = ("is_success", "first_failure_index", "touched_hand", "pushed_m")


@pytest.fixture(scope="module")
def scene():
    (found,) = [scene for scene in load_scenes() if scene.name == "mustard_bottle-00414"]
    return found


def make(scene, **options):
    return H2RHandoverEnv(scene, CAMERA, task="grasp", **options)


def forward(length_m):
    return encode_action(SE3(np.eye(3), np.array([0, 0, length_m])), 0.0)


def run_expert(env, seed):
    """The last step of the expert's episode."""
    expert = ThreePhaseExpert(task="grasp", gripper_from_camera=env.gripper_from_camera)
    env.reset(seed=seed)
    for _ in range(MAX_GRASP_STEPS):
        expert.observe_state(env.scene, env.scene_from_camera)
        stepped = env.step(expert.act({}))
        if stepped[2]:
            break
    return stepped


@pytest.mark.parametrize("giver", ["still", "moving"])
def test_the_expert_is_handed_the_object(scene, giver):
    _, reward, terminated, _, info = run_expert(make(scene, giver=giver), 1)
    assert (reward, terminated) == (1.0, True)
    assert info["is_success"]
    assert info["first_failure_index"] == 0
    assert not info["touched_hand"]
    assert info["pushed_m"] < 0.02


def test_the_gripper_not_the_camera_is_what_arrives(scene):
    offset = SE3(np.eye(3), np.array([0.0, -0.07, -0.03]))
    _, reward, _, _, info = run_expert(make(scene, gripper_from_camera=offset), 1)
    assert (reward, info["first_failure_index"]) == (1.0, 0)


@pytest.mark.parametrize(
    ("short_m", "failure"), [(0.0, None), (0.06, "closed on nothing"), (0.3, "closed on nothing")]
)
def test_where_the_fingers_close_decides(scene, short_m, failure):
    env = make(scene, conditions=ContactConditions.exact())
    env.reset(seed=0, options={"scene_from_camera": scene.grasp.pregrasp()})
    for _ in range(10):
        env.step(forward((0.3 - short_m) / 10))
    _, reward, terminated, _, info = env.step(CLOSE)
    assert terminated
    assert (env.unwrapped.failures[info["first_failure_index"]], reward) == (failure, float(failure is None))


def test_near_the_object_off_the_final_approach_is_too_near(scene):
    env = make(scene, conditions=ContactConditions.exact())
    grasp = scene.grasp.scene_from_grasp
    beside = grasp @ SE3(np.eye(3), np.array([0.0, 0.055, 0.0]))
    env.reset(seed=0, options={"scene_from_camera": beside})
    assert env.step(np.zeros(7, np.float32))[-1]["clearance_m"] < 0.1
    for motion in ((0, -0.055, 0), (0, 0, 0)):
        env.step(encode_action(SE3(np.eye(3), np.array(motion, float)), 0.0))
    *_, info = env.step(CLOSE)
    assert env.unwrapped.failures[info["first_failure_index"]] == "too near on the way"
    assert not info["is_success"]


def test_an_episode_is_truncated_after_sixty_steps(tiny_scene):
    env = gym.make(ID, scenes=tiny_scene, camera=CAMERA)
    env.reset(seed=0)
    ends = [env.step(np.zeros(7, np.float32))[2:4] for _ in range(MAX_GRASP_STEPS)]
    assert ends == [(False, False)] * (MAX_GRASP_STEPS - 1) + [(False, True)]


def test_the_giver_moves_on_as_long_as_the_episode_lasts(tiny_scene):
    short, long = (
        H2RHandoverEnv(tiny_scene, CAMERA, giver="moving", task=task) for task in ("reach", "grasp")
    )
    for env in (short, long):
        env.reset(seed=4)
    poses = [
        [env.step(np.zeros(7, np.float32))[-1]["world_from_scene"] for _ in range(60)]
        for env in (short, long)
    ]
    np.testing.assert_array_equal(poses[0][:30], poses[1][:30])
    np.testing.assert_array_equal(poses[0][30], poses[0][59])
    assert np.abs(poses[1][59] - poses[1][40]).max() > 1e-3


def test_episodes_of_a_seed_begin_as_those_that_only_reach(tiny_scene):
    reach, grasp = (H2RHandoverEnv(tiny_scene, CAMERA, task=task) for task in ("reach", "grasp"))
    for a, b in zip(reach.reset(seed=9)[0].values(), grasp.reset(seed=9)[0].values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("giver", ["still", "moving"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_many_at_once_are_single_ones(scene, giver, mode):
    options = {"scenes": scene, "camera": CAMERA, "giver": giver, "rasteriser": "numba"}
    fast = gym.make_vec(ID, num_envs=2, autoreset_mode=mode, **options)
    slow = gym.vector.SyncVectorEnv([lambda: gym.make(ID, **options)] * 2, autoreset_mode=mode)
    pose = scene.grasp.pregrasp() @ SE3(np.eye(3), np.array([0.0, 0, 0.27]))
    for env in (fast, slow):
        env.reset(seed=1, options={"scene_from_camera": pose})
    for scores in ([0, 0], [1, 0], [0, 1], [0, 0]):
        actions = np.zeros((2, 7), np.float32)
        actions[:, 5], actions[:, 6] = 0.01, scores
        stepped, expected = fast.step(actions), slow.step(actions)
        for name in ("rgb", "masks"):
            np.testing.assert_array_equal(stepped[0][name], expected[0][name])
        for a, b in zip(stepped[1:4], expected[1:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert stepped[4].keys() == expected[4].keys()
        for key in FOUND:
            np.testing.assert_array_equal(stepped[4].get(key), expected[4].get(key))
    assert fast.max_episode_steps == MAX_GRASP_STEPS


def test_a_state_brings_back_the_verdict_too(scene):
    env, other = make(scene, giver="moving"), make(scene)
    env.reset(seed=2, options={"scene_from_camera": scene.grasp.scene_from_grasp})
    state = json.loads(json.dumps(env.get_state()))
    *_, expected = env.step(CLOSE)
    other.set_state(state)
    *_, info = other.step(CLOSE)
    assert [info[key] for key in FOUND] == [expected[key] for key in FOUND]
    again = env.reset(seed=3, options={"scene_from_camera": scene.grasp.scene_from_grasp})
    assert not again[1]["is_success"]
    assert env.step(CLOSE)[-1]["pushed_m"] != expected["pushed_m"], "another seed draws other conditions"


def test_the_shaped_reward_leads_to_the_grasp_and_forgives_the_object_on_the_final_approach(tiny_scene):
    reward, grasp = ShapedGraspReward(), tiny_scene.grasp.scene_from_grasp
    line = [grasp @ SE3(np.eye(3), np.array([0, 0, -z])) for z in (0.3, 0.2, 0.1, 0.0)]
    potentials = [reward.potential(tiny_scene, pose) for pose in line]
    assert potentials == sorted(potentials)
    assert potentials[-1] == pytest.approx(1)
    beside = grasp @ SE3(np.eye(3), np.array([0.12, 0, 0.0]))
    assert reward.potential(tiny_scene, beside) < reward.potential(tiny_scene, line[1])
    on_line = reward.moved(tiny_scene, line[3], line[3], 0.05)
    off_line = reward.moved(tiny_scene, beside, beside, 0.05)
    shaping = [0.5 * (0.99 - 1) * reward.potential(tiny_scene, pose) for pose in (line[3], beside)]
    assert on_line == pytest.approx(shaping[0])
    assert off_line == pytest.approx(shaping[1] - 0.25 * 0.5)


def test_options_that_would_be_ignored_are_errors(tiny_scene):
    with pytest.raises(ValueError, match="task='grasp' alone"):
        H2RHandoverEnv(tiny_scene, conditions=ContactConditions())
    with pytest.raises(ValueError, match="neither drawn"):
        H2RHandoverEnv(tiny_scene, gripper=PANDA)
    with pytest.raises(ValueError, match="reach, grasp"):
        H2RHandoverEnv(tiny_scene, task="throw")
