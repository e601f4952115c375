"""The film of a trial shows all of it: every frame, the whole arm, and what the hand-eye camera saw."""

import math

import imageio.v2 as imageio
import numpy as np
import pytest

from h2rh_env.core.geometry import SE3
from real_robot.benchmark.video import CAMERA, FRAMES_PER_S, _camera_before, write_video
from real_robot.drivers.ur.kinematics import UR5
from real_robot.emulator.base_placement import place
from real_robot.emulator.rehearsal import FLANGE_FROM_GRIPPER
from real_robot.interfaces import RobotState
from real_robot.safety.decision import Decision, Verdict
from real_robot.safety.trial_log import TickLine, TrialLine, TrialLog


@pytest.mark.parametrize("far_m", [0.3, 1.2])
def test_the_fixed_camera_shows_every_point(far_m):
    points = far_m * np.array([[0, 0, 0], [1, 0, 0.2], [0.3, 0.4, 1], [0.6, -0.4, -0.3]], float)
    seen = _camera_before(SE3.identity(), points).inverse().apply(points)
    pixels = CAMERA.project(seen)
    assert (seen[:, 2] > 0).all()
    assert ((pixels > 0) & (pixels < [CAMERA.width, CAMERA.height])).all()


def test_a_film_has_a_frame_for_each_moment_with_both_views(scene, rasteriser, tmp_path):
    placement, log = place(scene, UR5, FLANGE_FROM_GRIPPER, np.random.default_rng(0)), tmp_path / "log.jsonl"
    state = RobotState(0.0, placement.world_from_start, np.zeros(3), np.zeros(3))
    with TrialLog(log) as written:
        written.write(TrialLine("simulated", "mine", 0, "can", SE3.identity(), {}))
        for k in range(126):
            written.write(TickLine.of(Decision(Verdict.GO), k / 125, 0.0, state, None, math.inf, []))
    count = write_video(tmp_path / "film.mp4", log, scene, placement, UR5, rasteriser)
    frames = [np.asarray(frame) for frame in imageio.get_reader(tmp_path / "film.mp4")]
    assert count == len(frames) == FRAMES_PER_S + 1
    assert frames[0].shape == (CAMERA.height, 2 * CAMERA.width, 3)
    left, right = frames[0][:, : CAMERA.width].astype(float), frames[0][:, CAMERA.width :].astype(float)
    assert np.abs(left - right).mean() > 10
