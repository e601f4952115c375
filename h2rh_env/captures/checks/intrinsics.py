"""Doubts about intrinsics and depth that deceive by centimetres: K of other images, distances along the ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...core.camera import PIXEL_CENTRE_PX, PinholeCamera
from ..base import HandoverCapture, RgbdView
from .doubt import Change, Doubt, changed, names_of
from .repairs import depth_scaled, refocused
from .sampling import FINEST_M, Placing, placing

OFF_CENTRE = 0.12  # of the principal point from the image's middle, as a share of the side
SQUARE = 0.04  # relative difference of the focal lengths
FIELDS_RAD = (np.radians(20), np.radians(130))  # of view, horizontal
LEAST_VIEWS, MANY_VIEWS, VIEWS = 3, 5, 6
WELL_FITTED = (
    0.8  # median share that a neighbour measured within 12 mm, and 8 mm if cameras are many; sound: 0.82
)
ODD_ONE = 0.65  # least of the share within 12 mm to the median; sound captures: 0.56, of a camera 1 % off
BETTER = 0.12  # share by which a repair has to improve that
EXPLAINED = 0.8  # share that it has to reach
FOCAL_FACTORS = (
    *np.geomspace(0.5, 0.955, 24),
    *np.geomspace(1.047, 2, 24),
)  # less, usual depth errors explain too
RESOLUTIONS = (
    (640, 480), (1280, 720), (1920, 1080), (848, 480), (1280, 800), (1280, 960), (1024, 768), (960, 540), (424, 240),
    (320, 240), (2560, 1440), (3840, 2160),
)  # fmt: skip


def impossible_intrinsics(capture: HandoverCapture) -> list[Doubt]:
    """Doubts a K that is no camera's of such images."""
    return [doubt for view in capture.views for doubt in (_of_matrix(view),) if doubt]


def _of_matrix(view: RgbdView) -> Doubt | None:
    c = view.camera
    shares = np.array([c.cx / c.width, c.cy / c.height])
    if (np.abs(shares - 0.5) > OFF_CENTRE).any():
        other = _resolution_of(c)
        swapped = (np.abs(np.array([c.cy / c.width, c.cx / c.height]) - 0.5) < OFF_CENTRE / 2).all()
        change: Change | None
        if swapped:
            said, change = "cx and cy seem to be swapped", _with_centre_swapped
        elif other:
            said = (
                f"K seems to belong to images of {other[0]}x{other[1]} px; multiply its first row by "
                f"{c.width / other[0]:g} and its second by {c.height / other[1]:g}, if the images were "
                "scaled and not cropped"
            )
            change = _rescaled(other)
        else:
            said, change = "K belongs to images of another resolution, or the images were cropped", None
        names = names_of([view])
        return Doubt(
            f"camera {view.name} has its principal point at ({c.cx - PIXEL_CENTRE_PX:.0f}, "
            f"{c.cy - PIXEL_CENTRE_PX:.0f}) of {c.width}x{c.height} px, far from the middle: {said}",
            refused=True,
            fix=(lambda capture: changed(capture, names, change)) if change else None,
        )
    field = 2 * np.arctan(c.width / (2 * c.fx))
    if not FIELDS_RAD[0] < field < FIELDS_RAD[1]:
        return Doubt(
            f"camera {view.name} has a field of view of {np.degrees(field):.0f} degrees by its K; 20 to 130 are "
            "usual: K belongs to images of another resolution"
        )
    if abs(c.fx / c.fy - 1) > SQUARE:
        return Doubt(
            f"camera {view.name} has focal lengths of {c.fx:.0f} and {c.fy:.0f} px; those of square pixels are "
            "equal: K belongs to images of another shape, which were squeezed"
        )
    return None


def _resolution_of(camera: PinholeCamera) -> tuple[int, int] | None:
    """Returns the usual resolution whose middle the principal point lies in, if it is not the camera's own."""
    for width, height in RESOLUTIONS:
        off = np.abs([camera.cx / width - 0.5, camera.cy / height - 0.5])
        if (off < OFF_CENTRE / 2).all() and (width, height) != (camera.width, camera.height):
            return width, height
    return None


