"""Pictures to train the segmenter with: handovers that the generator stages, seen whole and through windows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h2rh_env.captures.synthetic.generate import Stage, stage
from h2rh_env.captures.synthetic.objects.catalogue import ALL_NAMES
from h2rh_env.captures.synthetic.rendering.rig import RigCamera
from h2rh_env.captures.synthetic.rendering.sensor import photograph
from h2rh_env.core.camera import D435I, HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import SE3, look_at, rotation_from_euler_xyz, uniform_directions
from h2rh_env.core.labels import Label

from .network import HEIGHT_PX, WIDTH_PX

PLACES, RIG_EVERY = 5, 3  # cameras before each stage; every so manyth is one of the generator's own
CLOSE_PER_PLACE = 2
NAMED_SHARE = 0.4  # of the objects; the others are invented
WRIST_M = 0.02  # of forearm that may be labelled hand in a picture that shows the rest of it
WINDOW = (1.15, 3.0)  # times what is held
LEAST_HELD = 40  # labelled pixels
BRIGHTNESS = 0.23  # linear, of a picture's middle after exposure
Taken = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16], npt.NDArray[np.uint8], bool, bool]


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures of the network's size.

    Attributes:
        rgb: (N, H, W, 3) uint8; depth_m: (N, H, W) float16, 0 where unknown; labels: (N, H, W) uint8.
        close: (N,) bool, seen through a window about what is held, instead of whole.
        cut: (N,) bool, more of the arm is labelled than the hand, so what is unlabelled must not be shown.
    """

    rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float16]
    labels: npt.NDArray[np.uint8]
    close: npt.NDArray[np.bool_]
    cut: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rgb)

    def of(self, close: bool) -> Pictures:
        """Those seen through a window, or the whole ones."""
        return Pictures(*(part[self.close == close] for part in vars(self).values()))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **vars(self))

    @staticmethod
    def load(folder: Path) -> Pictures:
        """Training images of every file in a folder.

        Raises:
            CaptureError: there is none.
        """
        parts = [dict(np.load(path, allow_pickle=False)) for path in sorted(folder.glob("*.npz"))]
        if not parts:
            raise CaptureError(f"{folder} holds no pictures; take some: --take-minutes 10")
        return Pictures(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def take_pictures(seed: int, seconds: float) -> Pictures:
    """As many as fit into the processor time, at least one stage's."""
    taken: list[Taken] = []
    deadline, number = time.process_time() + seconds, 0
    while time.process_time() < deadline or not taken:
        number += 1
        rng = np.random.default_rng([seed, number])
        name = str(rng.choice(ALL_NAMES)) if rng.random() < NAMED_SHARE else None
        try:
            scene = stage(int(rng.integers(1 << 31)), name)
        except CaptureError:  # this object does not go into this hand
            continue
        taken += _photographed(scene, rng)
    return Pictures(*(np.stack(part) for part in zip(*taken, strict=True)))


def _photographed(scene: Stage, rng: np.random.Generator) -> Iterator[Taken]:
    """Whole from each place, and through windows about what the whole picture holds."""
    centre = scene.object_mesh.vertices.mean(axis=0)
    cut = bool(scene.giver["labelled_forearm_m"] > WRIST_M)
    for k in range(PLACES):
        lens, world_from_camera = HAND_EYE_CAMERA, _hand_eye(centre, rng)
        if k % RIG_EVERY == 0:
            lens = D435I.resized(WIDTH_PX, HEIGHT_PX)
            world_from_camera = scene.rig[rng.integers(len(scene.rig))].world_from_camera
        whole = scene.studio.picture(lens, world_from_camera)
        held = whole.labels > 0
        if held.sum() < LEAST_HELD or not (whole.labels == Label.OBJECT).any():
            continue
        middle = float(np.percentile(whole.linear.mean(axis=2), 60))
        exposure = np.full(3, BRIGHTNESS * np.exp(rng.normal(-0.1, 0.4)) / max(middle, 1e-3))
        windows = [_through_window(lens, held, rng) for _ in range(CLOSE_PER_PLACE)]
        for camera in (lens, *windows):
            close = camera is not lens
            picture = scene.studio.picture(camera, world_from_camera) if close else whole
            eye = RigCamera("any", camera, world_from_camera, 1.0, np.exp(rng.normal(0, 0.06, 3)))
            view = photograph(picture, exposure, eye, rng)
            depth = picture.depth_m if rng.random() < 0.3 else view.depth_m
            yield view.rgb, depth.astype(np.float16), view.labels, close, cut


def _hand_eye(centre: npt.NDArray[np.float64], rng: np.random.Generator) -> SE3:
    """Above the table, 0.25 to 1.1 m from the object, looking more or less at it."""
    away = uniform_directions(rng, 1)[0]
    away[2] = abs(away[2]) if centre[2] < 0.3 else max(away[2], -0.3)
    seen = look_at(centre + rng.uniform(0.25, 1.1) * away / np.linalg.norm(away), centre)
    shaken = rotation_from_euler_xyz(np.array([*rng.normal(0, 0.12, 2), rng.normal(0, 0.4)]))
    return seen @ SE3(shaken, np.zeros(3))


def _through_window(
    lens: PinholeCamera, held: npt.NDArray[np.bool_], rng: np.random.Generator
) -> PinholeCamera:
    """The same eye, seeing only a part of the image about what is held."""
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    high, wide = len(rows) / lens.height, len(columns) / lens.width
    part = min(1.0, max(high, wide) * np.exp(rng.uniform(*np.log(WINDOW))))
    off = rng.normal(0, 0.12, 2) * part
    left = np.clip(columns.mean() / lens.width + off[0] - part / 2, 0, 1 - part) * lens.width
    top = np.clip(rows.mean() / lens.height + off[1] - part / 2, 0, 1 - part) * lens.height
    return replace(
        lens, fx=lens.fx / part, fy=lens.fy / part, cx=(lens.cx - left) / part, cy=(lens.cy - top) / part
    )
