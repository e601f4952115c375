import numpy as np
import pytest
import torch

from h2rh_env.core.action import encode_action
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.task import CLEARANCE_M, MAX_EPISODE_STEPS
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.config import PolicyConfig
from policies.networks.base import HandoverNetwork
from policies.networks.inputs import FrameInputs
from policies.training.rollouts import HELD_FRAMES, roll_out


class Scripted(HandoverNetwork):
    """Gives the same action at every frame; declares in frames brighter than 100."""

    inputs = FrameInputs(4, 4)
    config = PolicyConfig()

    def __init__(self, forward_m: float = 0.0) -> None:
        super().__init__()
        self.forward_m = forward_m

    def forward(self, images: torch.Tensor, geometry: torch.Tensor) -> torch.Tensor:
        actions = torch.zeros(len(images), 7)
        actions[:, 5] = self.forward_m
        actions[:, 6] = (images[:, 0].amax((1, 2)) > 100 / 255).float()
        return actions


def observe(brightness: dict[str, int]):
    def look(scenes, poses):
        rgb = np.zeros((len(poses), 4, 4, 3), np.uint8)
        rgb += np.array([brightness[scene.name] for scene in scenes], np.uint8)[:, None, None, None]
        return rgb, np.full((len(poses), 4, 4, 2), 255, np.uint8)

    return look


def test_an_episode_that_is_never_declared_takes_all_steps(tiny_scene: HandoverScene) -> None:
    start = tiny_scene.grasp.pregrasp()
    outcomes, frames = roll_out(Scripted(), [(tiny_scene, start, 0)], observe({"tiny": 0}))
    assert frames is None
    assert (outcomes[0].score.declared, outcomes[0].score.steps) == (False, MAX_EPISODE_STEPS)
    assert outcomes[0].score.first_failure == "not declared"


def test_declaring_at_the_pregrasp_pose_at_once_succeeds(tiny_scene: HandoverScene) -> None:
    start = tiny_scene.grasp.pregrasp()
    outcomes, _ = roll_out(Scripted(0.01), [(tiny_scene, start, 0)] * 3, observe({"tiny": 200}), together=2)
    assert [(each.score.success, each.score.steps) for each in outcomes] == [(True, 0)] * 3


def test_the_goal_s_error_is_that_of_the_end_pose(tiny_scene: HandoverScene) -> None:
    goal = tiny_scene.grasp.pregrasp()
    aside = goal @ SE3(rotation_from_euler_xyz([0, 0, 0.1]), np.array([0.03, 0.0, 0.04]))
    poses = [(tiny_scene, pose, 0) for pose in (goal, half_turned(goal), aside)]
    outcomes, _ = roll_out(Scripted(), poses, observe({"tiny": 200}))
    errors = [(each.goal_error_m, each.goal_error_rad) for each in outcomes]
    np.testing.assert_allclose(errors, [(0, 0), (0, 0), (0.05, 0.1)], atol=1e-6)


@pytest.mark.parametrize(("brightness", "frames_wanted"), [(0, MAX_EPISODE_STEPS + 1), (200, HELD_FRAMES)])
def test_every_visited_frame_is_kept_with_its_label(
    tiny_scene: HandoverScene, brightness: int, frames_wanted: int
) -> None:
    answer = encode_action(SE3(np.eye(3), np.array([0.01, 0.02, 0.03])), 1.0)
    start = tiny_scene.grasp.pregrasp()
    _, frames = roll_out(
        Scripted(),
        [(tiny_scene, start, 0)],
        observe({"tiny": brightness}),
        lambda scene, pose: (answer, SE3.identity()),
    )
    assert frames is not None
    assert len(frames) == frames_wanted
    torch.testing.assert_close(frames.actions, torch.from_numpy(answer).expand(frames_wanted, 7))
    assert set(frames.scenes) == {"tiny"}


def test_labelling_ends_where_the_clearance_is_broken(tiny_scene: HandoverScene) -> None:
    positions = []

    def label(scene: HandoverScene, pose: SE3) -> tuple[np.ndarray, SE3]:
        positions.append(pose.translation)
        return np.zeros(7, np.float32), SE3.identity()

    start = tiny_scene.grasp.pregrasp()
    outcomes, _ = roll_out(Scripted(0.05), [(tiny_scene, start, 0)], observe({"tiny": 0}), label)
    assert outcomes[0].score.first_failure == "not declared"
    assert len(positions) < MAX_EPISODE_STEPS
    assert (tiny_scene.clearance.distance(positions) > CLEARANCE_M).all()