def unlikely_intrinsics(capture: HandoverCapture) -> list[Doubt]:
    """Doubts what all cameras share, or one has, if without it they would measure the same surfaces."""
    views = capture.views
    placed = [placing(view, _others(view, views)) for view in views]
    known = [share for share in placed if share]
    if len(known) < LEAST_VIEWS:
        return []
    finest = float(np.median([share.finest for share in known])) if len(known) >= MANY_VIEWS else 1.0
    if min(finest, float(np.median([share.fine for share in known]))) < WELL_FITTED:
        some = list(views)[:: max(1, len(views) // VIEWS)][:VIEWS]
        return _of_repair(some, [], views)
    odd = _odd_one(placed)
    return [] if odd is None else _of_repair([views[odd]], _others(views[odd], views), [views[odd]])


def is_misplaced(capture: HandoverCapture) -> bool:
    """Whether one camera's depth lies elsewhere than that of all others."""
    return _odd_one([placing(view, _others(view, capture.views)) for view in capture.views]) is not None


def _odd_one(placed: Sequence[Placing | None]) -> int | None:
    fine = [1.0 if share is None else share.fine for share in placed]
    k = int(np.argmin(fine))
    return k if fine[k] < ODD_ONE * float(np.median(fine)) else None


def _others(view: RgbdView, views: Sequence[RgbdView]) -> list[RgbdView]:
    return [other for other in views if other is not view]


def _of_repair(
    tried: Sequence[RgbdView], trusted: Sequence[RgbdView], sharing: Sequence[RgbdView]
) -> list[Doubt]:
    """Names the mistake without which views fit best, if one makes them fit.

    Args:
        tried: the views that the repairs are tried on.
        trusted: other views that do not have the mistake.
        sharing: the views that share it.
    """

    def fit(change: Change) -> float:
        views = [change(view) for view in tried]
        placed = [placing(view, [*_others(view, views), *trusted]) for view in views]
        return float(np.mean([share.finest if share else 0.0 for share in placed]))

    here = fit(lambda view: view)
    best, said, change = max(
        ((fit(change), said, change) for said, change in _repairs()), key=lambda tried: tried[0]
    )
    if best < max(here + BETTER, EXPLAINED):
        return []
    names = names_of(sharing)
    who = f"camera {sharing[0].name}" if len(sharing) == 1 else "several cameras"
    return [
        Doubt(
            f"of what {who} measured, only {here:.0%} lies within {1e3 * FINEST_M:.0f} mm of what neighbours did; "
            f"{said} ({best:.0%} would then)",
            fix=(lambda capture: changed(capture, names, change)) if change is _along_axis else None,
        )
    ]


def _repairs() -> Iterator[tuple[str, Change]]:
    yield (
        "depth seems to hold distances along the ray; divide them by the length of K^-1 (u, v, 1)",
        _along_axis,
    )
    for factor in FOCAL_FACTORS:
        yield (
            f"the focal lengths in K seem to be wrong: they fit when multiplied by about {factor:.2f}; take K of the "
            "stream that depth was aligned to",
            refocused(factor),
        )
    yield "the principal point in K seems to be wrong: the middle of the image fits better", _centred
    for factor in (0.93, 0.95, 0.96, 1.04, 1.05, 1.07):
        yield (
            f"depth seems to be off by a factor: it fits when multiplied by about {factor:.2f}; check the units and "
            "calibrate the depth cameras",
            depth_scaled(factor),
        )


def _along_axis(view: RgbdView) -> RgbdView:
    rays = view.camera.unproject(np.ones(view.depth_m.shape))
    return replace(view, depth_m=(view.depth_m / np.linalg.norm(rays, axis=-1)).astype(np.float32))


def _rescaled(other: tuple[int, int]) -> Change:
    def change(view: RgbdView) -> RgbdView:
        c = view.camera
        x, y = c.width / other[0], c.height / other[1]
        return replace(view, camera=PinholeCamera(c.width, c.height, c.fx * x, c.fy * y, c.cx * x, c.cy * y))

    return change


def _with_centre_swapped(view: RgbdView) -> RgbdView:
    c = view.camera
    return replace(view, camera=PinholeCamera(c.width, c.height, c.fx, c.fy, c.cy, c.cx))


def _centred(view: RgbdView) -> RgbdView:
    c = view.camera
    return replace(view, camera=PinholeCamera(c.width, c.height, c.fx, c.fy, c.width / 2, c.height / 2))
