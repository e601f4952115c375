"""World: what environments share: scenes, camera, renderer, reward and giver; how episodes begin, go on and look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.camera import HAND_EYE_CAMERA, PinholeCamera
from ..core.errors import SceneError, StateError
from ..core.geometry import SE3
from ..core.policy import Observation
from ..core.task import GRASP_SCORE_THRESHOLD
from ..rendering.masks import masks_from_labels, observe, rgb_to_uint8
from ..rendering.select import make_rasteriser
from ..scenes.gaussians import GaussianScene
from ..scenes.handover_scene import HandoverScene, load_scenes
from .giver_motion import MovingGiver
from .initial_poses import sample_initial_poses
from .metrics import score
from .reward import Reward, make_reward
from .state import EpisodeState

Scenes = str | Path | HandoverScene | Sequence[HandoverScene]
GIVERS = {"still": None, "moving": MovingGiver()}


class World:
    """See `H2RHandoverEnv` for the arguments."""

    def __init__(
        self,
        scenes: Scenes | None = None,
        camera: PinholeCamera = HAND_EYE_CAMERA,
        gripper_from_camera: SE3 | None = None,
        depth: bool = False,
        background: npt.NDArray[np.uint8] | None = None,
        rasteriser: str = "auto",
        reward: str | Reward = "sparse",
        giver: str | MovingGiver = "still",
    ) -> None:
        if background is not None and np.shape(background) != (camera.height, camera.width, 3):
            raise ValueError(
                f"background has shape {np.shape(background)}; expected {(camera.height, camera.width, 3)}"
            )
        if isinstance(giver, str) and giver not in GIVERS:
            raise ValueError(f"giver is {giver!r}; expected {', '.join(GIVERS)} or a MovingGiver")
        self.scenes = (
            load_scenes(scenes) if scenes is None or isinstance(scenes, str | Path) else _listed(scenes)
        )
        self.camera, self.depth, self.background = camera, depth, background
        self.gripper_from_camera = gripper_from_camera or SE3.identity()
        self._reward = make_reward(reward)
        self._giver = GIVERS[giver] if isinstance(giver, str) else giver
        self._backend = rasteriser
        self._rasteriser = make_rasteriser(rasteriser)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_rasteriser"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _rasteriser=make_rasteriser(state["_backend"]))

    def begin(self, rng: np.random.Generator, options: Mapping[str, Any] | None = None) -> EpisodeState:
        """A new episode: its scene, its start, how its giver will move.

        Args:
            options: may set the `scene`, one of those held, by itself or by its name; and `scene_from_camera`, an
                SE3 or (4, 4).
        """
        options = options or {}
        scene = self._choose_scene(rng, options.get("scene"))
        start = options.get("scene_from_camera")
        if start is None:
            scene_from_camera = sample_initial_poses(scene, rng, 1)[0] @ self.gripper_from_camera
        else:
            scene_from_camera = start if isinstance(start, SE3) else SE3.from_matrix(start)
        giver = self._giver.draw(rng) if self._giver else None
        return EpisodeState(scene, scene_from_camera, self.gripper_from_camera.inverse(), giver)

    def act(
        self, state: EpisodeState, action: npt.ArrayLike, camera_from_next_camera: SE3, grasp_score: float
    ) -> bool:
        """Takes an action, as given and as decoded; returns whether it ends the episode."""
        state.actions.append(np.array(action, np.float32))
        state.declared = grasp_score >= GRASP_SCORE_THRESHOLD
        if not state.declared:
            state.move(camera_from_next_camera)
        return state.declared

    def judge(self, state: EpisodeState) -> tuple[float, dict[str, Any]]:
        """Reward and info of the action taken last."""
        info = self.info(state)
        if not state.declared:
            before, after = state.path[-2:]
            return self._reward.moved(state.scene, before, after, info["clearance_m"]), info
        outcome = score(state.record(), state.scene, with_graspable=False)
        info |= {"is_success": outcome.success, "first_failure": outcome.first_failure}
        return self._reward.declared(state.scene, state.path[-1], outcome.success), info

    def info(self, state: EpisodeState) -> dict[str, Any]:
        return {
            "scene": state.scene.name,
            "scene_from_camera": state.scene_from_camera.matrix,
            "world_from_camera": state.world_from_camera.matrix,
            "world_from_scene": state.world_from_scene.matrix,
            "clearance_m": state.clearance_m,
        }

    def observe(self, states: Sequence[EpisodeState]) -> Observation:
        """What the cameras of episodes see, in one batch: each array as in `observation_space`, after (B,)."""
        scenes, poses = [s.scene.gaussians for s in states], [s.scene_from_camera for s in states]
        if self.background is not None or self.depth:
            return self._observe_all_channels(scenes, poses)
        rgb, masks = observe(self._rasteriser, scenes, self.camera, poses)
        return {"rgb": rgb, "masks": masks}

    def observe_each(
        self, order: Sequence[int], turn: Callable[[int], EpisodeState | None], before: Observation
    ) -> Observation:
        """`observe` of B episodes, each as `turn` leaves it.

        Args:
            order: 0 to B - 1, what takes longest first.
            turn: takes a number, once, perhaps on another thread while other episodes are drawn. None means that
                nothing moved: what is seen is what was seen `before`.
        """
        draw = getattr(self._rasteriser, "draw_observations", None)
        if draw is None or self.background is not None or self.depth:
            return self._observe_all_at_once([turn(i) for i in range(len(order))], before)
        resting: list[int] = []

        def view(i: int) -> tuple[GaussianScene, SE3] | None:
            state = turn(i)
            if state is None:
                resting.append(i)
                return None
            return state.scene.gaussians, state.scene_from_camera

        rgb, masks = draw(self.camera, order, view)
        observation: Observation = {"rgb": rgb, "masks": masks}
        for name, images in observation.items():
            images[resting] = before[name][resting]
        return observation

    def _observe_all_at_once(self, states: Sequence[EpisodeState | None], before: Observation) -> Observation:
        moved = [i for i, state in enumerate(states) if state is not None]
        observation = {name: images.copy() for name, images in before.items()}
        if moved:
            for name, images in self.observe([state for state in states if state is not None]).items():
                observation[name][moved] = images
        return observation

    def restored(self, value: Mapping[str, Any]) -> EpisodeState:
        """The inverse of `EpisodeState.to_json`."""
        return EpisodeState.from_json(value, self.scenes, self.gripper_from_camera.inverse())

    def _observe_all_channels(self, scenes: Sequence[Any], poses: Sequence[SE3]) -> Observation:
        views = self._rasteriser.render_batch(scenes, self.camera, poses)
        observation: Observation = {
            "rgb": np.stack([rgb_to_uint8(view) for view in views]),
            "masks": np.stack([masks_from_labels(view) for view in views]),
        }
        if self.background is not None:
            behind = [view.rgb * 255 + (1 - view.alpha[..., None]) * self.background for view in views]
            observation["rgb"] = np.clip(np.stack(behind) + 0.5, 0, 255).astype(np.uint8)
        if self.depth:
            depth = [np.where(view.alpha >= 0.5, view.expected_depth, 0)[..., None] for view in views]
            observation["depth"] = np.stack(depth).astype(np.float32)
        return observation

    def _choose_scene(self, rng: np.random.Generator, wanted: HandoverScene | str | None) -> HandoverScene:
        if wanted is None:
            return self.scenes[int(rng.integers(len(self.scenes)))]
        if isinstance(wanted, HandoverScene):
            found, name = [scene for scene in self.scenes if scene is wanted], wanted.name
        else:
            found, name = [scene for scene in self.scenes if scene.name == wanted], wanted
        if not found:
            known = ", ".join(scene.name for scene in self.scenes)
            raise SceneError(f"no scene is named {name!r}; this environment holds: {known}")
        if len(found) > 1:
            raise SceneError(
                f"{len(found)} scenes are named {name!r}; name one by the scene itself, not by its name"
            )
        return found[0]


def rng_to_json(rng: np.random.Generator) -> dict[str, Any]:
    """A generator's state in JSON values."""
    return dict(rng.bit_generator.state)


def rng_from_json(value: Mapping[str, Any]) -> np.random.Generator:
    """The inverse.

    Raises:
        StateError: not the state of a PCG64, Gymnasium's generator.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    try:
        rng.bit_generator.state = value
    except (TypeError, ValueError, KeyError) as error:
        raise StateError(f"the state's random generator is malformed ({error!r})") from None
    return rng


def _listed(scenes: HandoverScene | Sequence[HandoverScene]) -> list[HandoverScene]:
    listed = [scenes] if isinstance(scenes, HandoverScene) else list(scenes)
    if not listed:
        raise SceneError("no scenes were given; an environment needs at least one")
    return listed
