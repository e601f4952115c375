"""H2RHandoverVectorEnv: many environments, rendered in one batch a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from .episode_state import EpisodeState
from .errors import StateError
from .interface import MAX_EPISODE_STEPS, Observation, action_space, decode_actions, observation_space
from .rendering.threads import Threads
from .world import World, rng_from_json, rng_to_json

Flags = npt.NDArray[np.bool_]


class H2RHandoverVectorEnv(gym.vector.VectorEnv[Observation, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """Step by step what `SyncVectorEnv` makes of as many `H2RHandoverEnv`s behind `TimeLimit`; bit by bit on the CPU.

    Made by `gym.make_vec("H2RHandover-v0", num_envs=16)`. Seeds are those of `SyncVectorEnv`: a number s gives
    environment i the seed s + i, a list gives each its own. `reset(options={"reset_mask": (num_envs,) bool})` begins
    some anew. Each step gives fresh arrays, which belong to the caller.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = MAX_EPISODE_STEPS,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **world: Any,
    ) -> None:
        """Args:
        num_envs: how many.
        max_episode_steps: after which an episode is truncated.
        autoreset_mode: "NextStep" (an ended episode's next step begins the next one, its action is ignored),
            "SameStep" (the ending step does, and info holds `final_obs` and `final_info`) or "Disabled".
        world: further arguments of `H2RHandoverEnv`.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; at least 1 is needed")
        if render_mode not in {None, *self.metadata["render_modes"]}:
            raise ValueError(f"render_mode is {render_mode!r}; this environment knows None and 'rgb_array'")
        self._world = World(**world)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = self.metadata | {"autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self._world.camera, self._world.depth)
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs, self._seeds = map(list, zip(*(np_random() for _ in range(num_envs)), strict=True))
        self._states: list[EpisodeState] = []
        self._threads = Threads(2)  # one draws while the other judges
        self._ended = np.zeros(num_envs, bool)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_threads": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _threads=Threads(2))

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
        begun = {int(i): self._world.begin(self._rngs[i], options) for i in np.flatnonzero(chosen)}
        self._states = [begun[i] if i in begun else self._states[i] for i in range(self.num_envs)]
        self._ended[chosen] = False
        infos: dict[str, Any] = {}
        for i, state in begun.items():
            infos = self._add_info(infos, self._world.info(state), i)
        return self._seen(self._world.observe(self._states)), infos

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
        terminations = np.zeros(self.num_envs, bool)
        for i, rng in enumerate(self._rngs):
            if i in decoded:
                terminations[i] = self._world.act(self._states[i], actions[i], *decoded[i])
            else:
                self._states[i] = self._world.begin(rng)
        truncations = np.array([len(state.actions) >= self.max_episode_steps for state in self._states])
        self._ended = terminations | truncations
        gathered: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._ended.any():
            rewards, infos = self._judge()
            gathered = self._begin_anew(infos)
            observation = self._world.observe(self._states)
        else:
            jobs: list[Callable[[], Any]] = [lambda: self._world.observe(self._states), self._judge]
            observation, (rewards, infos) = self._threads.map(lambda job: job(), jobs)
        for i, info in enumerate(infos):
            gathered = self._add_info(gathered, info, i)
        return self._seen(observation), rewards, terminations, truncations, gathered

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """The last images."""
        return tuple(self._observation["rgb"]) if self.render_mode == "rgb_array" else None

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
        episodes = [self._world.restored(state.get("episode", {})) for state in states]
        rngs = [rng_from_json(state.get("rng", {})) for state in states]
        self._states, self._rngs, self._seeds = episodes, rngs, [-1] * self.num_envs
        self._ended = np.array([bool(state.get("ended", False)) for state in states])
        return self._seen(self._world.observe(self._states))

    def _judge(self) -> tuple[npt.NDArray[np.float64], list[dict[str, Any]]]:
        """Rewards and infos; of a state that has just begun, no reward."""
        rewards, infos = np.zeros(self.num_envs), []
        for i, state in enumerate(self._states):
            if state.actions:
                rewards[i], info = self._world.judge(state)
            else:
                info = self._world.info(state)
            infos.append(info)
        return rewards, infos

    def _seen(self, observation: Observation) -> Observation:
        self._observation = observation
        for state, masks in zip(self._states, observation["masks"], strict=True):
            state.masks = masks
        return observation

    def _begin_anew(self, infos: list[dict[str, Any]]) -> dict[str, Any]:
        """Same-step autoreset: replaces what has ended, and its info; returns the final observations and infos."""
        ended = np.flatnonzero(self._ended).tolist()
        gathered: dict[str, Any] = {}
        for some in _powers_of_two(ended):
            final = self._world.observe([self._states[i] for i in some])
            for row, i in enumerate(some):
                final_obs = {name: images[row].copy() for name, images in final.items()}
                gathered = self._add_info(gathered, {"final_obs": final_obs, "final_info": infos[i]}, i)
        for i in ended:
            self._states[i] = self._world.begin(self._rngs[i])
            infos[i] = self._world.info(self._states[i])
        self._ended[:] = False
        return gathered

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


def _powers_of_two(items: list[int]) -> Iterator[list[int]]:
    """Parts whose sizes are few, so that the renderer can use their memory again."""
    while items:
        size = 1 << (len(items).bit_length() - 1)
        yield items[:size]
        items = items[size:]
