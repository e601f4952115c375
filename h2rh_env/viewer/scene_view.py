"""A scene in the browser: its splat, points, grasps and initial poses, and a camera to move about in it."""

from __future__ import annotations

from functools import partial
from threading import RLock
from typing import Any

import numpy as np
import viser

from ..benchmark.labels import scene_labels
from ..core.camera import HAND_EYE_CAMERA
from ..core.geometry import SE3, look_at, rotation_from_wxyz
from ..envs.initial_poses import sample_initial_poses
from ..grasps.antipodal import AntipodalProposer
from ..rendering.base import Rasteriser
from ..rendering.masks import observe
from ..report.pictures import outlined
from ..scenes.handover_scene import HandoverScene
from .shapes import base_colours, by_score, covariances, field_of_view, gripper_lines, placed

LAYERS = {"splat": True, "points": False, "chosen grasp": True, "candidates": False, "initial poses": False}
FIELD = field_of_view(HAND_EYE_CAMERA)
INITIAL_POSES, MOST_CANDIDATES = 16, 200
OBJECT, HAND, GRASP, EYE = (0, 158, 115), (230, 159, 0), (40, 40, 40), (86, 180, 233)


class SceneView:
    """Draws one of several scenes; a hand-eye camera can be put anywhere in it."""

    def __init__(
        self, server: viser.ViserServer, scenes: list[HandoverScene], rasteriser: Rasteriser, lock: RLock
    ) -> None:
        self._server, self._rasteriser, self._lock = server, rasteriser, lock
        self._scenes = dict(zip(scene_labels(scenes), scenes, strict=True))
        first = next(iter(self._scenes))
        self._drawn: dict[str, list[Any]] = {}
        self._draw = {
            "splat": self._draw_splat,
            "points": self._draw_points,
            "chosen grasp": self._draw_chosen_grasp,
            "candidates": self._draw_candidates,
            "initial poses": self._draw_initial_poses,
        }
        with server.gui.add_folder("scene"):
            self._choice: Any = server.gui.add_dropdown("name", list(self._scenes), initial_value=first)
            self._facts = server.gui.add_markdown("")
            self._layers = {name: server.gui.add_checkbox(name, shown) for name, shown in LAYERS.items()}
        with server.gui.add_folder("hand-eye camera"):
            picture = np.zeros((HAND_EYE_CAMERA.height, HAND_EYE_CAMERA.width, 3), np.uint8)
            self._picture = server.gui.add_image(picture, label="drag the camera, or click an initial pose")
        self._choice.on_update(lambda _: self.show(self._choice.value))
        for name, box in self._layers.items():
            box.on_update(partial(self._toggle, name))
        self.show(first)

    @property
    def scene(self) -> HandoverScene:
        return self._scenes[self._shown]

    @property
    def label(self) -> str:
        """Label of the scene that is shown, as `scene_labels` gives it."""
        return self._shown

    def show(self, name: str) -> None:
        """Draws another scene, by its label, in place of the last."""
        with self._lock:
            self._shown = name
            for handle in (h for handles in self._drawn.values() for h in handles):
                handle.remove()
            self._drawn = {layer: [] for layer in LAYERS}
            if self._choice.value != name:
                self._choice.value = name
            grasp = self.scene.grasp
            width = f"{1e3 * grasp.width_m:.0f} mm" if grasp.graspable else "too wide to grasp"
            self._facts.content = f"{self.scene.object_name}, {len(self.scene.gaussians)} Gaussians, {width}"
            for layer in LAYERS:
                self._toggle(layer)
            self._place_camera(grasp.pregrasp())
            self.look_from_afar()

    def look_from_afar(self) -> None:
        """Puts the browser's eye beside the approach, so that the path to the object is seen from the side."""
        grasp = self.scene.grasp.scene_from_grasp
        beside = np.cross(grasp.rotation[:, 2], [0, 0, 1.0])
        eye = self.scene.object_centre + 0.9 * beside - 0.75 * grasp.rotation[:, 2] + [0, 0, 0.5]
        pose = placed(look_at(eye, self.scene.object_centre))
        self._server.initial_camera.position = tuple(pose["position"])
        self._server.initial_camera.look_at = tuple(self.scene.object_centre)
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = pose["position"], self.scene.object_centre

    def _toggle(self, layer: str, _event: object = None) -> None:
        with self._lock:
            wanted = self._layers[layer].value
            if wanted and not self._drawn[layer]:
                self._drawn[layer] = self._draw[layer]()
            for handle in self._drawn[layer]:
                handle.visible = wanted

    def _draw_splat(self) -> list[Any]:
        g = self.scene.gaussians
        return [
            self._server.scene.add_gaussian_splats(
                "/splat", g.means, covariances(g), base_colours(g), g.opacities[:, None]
            )
        ]

    def _draw_points(self) -> list[Any]:
        clouds = (("object", self.scene.object_points, OBJECT), ("hand", self.scene.hand_points, HAND))
        return [
            self._server.scene.add_point_cloud(f"/points/{name}", points, colour, point_size=0.0015)
            for name, points, colour in clouds
            if len(points)
        ]

    def _draw_chosen_grasp(self) -> list[Any]:
        grasp = self.scene.grasp
        pose = grasp.scene_from_grasp
        path = np.stack([grasp.pregrasp().translation, pose.translation])[None]
        lines = np.concatenate([gripper_lines(pose, grasp.width_m + 0.01), path])
        return [self._server.scene.add_line_segments("/grasp", lines, GRASP, thickness=0.003)]

    def _draw_candidates(self) -> list[Any]:
        """Blind to the hand, as they are proposed; from the best to the worst, not all of them.

        Lines of one score band share one node: viser shows colours that differ within a node wrongly.
        """
        proposed = AntipodalProposer().propose(self.scene.object_points, np.random.default_rng(0))
        ranked = sorted(proposed, key=lambda c: -c.score)
        bands = [ranked[i : i + MOST_CANDIDATES] for i in range(0, len(ranked), MOST_CANDIDATES)]
        best = [band[:: -(-len(band) * len(bands) // MOST_CANDIDATES)] for band in bands]
        colours = by_score([band[0].score for band in best])
        return [
            self._server.scene.add_line_segments(
                f"/candidates/{i}",
                np.concatenate([gripper_lines(c.scene_from_grasp, c.width_m) for c in band]),
                (int(red), int(green), int(blue)),
                thickness=0.0012,
            )
            for i, (band, (red, green, blue)) in enumerate(zip(best, colours, strict=True))
        ]

    def _draw_initial_poses(self) -> list[Any]:
        handles = []
        for i, pose in enumerate(sample_initial_poses(self.scene, np.random.default_rng(0), INITIAL_POSES)):
            frustum = self._server.scene.add_camera_frustum(
                f"/initial_poses/{i}", **FIELD, scale=0.03, thickness=0.0012, color=EYE, **placed(pose)
            )
            frustum.on_click(partial(self._place_camera, pose))
            handles.append(frustum)
        return handles

    def _place_camera(self, scene_from_camera: SE3, _event: object = None) -> None:
        with self._lock:
            self._grip = self._server.scene.add_transform_controls(
                "/eye", scale=0.06, line_width=1.5, **placed(scene_from_camera)
            )
            self._eye = self._server.scene.add_camera_frustum(
                "/eye/frustum",
                **field_of_view(HAND_EYE_CAMERA),
                scale=0.09,
                thickness=0.002,
                color=(240, 240, 240),
            )
            self._grip.on_update(lambda _: self._look())
            self._look()

    def _look(self) -> None:
        with self._lock:
            pose = SE3(rotation_from_wxyz(self._grip.wxyz), np.asarray(self._grip.position, np.float64))
            rgb, masks = observe(self._rasteriser, [self.scene.gaussians], HAND_EYE_CAMERA, [pose])
            image = outlined({"rgb": rgb[0], "masks": masks[0]})
            self._picture.image = image
            self._eye.image = image
