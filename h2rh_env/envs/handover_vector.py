"""H2RHandoverVectorEnv: many environments, rendered in one batch a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Never

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from ..contact.conditions import ContactConditions
from ..core.action import decode_actions
from ..core.camera import HAND_EYE_CAMERA, PinholeCamera
from ..core.errors import StateError
from ..core.geometry import SE3
from ..core.gripper import ROBOTIQ_2F85, GripperGeometry
from ..core.policy import Observation
from ..core.spaces import action_space, observation_space
from ..core.task import EPISODE_STEPS, Task
from ..scenes.handover_scene import HandoverScene
from .arguments import refuse_unknown_keywords
from .giver_motion import MovingGiver
from .observer import Observer
from .reward import Reward
from .simulator import Scenes, Simulator, rng_from_json, rng_to_json
from .state import EpisodeState

Flags = npt.NDArray[np.bool_]


class _Turn(NamedTuple):
    """What a step brought one environment; `last` is of the episode that ended, where the next one has begun."""

    info: dict[str, Any]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    last: Mapping[str, Any] = MappingProxyType({})


class H2RHandoverVectorEnv(gym.vector.VectorEnv[Observation, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """Step by step what `SyncVectorEnv` makes of as many `H2RHandoverEnv`s behind `TimeLimit`; bit by bit on the CPU.

    Made by `gym.make_vec("H2RHandover-v0", num_envs=16)`. Seeds are those of `SyncVectorEnv`: a number s gives
    environment i the seed s + i, a list gives each its own. `reset(options={"reset_mask": (num_envs,) bool})` begins
    some anew. Each step gives fresh arrays, which belong to the caller; the environments judge by their own.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
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
        """Makes the environments; the arguments that are not explained here are those of `H2RHandoverEnv`.

        Args:
            num_envs: how many.
            max_episode_steps: after which an episode is truncated; 30 by default, 60 of the task "grasp".
            autoreset_mode: "NextStep" (an ended episode's next step begins the next one, its action is ignored),
                "SameStep" (the ending step does, and info holds `final_obs` and `final_info`) or "Disabled".

        Raises:
            TypeError: an unknown argument; the message lists the known ones.
            ValueError, HandoverError: a value that cannot be; the message says what could.
        """
        refuse_unknown_keywords(unknown, H2RHandoverVectorEnv.__init__)
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; at least 1 is needed")
        if render_mode not in {None, *self.metadata["render_modes"]}:
            raise ValueError(f"render_mode is {render_mode!r}; this environment knows None and 'rgb_array'")
        drawn = (gripper or ROBOTIQ_2F85) if show_gripper else None
        observer = Observer(camera, rasteriser, depth, background, drawn)
        self._simulator = Simulator(
            scenes, observer, gripper_from_camera, reward, giver, task, conditions, gripper
        )
        self.num_envs, self.render_mode = num_envs, render_mode
        self.max_episode_steps = EPISODE_STEPS[task] if max_episode_steps is None else max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = self.metadata | {"autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(camera, depth)
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs, self._seeds = map(list, zip(*(np_random() for _ in range(num_envs)), strict=True))
        self._states: list[EpisodeState] = []
        self._ended = np.zeros(num_envs, bool)
        self._away_m = [0.0] * num_envs  # how near each was, which tells how long its image takes

    @property
    def scenes(self) -> list[HandoverScene]:
        """Those that `scene_index` of an info is the place in."""
        return self._simulator.scenes

    @property
    def failures(self) -> tuple[str | None, ...]:
        """What `first_failure_index` of an info is the place in; the first is None."""
        return self._simulator.failures

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """One for each environment."""
        return tuple(self._rngs)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """One for each environment; -1 where `set_state` gave the generator."""
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        options = dict(options or {})
        chosen = self._chosen(options.pop("reset_mask", None))
        for i, one in enumerate(self._each_seed(seed)):
            if one is not None and chosen[i]:
                self._rngs[i], self._seeds[i] = np_random(one)
        begun = {int(i): self._simulator.begin(self._rngs[i], options) for i in np.flatnonzero(chosen)}
        self._states = [begun[i] if i in begun else self._states[i] for i in range(self.num_envs)]
        self._ended[chosen] = False
        infos: dict[str, Any] = {}
        for i, state in begun.items():
            infos = self._add_info(infos, self._simulator.info(state), i)
        return self._seen(self._simulator.observe(self._states)), infos

    def step(
        self, actions: npt.NDArray[np.float32]
    ) -> tuple[Observation, npt.NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        if len(actions) != self.num_envs:
            raise ValueError(f"actions of {len(actions)} environments were given; there are {self.num_envs}")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise gym.error.ResetNeeded(f"environments {ended} have ended; reset them with a reset_mask")
        going = np.flatnonzero(~self._ended).tolist()
        decoded = dict(zip(going, decode_actions(np.asarray(actions)[going]), strict=True))
        turns = [_Turn({})] * self.num_envs

        nearest_first = sorted(range(self.num_envs), key=self._away_m.__getitem__)
        with self._simulator.observer.begin(self._observation) as together:
            for i in nearest_first:
                turns[i] = self._turn(i, actions[i], decoded.get(i))
                self._away_m[i] = turns[i].info["clearance_m"]
                if not self._states[i].declared:
                    together.draw(i, self._states[i].view)
            observation = together.finish()
        terminations = np.array([each.terminated for each in turns])
        truncations = np.array([each.truncated for each in turns])
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._ended = terminations | truncations
        rewards = np.array([each.reward for each in turns])
        return self._seen(observation), rewards, terminations, truncations, self._gather(turns)

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """The last images, (H, W, 3) each, which belong to the caller."""
        return tuple(self._observation["rgb"].copy()) if self.render_mode == "rgb_array" else None

    def get_state(self) -> list[dict[str, Any]]:
        """For each environment what `H2RHandoverEnv.get_state` gives, and whether it awaits its reset."""
        return [
            {"episode": state.to_json(), "rng": rng_to_json(rng), "ended": bool(ended)}
            for state, rng, ended in zip(self._states, self._rngs, self._ended, strict=True)
        ]

    def set_state(self, states: Sequence[Mapping[str, Any]]) -> Observation:
        """Goes on from states that `get_state` gave, here or in single environments.

        Returns:
            The observation there.

        Raises:
            StateError: malformed, too many or too few, or of a scene that is not here.
        """
        if len(states) != self.num_envs:
            raise StateError(f"{len(states)} states were given; there are {self.num_envs} environments")
        episodes = [self._simulator.restored(state.get("episode", {})) for state in states]
        rngs = [rng_from_json(state.get("rng", {})) for state in states]
        self._states, self._rngs, self._seeds = episodes, rngs, [-1] * self.num_envs
        self._ended = np.array([bool(state.get("ended", False)) for state in states])
        return self._seen(self._simulator.observe(self._states))

    def _turn(self, i: int, action: npt.NDArray[np.float32], decoded: tuple[SE3, float] | None) -> _Turn:
        """One environment's step up to its image; without an action, its episode begins anew."""
        if decoded is None:
            return _Turn(self._begin(i))
        state = self._states[i]
        terminated = self._simulator.act(state, action, *decoded)
        reward, info = self._simulator.judge(state)
        truncated = len(state.actions) >= self.max_episode_steps
        if not (terminated or truncated) or self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return _Turn(info, reward, terminated, truncated)
        last = {"final_obs": self._last_seen(i, terminated), "final_info": info}
        return _Turn(self._begin(i), reward, terminated, truncated, last)

    def _gather(self, turns: Sequence[_Turn]) -> dict[str, Any]:
        """Infos as `_add_info` puts them together one by one; what all have, at once."""
        gathered: dict[str, Any] = {}
        for key in turns[0].info:
            gathered[key] = np.array([each.info[key] for each in turns])
            gathered[f"_{key}"] = np.ones(self.num_envs, bool)
        for i, each in enumerate(turns):
            if each.last:
                gathered = self._add_info(gathered, dict(each.last), i)
        return gathered

    def _begin(self, i: int) -> dict[str, Any]:
        """Begins an environment's next episode; returns its info."""
        self._states[i] = self._simulator.begin(self._rngs[i])
        return self._simulator.info(self._states[i])

    def _last_seen(self, i: int, declared: bool) -> Observation:
        """At the end of an episode; an action that declares moves nothing, so what was seen before is seen."""
        seen, row = (self._observation, i) if declared else (self._simulator.observe([self._states[i]]), 0)
        return {name: images[row].copy() for name, images in seen.items()}

    def _seen(self, observation: Observation) -> Observation:
        """Keeps what was seen, for judging and for what rests, and returns a copy that belongs to the caller."""
        self._observation = observation
        for state, masks in zip(self._states, observation["masks"], strict=True):
            state.masks = masks
        return {name: images.copy() for name, images in observation.items()}

    def _each_seed(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds were given; there are {self.num_envs} environments")
        return list(seed)

    def _chosen(self, mask: npt.NDArray[np.bool_] | None) -> Flags:
        """Which environments a reset is for."""
        if mask is None:
            return np.ones(self.num_envs, bool)
        chosen = np.asarray(mask)
        if chosen.shape != (self.num_envs,) or chosen.dtype != bool or not chosen.any():
            raise ValueError(
                f"reset_mask must be bool ({self.num_envs},) with at least one True; got {chosen!r}"
            )
        if not self._states and not chosen.all():
            raise gym.error.ResetNeeded("the first reset is for all environments")
        return chosen
