"""The CPU rasteriser: one thread an image, vectors of sixteen, 16x16 tiles with lists for their 4x4 blocks."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...core.camera import PinholeCamera
from ...core.geometry import SE3
from ...scenes.gaussians import GaussianScene
from ..base import ObservedImages, RenderedView, camera_from_world
from .blend import PLANES, blend_tiles
from .frame import Workspace, observe, strips
from .memory import empty, zeros
from .project import pack_camera
from .scene import Rows, make_rows
from .threads import Threads, cores
from .visibility import Visibility

OfFocalLength = dict[tuple[float, float], Visibility]


class NumbaRasteriser:
    """Renders on the CPU, bit for bit the same whatever the batch and the number of threads.

    What is derived of a scene, all of a process share.

    Args:
        threads: images rendered at a time; all cores by default.
    """

    name = "numba"
    _rows: ClassVar[WeakKeyDictionary[GaussianScene, Rows]] = WeakKeyDictionary()
    _visibility: ClassVar[WeakKeyDictionary[GaussianScene, OfFocalLength]] = WeakKeyDictionary()

    def __init__(self, threads: int | None = None) -> None:
        self._local = threading.local()
        self._threads = Threads(threads or cores())

    def render(self, scene: GaussianScene, camera: PinholeCamera, world_from_camera: SE3) -> RenderedView:
        """See `Rasteriser.render`."""
        packed = pack_camera(camera, camera_from_world(world_from_camera))
        return draw(self.rows_of(scene), camera, packed, self.workspace())

    def render_batch(
        self, scenes: Sequence[GaussianScene], camera: PinholeCamera, world_from_cameras: Sequence[SE3]
    ) -> list[RenderedView]:
        """See `Rasteriser.render_batch`."""
        jobs = [
            (self.rows_of(scene), pack_camera(camera, camera_from_world(pose)))
            for scene, pose in zip(scenes, world_from_cameras, strict=True)
        ]
        return self._threads.map(lambda job: draw(job[0], camera, job[1], self.workspace()), jobs)

    def render_observations(
        self, scenes: Sequence[GaussianScene], camera: PinholeCamera, world_from_cameras: Sequence[SE3]
    ) -> ObservedImages:
        """What policies see: rgb (B, H, W, 3) and masks (B, H, W, 2), as `masks` makes them of full views.

        Gaussians that are hidden around the camera's place are left out (see `visibility`), which changes an image
        less than rounding to 8 bits does.
        """
        views = list(zip(scenes, world_from_cameras, strict=True))
        away_m = [
            math.dist(pose.translation, self.visibility_of(scene, camera).centre) for scene, pose in views
        ]
        nearest_first = sorted(range(len(views)), key=away_m.__getitem__)
        rgb = empty((len(views), camera.height, camera.width, 3), np.uint8)
        masks = empty((len(views), camera.height, camera.width, 2), np.uint8)
        self._threads.map(lambda i: self.draw_observation(*views[i], camera, rgb[i], masks[i]), nearest_first)
        return rgb, masks

    def observation_batch(self, camera: PinholeCamera, count: int) -> NumbaObservationBatch:
        """See `ObservationRasteriser.observation_batch`."""
        return NumbaObservationBatch(self, self._threads, camera, count)

    def draw_observation(
        self,
        scene: GaussianScene,
        world_from_camera: SE3,
        camera: PinholeCamera,
        rgb: npt.NDArray[np.uint8],
        masks: npt.NDArray[np.uint8],
    ) -> None:
        """Draws one view into rgb (H, W, 3) and masks (H, W, 2), in the place of whatever was there."""
        rows, pose, memory = self.rows_of(scene), camera_from_world(world_from_camera), self.workspace()
        wanted = self.visibility_of(scene, camera).seen_from(pose.inverse().translation, memory)
        observe(rows, camera, pack_camera(camera, pose), memory, wanted, rgb, masks)

    def rows_of(self, scene: GaussianScene) -> Rows:
        """Returns the scene as the kernels read it; it is derived once."""
        rows = self._rows.get(scene)
        if rows is None:
            rows = self._rows[scene] = make_rows(scene)
        return rows

    def visibility_of(self, scene: GaussianScene, camera: PinholeCamera) -> Visibility:
        """Returns what is hidden from where; cameras of one focal length share it."""
        of_scene = self._visibility.setdefault(scene, {})
        focal = camera.fx, camera.fy
        if focal not in of_scene:
            of_scene[focal] = Visibility(self.rows_of(scene), camera)
        return of_scene[focal]

    def workspace(self) -> Workspace:
        """Returns the calling thread's scratch memory."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = Workspace()
        workspace: Workspace = self._local.workspace
        return workspace


class NumbaObservationBatch:
    """See `ObservationBatch`. Views are drawn in the order in which they come, on all threads but the caller's,
    which joins in when it has handed over the last one."""

    def __init__(
        self, rasteriser: NumbaRasteriser, threads: Threads, camera: PinholeCamera, count: int
    ) -> None:
        self._rasteriser, self._camera = rasteriser, camera
        self._rgb = empty((count, camera.height, camera.width, 3), np.uint8)
        self._masks = empty((count, camera.height, camera.width, 2), np.uint8)
        self._stream = threads.stream(self._draw)

    def __enter__(self) -> NumbaObservationBatch:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def draw(self, place: int, scene: GaussianScene, world_from_camera: SE3) -> None:
        """See `ObservationBatch.draw`."""
        self._stream.put((place, scene, world_from_camera))

    def finish(self) -> ObservedImages:
        """See `ObservationBatch.finish`."""
        self._stream.finish()
        return self._rgb, self._masks

    def _draw(self, view: tuple[int, GaussianScene, SE3]) -> None:
        place, scene, world_from_camera = view
        rgb, masks = self._rgb[place], self._masks[place]
        self._rasteriser.draw_observation(scene, world_from_camera, self._camera, rgb, masks)


def draw(
    rows: Rows, camera: PinholeCamera, packed_camera: npt.NDArray[np.float32], memory: Workspace
) -> RenderedView:
    """Draws one image with all channels."""
    planes = None
    for strip in strips(rows, camera, packed_camera, memory):
        if planes is None:
            planes = zeros((PLANES, camera.height, camera.width), np.float32, (..., *strip.extent(camera)))
        blend_tiles(
            strip.records,
            *strip.pairs,
            camera.width,
            camera.height,
            strip.parts(1)[0],
            memory.chunk(),
            memory.array("scratch", 256, np.float32),
            planes.reshape(-1),
        )
    if planes is None:
        planes = zeros((PLANES, camera.height, camera.width), np.float32)
    rgb, labels = planes[:3].transpose(1, 2, 0), planes[3:5].transpose(1, 2, 0)
    return RenderedView(rgb, planes[5], labels, planes[6], planes[7])
