"""The mistakes that captures are known for: what to write about each, and the view without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations, product

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ...core.camera import PinholeCamera
from ...core.geometry import SE3
from ...core.labels import Label
from ..base import RgbdView
from .doubt import Change
from .sampling import SAME_SURFACE_M, look_up, placing, sample

Array = npt.NDArray[np.float64]

EXPLAINED = 0.5  # share of confirmed points from which a mistake is named as the cause
CERTAIN = 0.1  # the lead over the next mistake with which a capture is corrected
POINTS, VIEWS = 200, 8  # that a mistake is tried on
THICKNESS_M = 0.25  # the far side of what is held lies no further behind its near side
DEPTH_FACTORS = (0.1, 0.2, 0.25, 0.5, 2.0, 4.0, 5.0, 10.0)
LENGTHS = {0.001: "millimetres", 0.01: "centimetres", 0.0254: "inches"}
FOCAL_FACTORS = (0.5, 0.6, 2 / 3, 0.7, 0.75, 0.8, 0.85, 1.18, 1.25, 4 / 3, 1.42, 1.5, 1.6, 1.75, 2.0)
QUATERNIONS = (
    ([1, 2, 3, 0], "(w, x, y, z) read as (x, y, z, w)"),
    ([3, 0, 1, 2], "(x, y, z, w) read as (w, x, y, z)"),
)  # where x, y, z and w stand in what was read
DIRECTIONS = (("right", "left"), ("down", "up"), ("forward", "backward"))
OPENGL = np.diag([1.0, -1.0, -1.0])
TURNED = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Repair:
    """A known mistake: the sentence that names it, and the change that undoes it; no change where it is not known."""

    sentence: str
    change: Change
    corrects: bool = True


@dataclass(frozen=True, eq=False)
class Explanation:
    """The repair that explains a contradiction best.

    Attributes:
        confirmed: share of points that would then be confirmed.
        certain: whether no other repair comes close.
    """

    repair: Repair
    confirmed: float
    certain: bool

    def __str__(self) -> str:
        return f"{self.repair.sentence} ({self.confirmed:.0%} would then be confirmed)"


def explanation(views: Sequence[RgbdView], suspects: Sequence[RgbdView]) -> Explanation | None:
    """Returns the mistake without which the suspects would agree with all views; None if no known one does.

    Args:
        views: all views of the capture, the suspects among them.
        suspects: the views that share the mistake.
    """
    names = {view.name for view in suspects}
    trusted, tried = [v for v in views if v.name not in names][:VIEWS], list(suspects)[:VIEWS]
    least = max(EXPLAINED, _confirmed(trusted, tried) + CERTAIN)
    scored: list[tuple[float, Repair]] = []
    for stage in (_of_cameras(), _of_units(tried)):
        scored += [(_confirmed(trusted, [repair.change(v) for v in tried]), repair) for repair in stage]
        scored.sort(key=lambda pair: -pair[0])
        if scored[0][0] >= least:
            break
    (best, repair), *rest = scored
    if best < least:
        return None
    return Explanation(repair, best, repair.corrects and all(best - score >= CERTAIN for score, _ in rest))


def _confirmed(trusted: Sequence[RgbdView], repaired: Sequence[RgbdView]) -> float:
    """Returns the share of the repaired views' points, on object and hand and around, that others confirm."""
    shares = []
    everyone = [*trusted, *repaired]
    for view in repaired:
        others = [other for other in everyone if other is not view]
        points = view.world_from_camera.apply(
            sample(view, view.labels != Label.BACKGROUND, POINTS).points_camera
        )
        confirmed = np.zeros(len(points), bool)
        for other in others:
            found = look_up(other, points)
            near = (found.behind_m > -SAME_SURFACE_M) & (found.behind_m < THICKNESS_M)
            confirmed |= found.measured & near & (other.labels[found.rows, found.columns] != Label.BACKGROUND)
        if len(points):
            around = placing(view, others, POINTS)
            shares.append(confirmed.mean() * (around.same if around else 1.0))
    return float(np.mean(shares or [0.0]))


def _of_cameras() -> Iterator[Repair]:
    """Mistakes of axes, direction, depth and focal length."""
    for sign, axes in product((1, -1), _turns()):
        inverse = sign < 0
        if not inverse and np.array_equal(axes, np.eye(3)):
            continue
        yield Repair(_about_axes(axes, inverse), _with_axes(axes, inverse))
    for axes in (np.diag([-1.0, 1, 1]), np.diag([1.0, -1, 1]), np.diag([1.0, 1, -1])):
        yield Repair(
            "the images seem to be mirrored, or the poses to be of a left-handed world, as Unity and Unreal have "
            f"it ({_said(axes)}): mirror the images back, or convert the poses",
            _mirrored(axes),
            corrects=False,
        )
    yield from (Repair(_about_depth(f), depth_scaled(f)) for f in DEPTH_FACTORS)
    yield Repair(
        "world_from_camera seems to hold the transposed rotation beside the right position: transpose its 3x3 part",
        _moved(lambda pose: SE3(pose.rotation.T, pose.translation)),
    )
    for order, name in QUATERNIONS:
        yield Repair(
            f"the rotations seem to come from quaternions in another order, {name}: convert them again",
            _moved(partial(_reordered, order=order)),
        )
    for factor in FOCAL_FACTORS:
        yield Repair(
            f"K seems to belong to images of another resolution or stream (depth instead of colour): its focal "
            f"lengths fit when multiplied by {factor:.2f}",
            refocused(factor),
            corrects=False,
        )


