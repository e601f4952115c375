"""H2RHandoverEnv: the hand-eye camera as a Gymnasium environment."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from .camera import HAND_EYE_CAMERA, PinholeCamera
from .errors import SceneError
from .geometry import SE3
from .handover_scene import HandoverScene, load_scenes
from .interface import (
    GRASP_SCORE_THRESHOLD,
    EpisodeRecord,
    Observation,
    action_space,
    decode_action,
    observation_space,
)
from .metrics import score
from .rendering.masks import masks_from_labels, observe, rgb_to_uint8
from .rendering.select import make_rasteriser
from .start_poses import sample_starts

Scenes = str | Path | HandoverScene | Sequence[HandoverScene]


class H2RHandoverEnv(gym.Env[Observation, npt.NDArray[np.float32]]):
    """A camera on a robot's gripper approaches an object that a person holds out, up to the pre-grasp pose.

    ## Description
    The world is a Gaussian Splatting scene, reconstructed in metric scale from RGB-D views of a giver's hand
    that holds an object. The agent moves the hand-eye camera by bounded 6D steps, sees what the camera sees,
    and declares when it has reached the pre-grasp pose: 0.3 m behind a grasp that is safe for the hand, looking
    along the approach direction. Giver and object stand still.

    ## Action space
    `Box(7,)` float32: the motion of one step, `camera_from_next_camera`, in the current camera's frame (OpenCV
    axes: x right, y down, z forward), and a grasp score.

    | index | meaning | unit | low | high |
    |---|---|---|---|---|
    | 0-2 | rotation, extrinsic xyz Euler angles | rad | -0.25 | 0.25 |
    | 3-5 | translation | m | -0.06 | 0.06 |
    | 6 | grasp score C: at or above 0.7 declares the pre-grasp pose | | 0 | 1 |

    Bounds are in units of the world. What wants actions in [-1, 1] (Stable-Baselines3 recommends it) wraps the
    environment in `gymnasium.wrappers.RescaleAction(env, -1, 1)`. Values outside are clipped; a value that is not
    finite raises `ActionError`. The motion of an action that declares is not executed.

    ## Observation space
    `Dict` of
    * `rgb`: uint8 (168, 224, 3), hand and object as the camera sees them, background black;
    * `masks`: uint8 (168, 224, 2) in {0, 255}, object and hand, with true occlusion between them;
    * `depth` (with `depth=True`): float32 (168, 224, 1), m along the optical axis, 0 where nothing is seen.

    ## Reward
    1 when the pre-grasp pose is declared and the episode is a success as `h2rh_env.metrics` defines it (within
    0.35-0.45 m of the object, centred, never nearer than 0.1 m to hand or object, straight advance clear of the
    hand), else 0.

    ## Start
    A scene is drawn, then a start pose: 0.7 m from the grasp, hand and camera on different sides of the object,
    looking at the object up to 20 degrees off about both image axes (Eqs. 3-6).

    ## End
    Terminated when the score reaches 0.7. Truncated after 30 steps (by the `TimeLimit` wrapper of `gym.make`).

    ## Info
    `scene`, `world_from_camera` (4, 4), `clearance_m` to hand and object; at termination `is_success` and
    `first_failure`.

    ## Arguments
    * `scenes`: a scene folder, a folder of scene folders, a `HandoverScene` or several; the scenes that ship
      with the package by default.
    * `camera`: `PinholeCamera`, by default a D435i's colour stream at 224x168.
    * `gripper_from_camera`: hand-eye offset, `SE3`; identity by default: the camera sits in the grasp frame.
    * `depth`: adds depth to the observation.
    * `background`: uint8 (H, W, 3) image put behind hand and object.
    * `rasteriser`: "auto", "numba", "gsplat" or "reference".
    * `render_mode`: None or "rgb_array" (the camera's image, for `RecordVideo`).

    `reset(options={"scene": name, "world_from_camera": (4, 4)})` sets the scene, the start pose, or both.

    ## Versions
    * v0: first.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        scenes: Scenes | None = None,
        camera: PinholeCamera = HAND_EYE_CAMERA,
        gripper_from_camera: SE3 | None = None,
        depth: bool = False,
        background: npt.NDArray[np.uint8] | None = None,
        rasteriser: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in {None, *self.metadata["render_modes"]}:
            raise ValueError(f"render_mode is {render_mode!r}; this environment knows None and 'rgb_array'")
        if background is not None and np.shape(background) != (camera.height, camera.width, 3):
            raise ValueError(
                f"background has shape {np.shape(background)}; expected {(camera.height, camera.width, 3)}"
            )
        self.scenes = (
            load_scenes(scenes) if scenes is None or isinstance(scenes, str | Path) else _listed(scenes)
        )
        self.camera = camera
        self.gripper_from_camera = gripper_from_camera or SE3.identity()
        self.render_mode = render_mode
        self.observation_space = observation_space(camera, depth)  # type: ignore[assignment]
        self.action_space = action_space()  # type: ignore[assignment]
        self._depth = depth
        self._background = background
        self._rasteriser = make_rasteriser(rasteriser)
        self._declared = False

    @property
    def world_from_gripper(self) -> SE3:
        return self.world_from_camera @ self.gripper_from_camera.inverse()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        options = options or {}
        self.scene = self._choose_scene(options.get("scene"))
        start = options.get("world_from_camera")
        if start is not None:
            self.world_from_camera = start if isinstance(start, SE3) else SE3.from_matrix(start)
        else:
            (world_from_gripper,) = sample_starts(self.scene, self.np_random, 1)
            self.world_from_camera = world_from_gripper @ self.gripper_from_camera
        self._declared = False
        self._path = [self.world_from_gripper.matrix]
        self._actions: list[npt.NDArray[np.float32]] = []
        self._observation = self._observe()
        return self._observation, self._info()

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        camera_from_next_camera, grasp_score = decode_action(action)
        self._actions.append(np.array(action, np.float32))
        if grasp_score >= GRASP_SCORE_THRESHOLD:
            self._declared = True
            outcome = score(self.record(), self.scene)
            info = self._info() | {"is_success": outcome.success, "first_failure": outcome.first_failure}
            return copy.deepcopy(self._observation), float(outcome.success), True, False, info
        self.world_from_camera = self.world_from_camera @ camera_from_next_camera
        self._path.append(self.world_from_gripper.matrix)
        self._observation = self._observe()
        return self._observation, 0.0, False, False, self._info()

    def render(self) -> npt.NDArray[np.uint8] | None:
        return self._observation["rgb"] if self.render_mode == "rgb_array" else None

    def record(self, policy: str = "", seed: int = 0, step_seconds: npt.ArrayLike = ()) -> EpisodeRecord:
        """The episode so far, for metrics and reports."""
        return EpisodeRecord(
            scene=self.scene.name,
            scene_hash=self.scene.scene_hash,
            policy=policy,
            seed=seed,
            world_from_gripper=np.stack(self._path),
            actions=np.array(self._actions, np.float32).reshape(-1, 7),
            declared=self._declared,
            end_object_mask=self._observation["masks"][..., 0] > 0,
            step_seconds=np.asarray(step_seconds, np.float64),
        )

    def _choose_scene(self, name: str | None) -> HandoverScene:
        if name is None:
            return self.scenes[int(self.np_random.integers(len(self.scenes)))]
        for scene in self.scenes:
            if scene.name == name:
                return scene
        known = ", ".join(scene.name for scene in self.scenes)
        raise SceneError(f"no scene is named {name!r}; this environment holds: {known}")

    def _observe(self) -> Observation:
        if self._background is None and not self._depth:
            rgb, masks = observe(
                self._rasteriser, [self.scene.gaussians], self.camera, [self.world_from_camera]
            )
            return {"rgb": rgb[0], "masks": masks[0]}
        view = self._rasteriser.render(self.scene.gaussians, self.camera, self.world_from_camera)
        observation: Observation = {"rgb": rgb_to_uint8(view), "masks": masks_from_labels(view)}
        if self._background is not None:
            behind = (1 - view.alpha[..., None]) * self._background
            observation["rgb"] = np.clip(view.rgb * 255 + behind + 0.5, 0, 255).astype(np.uint8)
        if self._depth:
            depth = np.where(view.alpha >= 0.5, view.expected_depth, 0)
            observation["depth"] = depth[..., None].astype(np.float32)
        return observation

    def _info(self) -> dict[str, Any]:
        return {
            "scene": self.scene.name,
            "world_from_camera": self.world_from_camera.matrix,
            "clearance_m": float(self.scene.clearance.distance(self.world_from_gripper.translation)),
        }


def _listed(scenes: HandoverScene | Sequence[HandoverScene]) -> list[HandoverScene]:
    listed = [scenes] if isinstance(scenes, HandoverScene) else list(scenes)
    if not listed:
        raise SceneError("no scenes were given; an environment needs at least one")
    return listed
