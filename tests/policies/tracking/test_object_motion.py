"""The distance of an object that is carried about, and its path, come out of what frames show."""

import numpy as np
import pytest

from h2rh_env.core.action import decode_action
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.giver_motion import MovingGiver
from h2rh_env.envs.observer import Observer
from h2rh_env.envs.simulator import Simulator
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.config import PolicyConfig
from policies.tracking.numba_register import register
from policies.tracking.object_motion import MotionTracker, ObjectMotion
from policies.tracking.tracker import OwnTracker

CONFIG = PolicyConfig()

STEP = np.array([0.02, -0.03, 0.01, 0.01, -0.005, 0.045, 0.0], np.float32)


def approach(scene: HandoverScene, giver: MovingGiver | str, frames: int = 9):
    """A camera comes nearer, back and forth: the distance at its end, and what trackers make of it."""
    simulator = Simulator(scene, Observer(HAND_EYE_CAMERA, "numba"), giver=giver)
    state = simulator.begin(np.random.default_rng(3))
    plain, moving, world_from_camera = OwnTracker(CONFIG), MotionTracker(CONFIG), SE3.identity()
    for number in range(frames):
        seen = {name: images[0] for name, images in simulator.observe([state]).items()}
        track = plain.see(seen["rgb"], seen["masks"])
        corrected, motion = moving.track(track, world_from_camera)
        action = STEP * (1 if number % 4 < 3 else -0.5)
        if number < frames - 1:
            simulator.act(state, action, *decode_action(action))
            plain.acted(action)
            world_from_camera = world_from_camera @ decode_action(action)[0]
    centre = state.scene_from_camera.inverse().apply(state.scene.object_centre)
    return float(np.linalg.norm(centre)), track, motion, corrected, state


def drift(speed_mps: float, direction: np.ndarray) -> MovingGiver:
    """A giver who walks on."""
    poses = np.tile(np.eye(4), (31, 1, 1))
    poses[:, :3, 3] = np.arange(31)[:, None] * 0.1 * speed_mps * direction
    return MovingGiver(recorded=[poses])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_who_walks_on_is_ranged_better_than_by_a_sweep(
    tiny_scene: HandoverScene, axis: int, sign: int
) -> None:
    giver = drift(0.05, sign * np.eye(3)[axis])
    distance_m, swept, motion, corrected, state = approach(tiny_scene, giver)
    off = [
        abs(np.log(found / distance_m))
        for found in (swept.distance_m, motion.distance_m, corrected.distance_m)
    ]
    assert max(off[1:]) < 0.13
    assert max(off[1:]) < off[0] / 2
    walked = state.world_from_scene.apply(state.scene.object_centre) - state.scene.object_centre
    assert np.linalg.norm(motion.path[-1]) == pytest.approx(np.linalg.norm(walked), rel=0.5)


def test_who_stands_still_is_seen_to(tiny_scene: HandoverScene) -> None:
    distance_m, _, motion, corrected, _ = approach(tiny_scene, "still")
    assert abs(np.log(motion.distance_m / distance_m)) < 0.08
    assert abs(np.log(corrected.distance_m / distance_m)) < 0.08
    assert np.linalg.norm(motion.velocity) < 0.05
    assert np.linalg.norm(motion.path, axis=1).max() < 0.04


def test_nothing_seen_is_no_end(tiny_scene: HandoverScene) -> None:
    """Frames without object and hand, at first and in between, leave what is known, and time goes on."""
    simulator = Simulator(tiny_scene, Observer(HAND_EYE_CAMERA, "numba"))
    state = simulator.begin(np.random.default_rng(3))
    nothing = np.zeros((168, 224, 3), np.uint8), np.zeros((168, 224, 2), np.uint8)
    seen = {name: images[0] for name, images in simulator.observe([state]).items()}
    plain, object_motion, pose = OwnTracker(CONFIG), ObjectMotion(CONFIG), SE3.identity()
    for number, frame in enumerate([nothing, tuple(seen.values()), nothing, tuple(seen.values())]):
        motion = object_motion.see(plain.see(*frame), pose)
        plain.acted(np.zeros(7))
        assert len(motion.path) == number
        assert np.isfinite([motion.distance_m, motion.sigma, *motion.velocity]).all()


@pytest.mark.parametrize("shift", [[0, 0, 0], [0.03, -0.02, 0.0], [0.0, 0.01, 0.08], [-0.02, 0.02, -0.05]])
def test_registration_finds_the_motion_between_two_frames(shift: list[float]) -> None:
    height, width, focal = 86, 114, np.float32(84)
    now, then = (np.zeros((height, width, 4), np.float32) for _ in range(2))
    rows, columns = np.mgrid[1 : height - 1, 1 : width - 1] + 0.5
    for frame, (x, y, z) in ((now, (0, 0, 0)), (then, shift)):
        # A plane at distance 1, painted with smooth blobs, before a camera that looks straight at it.
        u, v = ((columns - width / 2) * (1 + z) / focal - x, (rows - height / 2) * (1 + z) / focal - y)
        for k, (a, b) in enumerate([(0.1, 0.05), (-0.05, 0.1), (0.02, -0.1)]):
            frame[1:-1, 1:-1, k] = np.exp(-((u - a) ** 2 + (v - b) ** 2) / 0.01)
    steps = np.linspace(-25, 25, 20)
    places = np.stack(np.meshgrid(width / 2 + steps, height / 2 + steps), axis=-1).reshape(-1, 2)
    found = np.zeros(3)
    ahead, turn = np.array([0, 0, 1], np.float32), np.eye(3, dtype=np.float32)
    register(now, then, turn, focal, places.astype(np.float32), ahead, found, 20, np.float32(0.15))
    np.testing.assert_allclose(found, shift, atol=0.002)
