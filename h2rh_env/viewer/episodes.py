"""Shows episodes of a report in the browser step by step, and beside one the episode of another policy."""

from __future__ import annotations

from threading import RLock
from typing import Any

import numpy as np
import viser

from ..benchmark.rollout import Episode
from ..core.camera import HAND_EYE_CAMERA
from ..core.geometry import SE3
from ..envs.handover import H2RHandoverEnv
from ..perturbations.conditions import AS_RENDERED
from ..report.pictures import Picture, film
from ..report.verdicts import succeeded, verdict
from .scene_view import SceneView
from .shapes import POLICY_COLOURS, field_of_view, placed, segments_between

NOBODY = "nobody"
BLACK = np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 3), np.uint8)


class EpisodePanel:
    """Steps through the episodes of a report."""

    def __init__(
        self,
        server: viser.ViserServer,
        view: SceneView,
        env: H2RHandoverEnv,
        episodes: list[Episode],
        lock: RLock,
    ) -> None:
        self._server, self._view, self._env, self._episodes = server, view, env, episodes
        self._lock = lock
        self._drawn: list[Any] = []
        self._films: list[tuple[Picture, ...]] = []
        self._policies = list(dict.fromkeys(e.record.policy for e in episodes))
        gui = server.gui
        with gui.add_folder("episode", order=-1):
            self._failures = gui.add_checkbox("failures only", False)
            self._choice: Any = gui.add_dropdown("episode", self._names())
            self._other: Any = gui.add_dropdown("compare with", [NOBODY])
            self._step: Any = gui.add_slider("step", 0, 1, 1, 0)
            self._all = gui.add_checkbox("all trajectories of the scene", False)
            self._facts = gui.add_markdown("")
            self._pictures = [
                gui.add_image(BLACK, label="seen"),
                gui.add_image(BLACK, label="", visible=False),
            ]
        self._failures.on_update(lambda _: self._list())
        self._choice.on_update(lambda _: self.show(int(self._choice.value.split()[0])))
        self._other.on_update(lambda _: self._draw())
        self._all.on_update(lambda _: self._draw())
        self._step.on_update(lambda _: self._move())

    def show(self, index: int) -> None:
        """Opens an episode by its place in report.json, at its end."""
        with self._lock:
            self._shown = index
            episode = self._episodes[index]
            if self._choice.value != self._name(index):
                self._choice.value = self._name(index)
            if self._view.label != episode.scene:
                self._view.show(episode.scene)
            others = [
                e.record.policy for e in self._episodes if _same_beginning(e, episode) and e is not episode
            ]
            kept = self._other.value
            self._other.options = [NOBODY, *others]
            self._other.value = kept if kept in others else NOBODY
            self._draw()

    def _names(self) -> list[str]:
        wanted = [i for i, e in enumerate(self._episodes) if not (self._failures.value and succeeded(e))]
        return [self._name(i) for i in wanted] or [self._name(0)]

    def _name(self, index: int) -> str:
        e = self._episodes[index]
        where = f"{e.scene}, {e.condition}" if e.condition != AS_RENDERED else e.scene
        return f"{index}  {e.record.policy} on {where}: {verdict(e)}"

    def _list(self) -> None:
        with self._lock:
            names = self._names()
            self._choice.options = names
            if self._name(self._shown) not in names:
                self.show(int(names[0].split()[0]))

    def _pair(self) -> list[Episode]:
        shown = self._episodes[self._shown]
        other = [
            e for e in self._episodes if e.record.policy == self._other.value and _same_beginning(e, shown)
        ]
        return [shown, *other[:1]]

    def _draw(self) -> None:
        with self._lock:
            for handle in self._drawn:
                handle.remove()
            pair = self._pair()
            self._films = [film(self._env, e).frames for e in pair]
            self._frusta = [self._frustum(k, e) for k, e in enumerate(pair)]
            self._drawn = [
                *(self._name_tag(k, e) for k, e in enumerate(pair)),  # before what they hang on
                *self._frusta,
                *(self._path(f"/episode/{k}/path", e, 0.003) for k, e in enumerate(pair)),
            ]
            if self._all.value:
                scene = pair[0].scene
                run = [e for e in self._episodes if e.scene == scene and e.condition == pair[0].condition]
                self._drawn += [self._path(f"/all/{i}", e, 0.001) for i, e in enumerate(run)]
            self._pictures[1].visible = len(pair) > 1
            self._facts.content = "\n\n".join(_facts(e) for e in pair)
            self._step.max = max(1, *(len(frames) - 1 for frames in self._films))
            self._step.value = self._step.max
            self._move()

    def _path(self, name: str, episode: Episode, thickness: float) -> Any:
        positions = episode.record.scene_from_gripper[:, :3, 3]
        if len(positions) == 1:
            positions = np.repeat(positions, 2, axis=0)
        return self._server.scene.add_line_segments(
            name, segments_between(positions), self._colour(episode), thickness=thickness
        )

    def _frustum(self, k: int, episode: Episode) -> Any:
        return self._server.scene.add_camera_frustum(
            f"/episode/{k}/camera",
            **field_of_view(HAND_EYE_CAMERA),
            scale=0.06,
            thickness=0.002,
            color=self._colour(episode),
        )

    def _name_tag(self, k: int, episode: Episode) -> Any:
        return self._server.scene.add_label(f"/episode/{k}/camera/policy", episode.record.policy)

    def _colour(self, episode: Episode) -> tuple[int, int, int]:
        return POLICY_COLOURS[self._policies.index(episode.record.policy) % len(POLICY_COLOURS)]

    def _move(self) -> None:
        """Moves cameras and images to the chosen step; an episode that has ended stays at its end."""
        with self._lock:
            for k, (episode, frames) in enumerate(zip(self._pair(), self._films, strict=True)):
                step = min(int(self._step.value), len(frames) - 1)
                pose = placed(SE3.from_matrix(episode.record.scene_from_gripper[step]))
                self._frusta[k].wxyz, self._frusta[k].position = pose["wxyz"], pose["position"]
                self._frusta[k].image = frames[step]
                self._pictures[k].image = frames[step]
                self._pictures[k].label = f"{episode.record.policy}, step {step} of {len(frames) - 1}"


def _same_beginning(one: Episode, other: Episode) -> bool:
    return (
        one.scene == other.scene and one.record.seed == other.record.seed and one.condition == other.condition
    )


def _facts(e: Episode) -> str:
    return (
        f"**{e.record.policy}**: {verdict(e)} after {e.score.steps} steps, {e.score.distance_m:.3f} m from the "
        f"object, never nearer than {e.score.clearance_m:.3f} m"
    )
