"""The CPU rasteriser: one thread an image, vectors of sixteen, 16x16 tiles with lists for their 4x4 blocks."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...core.camera import PinholeCamera
from ...core.geometry import SE3
from ...scenes.gaussians import GaussianScene
from ..base import RenderedView, camera_from_world
from .blend import PLANES, blend_tiles
from .frame import Workspace, observe, strips
from .memory import empty, zeros
from .project import pack_camera
from .scene import Rows, make_rows
from .threads import Threads, cores
from .visibility import Visibility


class NumbaRasteriser:
    """Renders on the CPU, bit for bit the same whatever the batch and the number of threads.

    Args:
        threads: images rendered at a time; all cores by default.
    """

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        self._rows: WeakKeyDictionary[GaussianScene, Rows] = WeakKeyDictionary()
        self._visibility: WeakKeyDictionary[GaussianScene, dict[tuple[float, float], Visibility]]
        self._visibility = WeakKeyDictionary()
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
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """What policies see: rgb (B, H, W, 3) and masks (B, H, W, 2), as `masks` makes them of full views.

        Gaussians that are hidden around the camera's place are left out (see `visibility`), which changes an image
        less than rounding to 8 bits does.
        """
        views = list(zip(scenes, world_from_cameras, strict=True))
        away_m = [
            math.dist(pose.translation, self.visibility_of(scene, camera).centre) for scene, pose in views
        ]
        nearest_first = sorted(range(len(views)), key=away_m.__getitem__)
        return self.draw_observations(camera, nearest_first, views.__getitem__)

    def draw_observations(
        self,
        camera: PinholeCamera,
        order: Sequence[int],
        view: Callable[[int], tuple[GaussianScene, SE3] | None],
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The same of B views that are worked out meanwhile.

        Args:
            order: 0 to B - 1 as they are begun. No thread waits long for another if what takes longest comes first.
            view: of each number the scene and `world_from_camera`; called once, on any of the threads. Where it
                gives None, the place holds anything.
        """
        count = len(order)
        rgb = empty((count, camera.height, camera.width, 3), np.uint8)
        masks = empty((count, camera.height, camera.width, 2), np.uint8)

        def draw(i: int) -> None:
            seen = view(i)
            if seen is not None:
                self._observe(*seen, camera, rgb[i], masks[i])

        self._threads.map(draw, order)
        return rgb, masks

    def _observe(
        self,
        scene: GaussianScene,
        world_from_camera: SE3,
        camera: PinholeCamera,
        rgb: npt.NDArray[np.uint8],
        masks: npt.NDArray[np.uint8],
    ) -> None:
        """Draws one view in the place of whatever was there."""
        rows, pose, memory = self.rows_of(scene), camera_from_world(world_from_camera), self.workspace()
        wanted = self.visibility_of(scene, camera).seen_from(pose.inverse().translation, memory)
        observe(rows, camera, pack_camera(camera, pose), memory, wanted, rgb, masks)

    def rows_of(self, scene: GaussianScene) -> Rows:
        """The scene as the kernels read it; derived once."""
        rows = self._rows.get(scene)
        if rows is None:
            rows = self._rows[scene] = make_rows(scene)
        return rows

    def visibility_of(self, scene: GaussianScene, camera: PinholeCamera) -> Visibility:
        """What is hidden from where; shared by cameras of one focal length."""
        of_scene = self._visibility.setdefault(scene, {})
        focal = camera.fx, camera.fy
        if focal not in of_scene:
            of_scene[focal] = Visibility(self.rows_of(scene), camera)
        return of_scene[focal]

    def workspace(self) -> Workspace:
        """The calling thread's."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = Workspace()
        workspace: Workspace = self._local.workspace
        return workspace


def draw(
    rows: Rows, camera: PinholeCamera, packed_camera: npt.NDArray[np.float32], memory: Workspace
) -> RenderedView:
    """One image with all channels."""
    planes = None
    for strip in strips(rows, camera, packed_camera, memory):
        if planes is None:
            planes = zeros((PLANES, camera.height, camera.width), np.float32, (..., *strip.extent(camera)))
        blend_tiles(
            strip.records, *strip.pairs, camera.width, camera.height, strip.parts(1)[0],
            memory.chunk(), memory.array("scratch", 256, np.float32), planes.reshape(-1),
        )  # fmt: skip
    if planes is None:
        planes = zeros((PLANES, camera.height, camera.width), np.float32)
    rgb, labels = planes[:3].transpose(1, 2, 0), planes[3:5].transpose(1, 2, 0)
    return RenderedView(rgb, planes[5], labels, planes[6], planes[7])
