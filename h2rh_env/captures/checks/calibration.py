"""Doubts about millimetres: a camera that was moved or is late, a rig that is calibrated loosely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.labels import Label
from ..base import HandoverCapture, RgbdView
from .doubt import Doubt
from .registration import Corrections, register, register_held
from .sampling import Array, Mask
from .surface import surface
from .world import centre_world

LEAST_VIEWS, MOST_VIEWS = 4, 32
LEAST_COMPARED = 300  # points of a camera that others saw
UNIT_M, UNIT_RAD = 0.001, 0.0015  # by which shift and turn are put together to a size
MOVED, OUTLYING = 1.9, 2.5  # size, and its ratio to that of the others; sound captures: 3.8 and 2.3, not both
FAR_MOVED = 6.0  # whatever the others do
LOOSE = 3.2  # RMS size over all cameras; sound captures: 2.1
MOST_DEPTH_ERROR, ODD_DEPTH = (
    0.015,
    3.0,
)  # of a camera's depth, as a share, and its ratio to the RMS of the others
USUAL_DEPTH_ERROR = (
    0.004  # RMS over the cameras; where it is more, errors of depth pass for motions as much larger
)
LATE_M, LATE_OUTLYING = 0.0025, 3.0  # shift of object and hand alone; sound captures: 1 mm


def odd_calibration(capture: HandoverCapture) -> list[Doubt]:
    """Returns what registration of the cameras to each other tells; nothing where too few overlap."""
    views = capture.views
    if not LEAST_VIEWS <= len(views) <= MOST_VIEWS:
        return []
    surfaces = [surface(view) for view in views]
    found = register(surfaces, centre_world(views))
    usable = found.compared >= LEAST_COMPARED
    if usable.sum() < LEAST_VIEWS:
        return []
    slack = max(1.0, _rms(found.values[usable, 6]) / USUAL_DEPTH_ERROR)
    sizes = _sizes(found) / slack
    rms = _rms(sizes[usable])
    odd = [k for k in np.flatnonzero(usable) if _is_odd(sizes, usable, int(k))]
    late = [] if odd else _late(capture.views, found, register_held(surfaces, found), usable, slack)
    if late:
        return late
    if rms > LOOSE and len(odd) != 1:
        return [_loose(found, usable)]
    return [_moved(views[k], found, int(k)) for k in odd] + _scaled(views, found, usable)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _others(values: Array, usable: Mask, k: int) -> Array:
    """Returns the values (V,) of usable cameras but the one."""
    others: Array = values[usable & (np.arange(len(values)) != k)]
    return others


def _sizes(found: Corrections) -> Array:
    shift = np.linalg.norm(found.values[:, :3], axis=1) / UNIT_M
    sizes: Array = np.hypot(shift, np.linalg.norm(found.values[:, 3:6], axis=1) / UNIT_RAD)
    return sizes


def _is_odd(sizes: Array, usable: Mask, k: int) -> bool:
    others = _rms(_others(sizes, usable, k))
    return bool(sizes[k] > MOVED and sizes[k] > OUTLYING * others) or bool(
        sizes[k] > FAR_MOVED and sizes[k] > 1.5 * others
    )


def _moved(view: RgbdView, found: Corrections, k: int) -> Doubt:
    shift_mm, turn_mrad = (
        1e3 * np.linalg.norm(found.values[k, :3]),
        1e3 * np.linalg.norm(found.values[k, 3:6]),
    )
    correction = found.world_from_corrected(k)

    def fix(capture: HandoverCapture) -> HandoverCapture:
        views = [
            replace(v, world_from_camera=correction @ v.world_from_camera) if v.name == view.name else v
            for v in capture.views
        ]
        return replace(capture, views=tuple(views))

    return Doubt(
        f"camera {view.name} was moved since calibration, or its pose is a little wrong: it agrees with the others "
        f"when what it sees is moved by {shift_mm:.1f} mm and turned by {turn_mrad:.1f} mrad; calibrate it again, or "
        "build with --pose",
        fix=fix,
    )


def _loose(found: Corrections, usable: Mask) -> Doubt:
    shifts_mm = 1e3 * np.linalg.norm(found.values[usable, :3], axis=1)
    turns_mrad = 1e3 * np.linalg.norm(found.values[usable, 3:6], axis=1)
    return Doubt(
        f"the cameras fit each other loosely: poses are off by {np.sqrt(np.mean(shifts_mm**2)):.1f} mm and "
        f"{np.sqrt(np.mean(turns_mrad**2)):.1f} mrad, the worst by {shifts_mm.max():.1f} mm, and depth by up to "
        f"{100 * np.abs(found.values[usable, 6]).max():.1f} %; 2 mm and 3 mrad are usual; calibrate the rig "
        "again, or build with --pose"
    )


def _scaled(views: tuple[RgbdView, ...], found: Corrections, usable: Mask) -> list[Doubt]:
    return [
        Doubt(
            f"camera {views[k].name} measures depth wrong by {100 * found.values[k, 6]:+.1f} % against the others; "
            "check its depth scale and calibrate its depth"
        )
        for k in map(int, np.flatnonzero(usable))
        if abs(found.values[k, 6])
        > max(MOST_DEPTH_ERROR, ODD_DEPTH * _rms(_others(found.values[:, 6], usable, k)))
    ]


def _late(
    views: tuple[RgbdView, ...], around: Corrections, held: Corrections, usable: Mask, slack: float
) -> list[Doubt]:
    """Doubts a camera in whose image object and hand alone are elsewhere: it saw another moment."""
    if not all((view.labels == Label.BACKGROUND).any() for view in views):
        return []
    shift_m = np.linalg.norm(held.values[:, :3] - around.values[:, :3], axis=1)
    seen = usable & (held.compared >= LEAST_COMPARED)
    if seen.sum() < LEAST_VIEWS:
        return []
    k = int(np.argmax(np.where(seen, shift_m, 0)))
    if shift_m[k] < max(LATE_M * slack, LATE_OUTLYING * _rms(_others(shift_m, seen, k))):
        return []
    return [
        Doubt(
            f"camera {views[k].name} saw another moment, or its K is not its own: object and hand lie "
            f"{1e3 * shift_m[k]:.0f} mm from where the others saw them, while what is around them fits; trigger the "
            "cameras together, or take the frame nearest in time"
        )
    ]
