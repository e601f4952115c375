"""H2RHandoverEnv: the hand-eye camera as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from ..contact.conditions import ContactConditions
from ..core.action import decode_action
from ..core.camera import HAND_EYE_CAMERA, PinholeCamera
from ..core.episode import EpisodeRecord
from ..core.geometry import SE3
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.policy import Observation
from ..core.spaces import action_space, observation_space
from ..core.task import Task
from ..scenes.handover_scene import HandoverScene
from .arguments import refuse_unknown_keywords
from .giver_motion import MovingGiver
from .observer import Observer
from .reward import Reward
from .simulator import Scenes, Simulator, rng_from_json, rng_to_json


class H2RHandoverEnv(gym.Env[Observation, npt.NDArray[np.float32]]):
    """A camera on a robot's gripper approaches an object that a person holds out, up to the pre-grasp pose.

    ## Description
    What is seen is a Gaussian Splatting scene, reconstructed in metric scale from RGB-D views of a giver's hand
    that holds an object. The agent moves the hand-eye camera by bounded 6D steps, sees what the camera sees,
    and declares when it has reached the pre-grasp pose: 0.3 m behind a grasp that is safe for the hand, looking
    along the approach direction. Giver and object stand still; in `H2RHandoverMoving-v0` they move.

    ## Action space
    `Box(7,)` float32: the motion of one step, `camera_from_next_camera`, in the current camera's frame (OpenCV
    axes: x right, y down, z forward), and a grasp score.

    | index | meaning | unit | low | high |
    |---|---|---|---|---|
    | 0-2 | rotation, extrinsic xyz Euler angles | rad | -0.25 | 0.25 |
    | 3-5 | translation | m | -0.06 | 0.06 |
    | 6 | grasp score C: at or above 0.7 declares the pre-grasp pose | | 0 | 1 |

    Bounds are in metres and radians. What wants actions in [-1, 1] (Stable-Baselines3 recommends it) wraps the
    environment in `gymnasium.wrappers.RescaleAction(env, -1, 1)`. Values outside are clipped; a value that is not
    finite raises `ActionError`. The motion of an action that declares is not executed.

    ## Observation space
    `Dict` of
    * `rgb`: uint8 (168, 224, 3), hand and object as the camera sees them, background black;
    * `masks`: uint8 (168, 224, 2) in {0, 255}, object and hand, with true occlusion between them;
    * `depth` (with `depth=True`): float32 (168, 224, 1), m along the optical axis, 0 where nothing is seen.

    ## Reward
    1 when the pre-grasp pose is declared and the episode is a success as `h2rh_env.envs.metrics` defines it (within
    0.35-0.45 m of the object, centred, never nearer than 0.1 m to hand or object, straight advance clear of the
    hand), else 0. With `reward="shaped"`, for reinforcement learning, besides the change of a potential that is
    highest at the pre-grasp pose, less a cost of coming too near (`h2rh_env.envs.reward.ShapedReward`).

    ## On to the grasp: `H2RHandoverGrasp-v0`
    Observations and actions are the same; an episode has 60 steps and goes on through the final approach. A score of
    0.7 or more closes the fingers where they are, and contact decides the rest (`h2rh_env.contact`): they close, the
    giver lets go, the gripper retreats and is shaken. The reward is 1 when the object was *handed over* as
    `h2rh_env.envs.handover_metrics` defines it, else 0; the shaped reward's potential is then highest at the grasp.
    Nearer than 0.1 m to the object is allowed on the final approach alone (`h2rh_env.core.clearance.final_approach`).
    Info has `touched_hand` and `pushed_m` besides, which are false and 0 until contact has decided. A giver who moves
    does so until the fingers close.

    ## The gripper in view
    With `show_gripper=True` the open fingers are drawn where `gripper_from_camera` puts them, before or behind hand
    and object as they are nearer or farther. They are in `rgb` and `depth`, and belong to neither mask.

    ## Initial pose
    A scene is drawn, then an initial pose: 0.7 m from the grasp, hand and camera on different sides of the object,
    looking at the object up to 20 degrees off about both image axes (Eqs. 3-6).

    ## End
    Terminated when the score reaches 0.7. Truncated after 30 steps (by the `TimeLimit` wrapper of `gym.make`).

    ## Info
    Numpy's numbers and arrays only, the same ones at every reset and step: `scene_index` (the scene's place in
    `scenes`, each with its `name`), `scene_from_camera`, `world_from_camera` and `world_from_scene` (4, 4) float64,
    `clearance_m` from the gripper to hand and object, `is_success` (False until a success is known), and
    `first_failure_index`, the place in `failures`: of None while nothing is known and for a success, else of what
    failed first in an episode that ended by a score. The scene is the frame that the giver carries along, the world
    is inertial; `world_from_scene` is the identity for a giver who stands still. What observations and infos hold
    belongs to the caller; the environment judges by its own arrays.

    ## Arguments
    | name | type | default | meaning |
    |---|---|---|---|
    | `scenes` | `str`, `Path`, `HandoverScene` or several | those shipped | scenes, or the folder of one or many |
    | `camera` | `PinholeCamera` | D435i colour, 224x168 | the hand-eye camera |
    | `gripper_from_camera` | `SE3` | identity | hand-eye offset; the identity: camera in the grasp frame |
    | `depth` | `bool` | `False` | adds `depth` to the observation |
    | `background` | uint8 (H, W, 3) | `None`: black | an image put behind hand and object |
    | `rasteriser` | `str` | `"auto"` | "auto", "numba", "gsplat" or "reference" |
    | `reward` | `str` or `ShapedReward` | `"sparse"` | "sparse", "shaped" or a `ShapedReward` |
    | `giver` | `str` or `MovingGiver` | `"still"` | "still", "moving" or a `MovingGiver`, see below |
    | `task` | `str` | `"reach"` | "reach", or "grasp" as in `H2RHandoverGrasp-v0` |
    | `conditions` | `ContactConditions` | the benchmark's | what contact draws from the seed; of "grasp" alone |
    | `gripper` | `GripperGeometry` | Robotiq 2F-85 | what closes, and what `show_gripper` draws |
    | `show_gripper` | `bool` | `False` | draws the open fingers into the view |
    | `render_mode` | `str` | `None` | "rgb_array" gives the camera's image, for `RecordVideo` |

    A giver who moves carries hand and object together along a smooth path, at most 0.1 m/s
    (`h2rh_env.envs.giver_motion`); a step takes 0.1 s. A declaration is judged as if the giver then held still.

    An unknown argument is a `TypeError` that lists the known ones.

    ## Reset options
    `reset(options={"scene": ..., "scene_from_camera": ...})` sets the scene (itself, its name or its `content_hash`),
    the initial pose of the camera (`SE3` or (4, 4)), or both. Different scenes of one name are told apart by content
    alone: asking for the name is then an error. Any other option is a `ValueError`.

    ## Saving and sharing
    `get_state()` is a JSON value with everything but scene and pixels; `set_state(state)` goes on from there, in this
    environment or in another one of the same scenes, and gives the observation. `TimeLimit` counts steps of its own
    and is not told. Environments can be pickled.

    ## Many at once
    `gym.make_vec("H2RHandover-v0", num_envs=16)` renders all environments in one batch
    (`h2rh_env.envs.handover_vector`).

    ## Versions
    * v0: first.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        scenes: Scenes | None = None,
        camera: PinholeCamera = HAND_EYE_CAMERA,
        *,
        gripper_from_camera: SE3 | None = None,
        depth: bool = False,
        background: npt.NDArray[np.uint8] | None = None,
        rasteriser: str = "auto",
        reward: str | Reward = "sparse",
        giver: str | MovingGiver = "still",
        task: Task = "reach",
        conditions: ContactConditions | None = None,
        gripper: GripperGeometry | None = None,
        show_gripper: bool = False,
        render_mode: str | None = None,
        **unknown: Never,
    ) -> None:
        """Args: see above.

        Raises:
            TypeError: an unknown argument; the message lists the known ones.
            ValueError, HandoverError: a value that cannot be; the message says what could.
        """
        refuse_unknown_keywords(unknown, H2RHandoverEnv.__init__)
        if render_mode not in {None, *self.metadata["render_modes"]}:
            raise ValueError(f"render_mode is {render_mode!r}; this environment knows None and 'rgb_array'")
        drawn = (gripper or ROBOTIQ_2F85) if show_gripper else None
        observer = Observer(camera, rasteriser, depth, background, drawn)
        self._simulator = Simulator(
            scenes, observer, gripper_from_camera, reward, giver, task, conditions, gripper
        )
        self.render_mode = render_mode
        self.observation_space = observation_space(camera, depth)  # type: ignore[assignment]
        self.action_space = action_space()  # type: ignore[assignment]

    @property
    def scenes(self) -> list[HandoverScene]:
        return self._simulator.scenes

    @property
    def failures(self) -> tuple[str | None, ...]:
        """What `first_failure_index` of an info is the place in; the first is None."""
        return self._simulator.failures

    @property
    def camera(self) -> PinholeCamera:
        return self._simulator.observer.camera

    @property
    def task(self) -> Task:
        return self._simulator.task

    @property
    def gripper_from_camera(self) -> SE3:
        """The hand-eye offset; a new one takes effect with the next reset."""
        return self._simulator.gripper_from_camera

    @gripper_from_camera.setter
    def gripper_from_camera(self, gripper_from_camera: SE3) -> None:
        self._simulator.gripper_from_camera = gripper_from_camera

    @property
    def scene(self) -> HandoverScene:
        return self._state.scene

    @property
    def scene_from_camera(self) -> SE3:
        """Where the camera is, in arrays of the caller's own."""
        return SE3.from_matrix(self._state.scene_from_camera.matrix)

    @property
    def scene_from_gripper(self) -> SE3:
        """Where the gripper's grasp frame is."""
        return self._state.scene_from_gripper

    @property
    def world_from_scene(self) -> SE3:
        """Where the giver has carried the scene's frame."""
        return self._state.world_from_scene

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = self._simulator.begin(self.np_random, options)
        return self._observe(), self._simulator.info(self._state)

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        observation, terminated = self.act(action)
        reward, info = self._simulator.judge(self._state)
        return observation, reward, terminated, False, info

    def act(self, action: npt.NDArray[np.float32]) -> tuple[Observation, bool]:
        """A step without its verdict, for who judges the record: what is seen, and whether the episode ended."""
        terminated = self._simulator.act(self._state, action, *decode_action(action))
        return self._seen() if terminated else self._observe(), terminated

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The camera's last image, (H, W, 3), which belongs to the caller."""
        return self._observation["rgb"].copy() if self.render_mode == "rgb_array" else None

    def record(self, policy: str = "", seed: int = 0, step_seconds: npt.ArrayLike = ()) -> EpisodeRecord:
        """The episode so far, for metrics and reports."""
        return self._state.record(policy, seed, step_seconds)

    def get_state(self) -> dict[str, Any]:
        """The episode and the random generator as JSON values; for an environment that was reset."""
        return {"episode": self._state.to_json(), "rng": rng_to_json(self.np_random)}

    def set_state(self, state: Mapping[str, Any]) -> tuple[Observation, dict[str, Any]]:
        """Goes on from a state that `get_state` gave.

        Returns:
            Observation and info there.

        Raises:
            StateError: malformed, or of a scene that this environment does not hold.
        """
        episode, rng = self._simulator.restored(state.get("episode", {})), rng_from_json(state.get("rng", {}))
        self._state, self.np_random = episode, rng
        return self._observe(), self._simulator.info(self._state)

    def _observe(self) -> Observation:
        batch = self._simulator.observe([self._state])
        self._observation: Observation = {name: images[0] for name, images in batch.items()}
        self._state.masks = self._observation["masks"]
        return self._seen()

    def _seen(self) -> Observation:
        """A copy of what was seen last; the environment's own arrays are never handed out."""
        return {name: image.copy() for name, image in self._observation.items()}
