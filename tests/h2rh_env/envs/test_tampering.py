"""What is handed out belongs to the caller: whatever is done to it changes neither episode nor verdict."""

import gymnasium as gym
import numpy as np
import pytest

from h2rh_env.core.action import encode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.handover import H2RHandoverEnv

CAMERA = HAND_EYE_CAMERA.resized(56, 42)
STEPS = [
    *(encode_action(SE3(np.eye(3), np.array([0.0, 0, 0.04])), 0.0),) * 3,
    encode_action(SE3.identity(), 1),
]


def leave(observation, info):
    """Does nothing: what the others are held to."""


def all_object(observation, info):
    observation["masks"][:] = 255


def nothing_seen(observation, info):
    observation["masks"][:] = 0
    observation["rgb"][:] = 0


def poses_elsewhere(observation, info):
    for name in ("scene_from_camera", "world_from_camera", "world_from_scene"):
        info[name][:] = 0
    observation.clear()


TAMPERINGS = (all_object, nothing_seen, poses_elsewhere)


def off_centre(scene):
    """A pose in the band that does not look at the object, and one that does."""
    pregrasp = scene.grasp.pregrasp()
    turned = SE3(
        np.array([[np.cos(0.6), 0, np.sin(0.6)], [0, 1, 0], [-np.sin(0.6), 0, np.cos(0.6)]]), np.zeros(3)
    )
    return {"off centre": pregrasp @ turned, None: pregrasp}


@pytest.mark.parametrize("tamper", [leave, *TAMPERINGS])
def test_a_verdict_cannot_be_painted(tiny_scene, tamper):
    env = H2RHandoverEnv(tiny_scene)
    for failure, pose in off_centre(tiny_scene).items():
        observation, info = env.reset(seed=0, options={"scene_from_camera": pose})
        tamper(observation, info)
        observation, reward, terminated, _, info = env.step(encode_action(SE3.identity(), 1.0))
        assert terminated
        assert (env.unwrapped.failures[info["first_failure_index"]], reward) == (
            failure,
            float(failure is None),
        )
        tamper(observation, info)
        assert env.record().end_object_mask.any() == (failure is None)


def single_episode(scene, tamper, giver):
    """What an episode gave, copied before it was tampered with."""
    env = H2RHandoverEnv(scene, CAMERA, giver=giver, render_mode="rgb_array", depth=True)
    kept = []

    def note(observation, info, *rest):
        kept.append([*(image.copy() for image in observation.values()), *map(np.copy, info.values()), *rest])
        kept.append([env.render().copy()])
        env.render()[:] = 7
        env.scene_from_camera.translation[:] = 9
        tamper(observation, info)

    note(*env.reset(seed=3))
    for action in STEPS:
        given = action.copy()
        observation, reward, terminated, _, info = env.step(given)
        given[:] = 0.01
        note(observation, info, reward, terminated)
    record = env.record()
    return kept, [record.scene_from_gripper, record.actions, record.end_object_mask]


@pytest.mark.parametrize("giver", ["still", "moving"])
@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_tampering_changes_no_bit_of_an_episode(tiny_scene, tamper, giver):
    (seen, record), (expected, expected_record) = (
        single_episode(tiny_scene, how, giver) for how in (tamper, leave)
    )
    for step, other in zip([*seen, record], [*expected, expected_record], strict=True):
        for a, b in zip(step, other, strict=True):
            np.testing.assert_array_equal(a, b)


def vector_episodes(scene, tamper, mode):
    env = gym.make_vec(
        "H2RHandover-v0", 3, scenes=scene, camera=CAMERA, autoreset_mode=mode, render_mode="rgb_array"
    )
    kept = []

    def note(observation, infos, *rest):
        kept.append([observation[name].copy() for name in ("rgb", "masks")] + list(map(np.copy, rest)))
        kept.append([np.copy(infos[name]) for name in ("is_success", "scene_from_camera", "clearance_m")])
        for last in infos.get("final_obs", np.zeros(3, object)):
            if last:
                kept.append([image.copy() for image in last.values()])
                last["masks"][:] = 255
        for image in env.render():
            image[:] = 3
        tamper(observation, infos)

    note(*env.reset(seed=5))
    for number in range(34):
        actions = np.stack([STEPS[(number + i) % 3] if number % 11 else STEPS[-1] for i in range(3)])
        actions[number % 3, 6] = 0
        observation, *rest, infos = env.step(actions)
        note(observation, infos, *rest)
    return kept


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_tampering_changes_no_bit_of_many_episodes(tiny_scene, tamper, mode):
    for step, other in zip(
        vector_episodes(tiny_scene, tamper, mode), vector_episodes(tiny_scene, leave, mode), strict=True
    ):
        for a, b in zip(step, other, strict=True):
            np.testing.assert_array_equal(a, b)