def _of_units(views: Sequence[RgbdView]) -> Iterator[Repair]:
    """Mistakes of the length in which positions are given, alone or with other axes."""
    common: list[tuple[Array, bool]] = [
        (np.eye(3), False),
        (OPENGL, False),
        (np.eye(3), True),
        (OPENGL, True),
    ]
    for (axes, inverse), (factor, name) in product(common, LENGTHS.items()):
        also = "" if not inverse and np.array_equal(axes, np.eye(3)) else f"; {_about_axes(axes, inverse)}"
        yield Repair(
            f"the positions in world_from_camera seem to be in {name}, not metres{also}: multiply them by {factor:g}",
            _in_metres(factor, axes, inverse),
        )
    for (axes, inverse), factor in product(common[:2], np.geomspace(0.05, 20, 61)):
        yield Repair(
            "the positions in world_from_camera seem to have no metric scale, as structure from motion (COLMAP) "
            f"leaves them: multiplied by about {factor:.2g}, they fit depth; find the scale with a known length",
            _in_metres(float(factor), axes, inverse),
            corrects=False,
        )


def _turns() -> Iterator[Array]:
    """Yields the 24 rotations that permute axes."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            axes = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(axes) > 0:
                yield axes


def _said(axes: Array) -> str:
    """Says where the axes of the poses point, for the matrix (3, 3) that gives their coordinates from OpenCV's."""
    words = []
    for name, row in zip("xyz", axes, strict=True):
        k = int(np.argmax(np.abs(row)))
        words.append(f"{name} {DIRECTIONS[k][int(row[k] < 0)]}")
    return ", ".join(words)


def _about_axes(axes: Array, inverse: bool) -> str:
    said = "world_from_camera seems to be its inverse, camera_from_world: invert it"
    if np.array_equal(axes, np.eye(3)):
        return said
    rows = np.array2string(axes.astype(int), separator=", ")
    if np.array_equal(axes, OPENGL):
        rows = "diag(1, -1, -1, 1)"
        turned = f"the poses seem to be in OpenGL axes ({_said(axes)}), as nerfstudio and Blender write them"
    elif np.array_equal(axes, TURNED):
        turned = (
            "the images seem to be turned by 180 degrees against their poses, as of a camera hung upside down"
        )
    else:
        turned = f"the cameras' axes seem to be {_said(axes)} instead of x right, y down, z forward"
    repair = f"{turned}: multiply world_from_camera by {' '.join(rows.split())} from the right"
    return f"{said}, then {repair}" if inverse else repair


def _moved(pose_of: Callable[[SE3], SE3]) -> Change:
    return lambda view: replace(view, world_from_camera=pose_of(view.world_from_camera))


def _with_axes(axes: Array, inverse: bool) -> Change:
    local = SE3(axes, np.zeros(3))
    return _moved(lambda pose: (pose.inverse() if inverse else pose) @ local)


def _in_metres(factor: float, axes: Array, inverse: bool) -> Change:
    local = SE3(axes, np.zeros(3))

    def pose_of(pose: SE3) -> SE3:
        right = pose.inverse() if inverse else pose
        return SE3(right.rotation, right.translation * factor) @ local

    return _moved(pose_of)


def _mirrored(axes: Array) -> Change:
    world = np.diag([1.0, 1.0, -1.0])
    return _moved(lambda pose: SE3(world @ pose.rotation @ axes, world @ pose.translation))


def _reordered(pose: SE3, order: list[int]) -> SE3:
    quaternion = Rotation.from_matrix(pose.rotation).as_quat()
    return SE3(Rotation.from_quat(quaternion[order]).as_matrix(), pose.translation)


def _about_depth(factor: float) -> str:
    return f"the depth scale seems to be wrong: multiply depth_scale_m by {factor:g}"


def depth_scaled(factor: float) -> Change:
    """Returns the change that multiplies a camera's depth."""
    return lambda view: replace(view, depth_m=(view.depth_m * np.float32(factor)).astype(np.float32))


def refocused(factor: float) -> Change:
    """Returns the change that multiplies a camera's focal lengths."""

    def change(view: RgbdView) -> RgbdView:
        c = view.camera
        return replace(
            view, camera=PinholeCamera(c.width, c.height, c.fx * factor, c.fy * factor, c.cx, c.cy)
        )

    return change
