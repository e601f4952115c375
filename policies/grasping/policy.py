"""GraspingPolicy: looks, asks the network where fingers would hold, goes there, and closes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.policy import Observation
from h2rh_env.core.task import STANDOFF_M, Task
from h2rh_env.utils import files

from ..rectification import Rectification
from .checkpoint import CONFIG, WEIGHTS, Checkpoint, load_checkpoint
from .controller import arrived, aside, next_pose
from .fusion import Fusion, Goal, Predictions
from .hand import seen_points
from .inputs import CropView, Frame
from .measured_depth import measured_over_said
from .network import GraspGrid, folded

LOOK_SIDEWAYS = 0.18  # of the distance: the frame before is chosen that was taken about so far aside
MAX_BACK = 0.75  # of the distance: a frame taken farther back shows too little
LOST_STEP_RAD = 0.15
MAX_DISTANCE_M = 3.0


class GraspingPolicy:
    """Takes the object: its score closes the fingers, or declares the pre-grasp pose where somebody else goes on.

    The frame of the initial camera serves as the world; the camera's motion is that of its own actions, unless
    `moved` tells another.

    Where an observation holds measured depth, that decides how far away the object is, and not the network.

    Attributes:
        takes_depth: for a session, see `DepthPolicy`.
        task: "grasp" closes the fingers, "reach" declares the pre-grasp pose.
        content_hash: SHA-256 of the checkpoint's files, for reports.
        frames: what was seen so far, for those who label a learner's own way. network: what predicts.
    """

    takes_depth = True

    def __init__(self, checkpoint: Checkpoint, content_hash: str = "", task: Task = "grasp") -> None:
        self.checkpoint, self.content_hash, self.task = checkpoint, content_hash, task
        self._standoff_m = {"grasp": 0.0, "reach": STANDOFF_M}[task]
        self.network = folded(checkpoint.network)
        self._camera = checkpoint.camera
        self._rectification = Rectification(checkpoint.camera)
        self._can_reach: Callable[[SE3], bool] | None = None
        self.reset(0)

    @classmethod
    def load(cls, folder: Path | str, task: Task = "grasp") -> GraspingPolicy:
        """Loads a checkpoint folder.

        Raises:
            CheckpointError: The folder is not a checkpoint of this kind.
        """
        hashed = files.sha256_of(*(Path(folder) / name for name in (CONFIG, WEIGHTS)))
        return cls(load_checkpoint(folder), hashed, task)

    def reset(self, seed: int) -> None:
        """Forgets the last episode."""
        self.frames: list[Frame] = []
        self.earlier: list[Frame | None] = []
        self._world_from_camera = SE3.identity()
        self._expected: SE3 | None = None
        self._fusion = Fusion(self.checkpoint.fusion)
        self._looks = 0

    def use_camera(self, camera: PinholeCamera) -> None:
        """Takes images of this camera from now on."""
        self._rectification.use_camera(camera)

    def use_reach(self, can_reach: Callable[[SE3], bool]) -> None:
        """Goes from now on for grasps that an arm can reach, where it knows of any; see `ReachAwarePolicy`."""
        self._can_reach = can_reach

    def _is_in_reach(self, goal: Goal) -> bool:
        """Whether an arm, if there is one, reaches the closing pose and the one to declare."""
        assert self._can_reach is not None
        camera_from_world = self._world_from_camera.inverse()
        lengths = {0.0, self._standoff_m}
        return all(self._can_reach(camera_from_world @ goal.pose_before(length)) for length in lengths)

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Takes note of the motion that was made after the last action, where it was not that action's."""
        self._expected = camera_from_next_camera

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        """The next action (7,) of the episode."""
        if self._expected is not None:
            self._world_from_camera = self._world_from_camera @ self._expected
        frame = Frame(*self._rectification(observation), self._world_from_camera)
        known = self._look(frame, observation)
        motion, score = self._decide(known)
        action = encode_action(motion, score)
        self._expected, _ = decode_action(action)  # what is executed, and a rotation to the last bit
        return action

    def _look(self, frame: Frame, observation: Observation) -> bool:
        """Asks the network; whether depth was to be seen."""
        sight = self.network.inputs.view(frame.masks, self._camera)
        before = self._frame_before(frame) if sight is not None else None
        self.frames.append(frame)
        self.earlier.append(before)
        made = self.network.inputs(frame, before, self._camera, sight)
        if made is None:
            return False
        shown, view = made
        with torch.inference_mode():
            grid = self.network(
                torch.from_numpy(shown.crop)[None].float() / 255,
                torch.from_numpy(shown.planes)[None].float() / 255,
                torch.from_numpy(shown.geometry)[None],
            )
        world_from_crop = frame.world_from_camera @ SE3(view.camera_from_crop, np.zeros(3))
        said, hand, depth_m = predictions(grid), None, grid.depth_m[0].double().numpy()
        measured = self._measured(observation, view, depth_m)
        if measured is not None:
            said, depth_m = said._replace(contact=measured * said.contact), measured * depth_m
        seen = said.moved(world_from_crop)
        if before is not None or measured is not None:  # else there is no depth to speak of
            hand = seen_points(shown.crop, depth_m, view.half_tangent, world_from_crop)
        can_reach = self._is_in_reach if self._can_reach else None
        self._fusion.add(seen, frame.world_from_camera.translation, hand, can_reach)
        return before is not None

    def _measured(self, observation: Observation, view: CropView, said_m: Array) -> float | None:
        if "depth" not in observation:
            return None
        is_object = observation["masks"][..., 0] > 0
        return measured_over_said(
            observation["depth"][..., 0], is_object, self._rectification.camera, view, said_m
        )

    def _frame_before(self, now: Frame) -> Frame | None:
        """Of the frames so far that show the object, the one that shows depth best."""
        goal, seen = self._fusion.goal, [frame for frame in self.frames if frame.shows_object]
        if goal is None or not seen:
            return None
        to_contact = goal.contact - now.world_from_camera.translation
        distance = float(np.linalg.norm(to_contact))
        from_now = _positions(seen) - now.world_from_camera.translation
        sideways, back = _beside_and_back(from_now, to_contact / distance)
        off = abs(sideways / distance - LOOK_SIDEWAYS) + 0.15 * abs(back) / distance
        off[(back > MAX_BACK * distance) | (np.maximum(sideways, back) < 0.03 * distance)] = np.inf
        best = int(np.argmin(off))
        return seen[best] if np.isfinite(off[best]) else None

    def _decide(self, depth_seen: bool) -> tuple[SE3, float]:
        """The motion `camera_from_next_camera`, and the score."""
        goal, config, pose = self._fusion.goal, self.checkpoint.control, self._world_from_camera
        if goal is None:
            return self._search(), 0.0
        if self._is_safe(goal) and arrived(pose, goal, config, self._standoff_m):
            return SE3.identity(), 1.0
        known = depth_seen and self._parallax() >= config.baseline and self._is_sure(goal)
        target = next_pose(pose, goal, config, self._standoff_m) if known else aside(pose, goal, config)
        return pose.inverse() @ target, 0.0

    def _is_safe(self, goal: Goal) -> bool:
        return goal.danger <= self.checkpoint.fusion.most_danger

    def _is_sure(self, goal: Goal) -> bool:
        """Whether a goal is safe, and enough speaks for it or looking on has not helped; counts the looks."""
        config = self.checkpoint.control
        if np.linalg.norm(goal.contact - self._world_from_camera.translation) > config.look_m:
            return True
        if not self._is_safe(goal):
            return False
        if goal.support >= config.sure or self._looks >= config.most_looks:
            return True
        self._looks += 1
        return False

    def _parallax(self) -> float:
        """How far aside, as a part of the distance, the frames were taken that the goal stands on."""
        goal = self._fusion.goal
        assert goal is not None
        sights = goal.contact - _positions(self.frames)
        beside, _ = _beside_and_back(sights[-1] - sights, sights[-1] / np.linalg.norm(sights[-1]))
        return float((beside / np.linalg.norm(sights, axis=1)).max())

    def _search(self) -> SE3:
        """Turns where nothing is seen."""
        turn = np.array([[np.cos(LOST_STEP_RAD), 0, np.sin(LOST_STEP_RAD)], [0, 1, 0],
                         [-np.sin(LOST_STEP_RAD), 0, np.cos(LOST_STEP_RAD)]])  # fmt: skip
        return SE3(turn, np.zeros(3))


def _positions(frames: Sequence[Frame]) -> Array:
    """(N, 3), m, where frames were taken."""
    return np.array([frame.world_from_camera.translation for frame in frames])


def _beside_and_back(from_now: Array, sight: Array) -> tuple[Array, Array]:
    """How far displacements (N, 3) lead across a line of sight, and back along it, each (N,)."""
    back = -from_now @ sight
    return np.linalg.norm(from_now + back[:, None] * sight, axis=1), back


def predictions(grid: GraspGrid) -> Predictions:
    """All grasps that the network sees in the one crop of a batch, in the crop's frame; what an untrained network
    says beyond all bounds is left out."""
    contact, approach, closing = (
        tensor[0].reshape(-1, 3).double().numpy() for tensor in (grid.contact, grid.approach, grid.closing)
    )
    quality, danger = (t[0].reshape(-1).sigmoid().double().numpy() for t in (grid.quality, grid.danger))
    sound = np.isfinite(quality + danger) & (np.linalg.norm(contact, axis=1) < MAX_DISTANCE_M)
    for axis in (approach, closing):
        sound &= np.abs(np.linalg.norm(axis, axis=1) - 1) < 1e-3
    return Predictions(contact, approach, closing, quality, danger).those(sound)
