"""Observer: what the cameras of episodes see, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.geometry import SE3
from ..core.gripper import GripperGeometry
from ..core.policy import Observation
from ..rendering.base import ObservationBatch, ObservationRasteriser, RenderedView
from ..rendering.gripper import GripperImage, draw_gripper
from ..rendering.masks import MASK_ALPHA_MIN, masks_from_labels, observe, rgb_to_uint8
from ..rendering.select import make_rasteriser
from ..scenes.gaussians import GaussianScene


class View(NamedTuple):
    """What one camera is to see."""

    gaussians: GaussianScene
    scene_from_camera: SE3
    gripper_from_camera: SE3


class Observer:
    """Renders the observations of an environment.

    Attributes:
        camera: the camera of every episode. depth: whether depth is part of an observation.
        background: uint8 (H, W, 3), what stands behind hand and object; None is black.
        gripper: whose open fingers are drawn into the view; None draws none.
    """

    def __init__(
        self,
        camera: PinholeCamera,
        rasteriser: str = "auto",
        depth: bool = False,
        background: npt.NDArray[np.uint8] | None = None,
        gripper: GripperGeometry | None = None,
    ) -> None:
        if background is not None and np.shape(background) != (camera.height, camera.width, 3):
            raise ValueError(
                f"background has shape {np.shape(background)}; expected {(camera.height, camera.width, 3)}"
            )
        self.camera, self.depth, self.background, self.gripper = camera, depth, background, gripper
        self._gripper_images: dict[bytes, GripperImage] = {}
        self._backend = rasteriser
        self.rasteriser = make_rasteriser(rasteriser)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "rasteriser"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, rasteriser=make_rasteriser(state["_backend"]))

    def observe(self, views: Sequence[View]) -> Observation:
        """Returns what the cameras see, in one batch: each array as in `observation_space`, after (B,)."""
        scenes, poses = [view.gaussians for view in views], [view.scene_from_camera for view in views]
        if self._needs_all_channels:
            rendered = self.rasteriser.render_batch(scenes, self.camera, poses)
            seen = [
                self._seen(one, view.gripper_from_camera) for one, view in zip(rendered, views, strict=True)
            ]
            return {name: np.stack([one[name] for one in seen]) for name in seen[0]}
        rgb, masks = observe(self.rasteriser, scenes, self.camera, poses)
        return {"rgb": rgb, "masks": masks}

    def begin(self, before: Observation) -> ObservedTogether:
        """Begins a batch of as many images as there are in `before`, which come one by one."""
        batch = None
        if isinstance(self.rasteriser, ObservationRasteriser) and not self._needs_all_channels:
            batch = self.rasteriser.observation_batch(self.camera, len(before["rgb"]))
        return ObservedTogether(self, before, batch)

    @property
    def _needs_all_channels(self) -> bool:
        return self.background is not None or self.depth or self.gripper is not None

    def _seen(self, view: RenderedView, gripper_from_camera: SE3) -> Observation:
        """One observation, from all channels of a view."""
        rgb, masks = rgb_to_uint8(view), masks_from_labels(view)
        if self.background is not None:
            behind = view.rgb * 255 + (1 - view.alpha[..., None]) * self.background
            rgb = np.clip(behind + 0.5, 0, 255).astype(np.uint8)
        depth = np.where(view.alpha >= MASK_ALPHA_MIN, view.expected_depth, 0).astype(np.float32)
        if self.gripper is not None:
            image = self._gripper_image(gripper_from_camera)
            alpha = image.in_front_of(np.where(depth > 0, depth, np.float32(np.inf)))
            front = (alpha > 0)[..., None] * image.rgb * 255
            rgb = np.clip(front + (1 - alpha[..., None]) * rgb + 0.5, 0, 255).astype(np.uint8)
            masks[alpha >= MASK_ALPHA_MIN] = 0
            depth = np.where(alpha >= MASK_ALPHA_MIN, image.depth, depth)
        return {"rgb": rgb, "masks": masks} | ({"depth": depth[..., None]} if self.depth else {})

    def _gripper_image(self, gripper_from_camera: SE3) -> GripperImage:
        """Drawn once for each hand-eye offset."""
        assert self.gripper is not None
        key = gripper_from_camera.matrix.tobytes()
        if key not in self._gripper_images:
            drawn = draw_gripper(self.camera, gripper_from_camera, self.gripper)
            self._gripper_images = {key: drawn}  # an environment has one offset at a time
        return self._gripper_images[key]


class ObservedTogether:
    """The images of one step of many environments, handed over one by one; used in a `with` block.

    Where the rasteriser can, it draws one environment's image while the next environment still takes its step.
    """

    def __init__(self, observer: Observer, before: Observation, batch: ObservationBatch | None) -> None:
        self._observer, self._before, self._batch = observer, before, batch
        self._views: dict[int, View] = {}

    def __enter__(self) -> ObservedTogether:
        if self._batch is not None:
            self._batch.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._batch is not None:
            self._batch.__exit__(*error)

    def draw(self, place: int, view: View) -> None:
        """Hands over one view. A place that none is given for shows what was seen before."""
        self._views[place] = view
        if self._batch is not None:
            self._batch.draw(place, view.gaussians, view.scene_from_camera)

    def finish(self) -> Observation:
        """Waits for all images; each array as in `observation_space`, after (B,)."""
        resting = [place for place in range(len(self._before["rgb"])) if place not in self._views]
        if self._batch is not None:
            rgb, masks = self._batch.finish()
            observation: Observation = {"rgb": rgb, "masks": masks}
            for name, images in observation.items():
                images[resting] = self._before[name][resting]
            return observation
        observation = {name: images.copy() for name, images in self._before.items()}
        if self._views:
            for name, images in self._observer.observe(list(self._views.values())).items():
                observation[name][list(self._views)] = images
        return observation
