"""Simulator: how episodes begin, go on and are judged; what the environments made by one call share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..contact.conditions import BENCHMARK_CONDITIONS, ContactConditions
from ..core.errors import SceneError, StateError
from ..core.geometry import SE3
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.policy import Observation
from ..core.task import EPISODE_STEPS, GRASP_SCORE_THRESHOLD, Task
from ..scenes.handover_scene import HandoverScene, load_scenes
from .arguments import refuse_unknown_options
from .giver_motion import MovingGiver
from .handover_metrics import HANDOVER_FAILURES, score_handover
from .initial_poses import sample_initial_poses
from .metrics import FAILURES, score
from .observer import Observer
from .reward import Reward, make_reward
from .state import EpisodeState, place_by_content

Scenes = str | Path | HandoverScene | Sequence[HandoverScene]
RESET_OPTIONS = ("scene", "scene_from_camera")
GIVERS = {"still": None, "moving": MovingGiver()}


class Simulator:
    """What the environments of one constructor call share. See `H2RHandoverEnv` for the arguments."""

    def __init__(
        self,
        scenes: Scenes | None,
        observer: Observer,
        gripper_from_camera: SE3 | None = None,
        reward: str | Reward = "sparse",
        giver: str | MovingGiver = "still",
        task: Task = "reach",
        conditions: ContactConditions | None = None,
        gripper: GripperGeometry | None = None,
    ) -> None:
        _check_task(task, conditions, gripper, observer)
        if isinstance(giver, str) and giver not in GIVERS:
            raise ValueError(f"giver is {giver!r}; expected {', '.join(GIVERS)} or a MovingGiver")
        self.scenes = (
            load_scenes(scenes) if scenes is None or isinstance(scenes, str | Path) else _listed(scenes)
        )
        self.observer = observer
        self.gripper_from_camera = gripper_from_camera or SE3.identity()
        self.task: Task = task
        self._conditions, self._gripper = conditions or BENCHMARK_CONDITIONS, gripper or ROBOTIQ_2F85
        self._reward = make_reward(reward, task)
        self._giver = GIVERS[giver] if isinstance(giver, str) else giver

    @property
    def failures(self) -> tuple[str | None, ...]:
        """What `first_failure_index` of an info counts: None, for a success or while nothing is known, then names."""
        return None, *(HANDOVER_FAILURES if self.task == "grasp" else FAILURES)

    def begin(self, rng: np.random.Generator, options: Mapping[str, Any] | None = None) -> EpisodeState:
        """A new episode: its scene, its initial pose, how its giver will move.

        Args:
            options: may set the `scene`, by itself, by its name or by its content hash, and `scene_from_camera`, an
                SE3 or (4, 4).

        Raises:
            ValueError: an option that is not known.
            SceneError: a scene that this environment does not hold, or a name that several have.
        """
        options = options or {}
        refuse_unknown_options(options, RESET_OPTIONS)
        index = self._choose_scene(rng, options.get("scene"))
        start = options.get("scene_from_camera")
        if start is None:
            scene_from_camera = sample_initial_poses(self.scenes[index], rng, 1)[0] @ self.gripper_from_camera
        else:
            scene_from_camera = SE3.from_matrix(start.matrix if isinstance(start, SE3) else start)
        giver = self._giver.draw(rng, EPISODE_STEPS[self.task]) if self._giver else None
        contact_seed = int(rng.integers(2**31)) if self.task == "grasp" else None
        return EpisodeState(
            self.scenes[index],
            index,
            scene_from_camera,
            self.gripper_from_camera.inverse(),
            giver,
            contact_seed,
        )

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
        verdict = self._handover(state) if self.task == "grasp" else self._reached(state)
        told = {name: _with_dtype(value) for name, value in verdict.items()}
        return self._reward.declared(state.scene, state.path[-1], verdict["is_success"]), info | told

    def _reached(self, state: EpisodeState) -> dict[str, Any]:
        outcome = score(state.record(), state.scene, with_graspable=False)
        return {
            "is_success": outcome.success,
            "first_failure_index": self.failures.index(outcome.first_failure),
        }

    def _handover(self, state: EpisodeState) -> dict[str, Any]:
        """What contact says about closing the fingers where they are; the giver holds still from then on."""
        assert state.contact_seed is not None
        path = np.stack([pose.matrix for pose in state.path])
        outcome = score_handover(path, True, state.scene, state.contact_seed, self._conditions, self._gripper)
        return {
            "is_success": outcome.handed_over,
            "first_failure_index": self.failures.index(outcome.first_failure),
            "touched_hand": outcome.touched_hand,
            "pushed_m": outcome.pushed_m,
        }

    def info(self, state: EpisodeState) -> dict[str, Any]:
        """What is told of an episode as it stands: numbers and arrays of its own, always under the same names."""
        unknown: dict[str, Any] = {"is_success": False, "first_failure_index": 0}
        if self.task == "grasp":
            unknown |= {"touched_hand": False, "pushed_m": 0.0}
        known = {
            "scene_index": state.scene_index,
            "scene_from_camera": state.scene_from_camera.matrix,
            "world_from_camera": state.world_from_camera.matrix,
            "world_from_scene": state.world_from_scene.matrix,
            "clearance_m": state.clearance_m,
        }
        return {name: _with_dtype(value) for name, value in (known | unknown).items()}

    def observe(self, states: Sequence[EpisodeState]) -> Observation:
        """Returns what the cameras of episodes see, in one batch: arrays as in `observation_space`, after (B,)."""
        return self.observer.observe([state.view for state in states])

    def restored(self, value: Mapping[str, Any]) -> EpisodeState:
        """The inverse of `EpisodeState.to_json`."""
        return EpisodeState.from_json(value, self.scenes, self.gripper_from_camera.inverse())

    def _choose_scene(self, rng: np.random.Generator, wanted: HandoverScene | str | None) -> int:
        """The place of a scene among those held; drawn where none is wanted."""
        if wanted is None:
            return int(rng.integers(len(self.scenes)))
        if isinstance(wanted, HandoverScene):
            place = place_by_content(self.scenes, wanted.name, wanted.content_hash)
            if place is None:
                raise SceneError(
                    f"the scene {wanted.name!r} with content hash {wanted.content_hash[:12]} is not among those of "
                    f"this environment: {self._labels}"
                )
            return place
        found = [i for i, scene in enumerate(self.scenes) if wanted in (scene.name, scene.content_hash)]
        if not found:
            raise SceneError(f"no scene is named {wanted!r}; this environment holds: {self._labels}")
        alike = {self.scenes[i].content_hash for i in found}
        if len(alike) > 1:
            raise SceneError(
                f"{len(alike)} different scenes have the name {wanted!r}; give the scene itself, or one of the "
                f"content hashes {', '.join(sorted(alike))}"
            )
        return found[0]

    @property
    def _labels(self) -> str:
        """Names for messages; one that several scenes share is followed by the beginning of each content hash."""
        shared = Counter(scene.name for scene in self.scenes)
        return ", ".join(
            f"{scene.name} ({scene.content_hash[:12]})" if shared[scene.name] > 1 else scene.name
            for scene in self.scenes
        )


def _check_task(
    task: str, conditions: ContactConditions | None, gripper: GripperGeometry | None, observer: Observer
) -> None:
    if task not in EPISODE_STEPS:
        raise ValueError(f"task is {task!r}; known are {', '.join(EPISODE_STEPS)}")
    if task == "reach" and conditions is not None:
        raise ValueError("conditions are those of contact, which task='grasp' alone has")
    if task == "reach" and gripper is not None and observer.gripper is None:
        raise ValueError("gripper is neither drawn (show_gripper=True) nor simulated (task='grasp')")


def _with_dtype(value: Any) -> Any:
    """Returns a value with a dtype, by which torchrl reads it; a bool as an array, which Gymnasium can batch."""
    array = np.asarray(value)
    return array if array.dtype == bool else array[()]


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
