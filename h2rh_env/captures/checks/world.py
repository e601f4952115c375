"""Doubts about the capture as a whole: which way is up, how large and far things are, how many cameras saw them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from ...core.geometry import SE3
from ...core.labels import Label
from ..base import HandoverCapture, RgbdView
from .agreement import extent_m, held_points
from .doubt import Doubt, Fix
from .sampling import Array, sample

SIZES_M = {Label.OBJECT: (0.02, 0.6), Label.HAND: (0.05, 0.6)}
DISTANCES_M = (0.12, 3.0)  # of object and hand from a camera
FARTHEST_M = 100.0  # of the capture from the world's origin
LEAST_VIEWS = 3
UPRIGHT = 0.3  # of the cameras' mean up vector along z; sound captures: 0.6 and more
MOST_SPREAD_S = 0.02  # between the first and the last image
APART_M = 0.08  # between object and hand
LEAST_ANGLE_RAD = np.radians(10)  # between the two most different directions of view
NO_HAND = (
    "no camera's labels mark a hand; if one is in the images, it is not annotated: every distance to it will be "
    "infinite, and 'safe' will speak of the object alone"
)


def odd_world(capture: HandoverCapture) -> list[Doubt]:
    views = capture.views
    return [
        *_odd_sizes(views),
        *_odd_distances(views),
        *_hand(views),
        *_few_views(views),
        *_twins(views),
        *_spread_in_time(capture),
        *_not_upright(views),
    ]


def _odd_sizes(views: tuple[RgbdView, ...]) -> list[Doubt]:
    found = []
    for label, (least_m, most_m) in SIZES_M.items():
        size_m = max(extent_m(view, label) for view in views)
        if size_m and not least_m <= size_m <= most_m:
            found.append(
                Doubt(
                    f"the {label.name.lower()} measures {size_m:.2f} m; {least_m} to {most_m} m are usual; "
                    "check the depth scale, K and the masks",
                    refused=not least_m / 2 <= size_m <= most_m * 2,
                )
            )
    return found


def _odd_distances(views: tuple[RgbdView, ...]) -> list[Doubt]:
    found = []
    for view in views:
        depth_m = view.depth_m[(view.labels == Label.OBJECT) & (view.depth_m > 0)]
        if len(depth_m) and not DISTANCES_M[0] <= np.median(depth_m) <= DISTANCES_M[1]:
            found.append(
                Doubt(
                    f"camera {view.name} is {np.median(depth_m):.2f} m from the object; {DISTANCES_M[0]} to "
                    f"{DISTANCES_M[1]} m are usual; check the depth scale and the masks"
                )
            )
    origins = np.array([view.world_from_camera.translation for view in views])
    if np.abs(origins).max() > FARTHEST_M:
        found.append(
            Doubt(
                f"a camera is {np.abs(origins).max():.0f} m from the world's origin; put the origin near the "
                "object, and write world_from_camera in metres"
            )
        )
    return found


def _hand(views: tuple[RgbdView, ...]) -> list[Doubt]:
    if not any((view.labels == Label.HAND).any() for view in views):
        return [Doubt(NO_HAND)]
    gaps = []
    for view in views:
        of = [sample(view, view.labels == label, 300).points_camera for label in (Label.OBJECT, Label.HAND)]
        if all(len(points) > 20 for points in of):
            gaps.append(np.linalg.norm(of[0][:, None] - of[1], axis=2).min())
    if gaps and min(gaps) > APART_M:
        return [
            Doubt(
                f"nobody holds the object: hand and object are {min(gaps):.2f} m apart in every image; check that "
                "the masks mark the held object and the hand that holds it"
            )
        ]
    return []


def _few_views(views: tuple[RgbdView, ...]) -> list[Doubt]:
    count = sum(bool((view.labels == Label.OBJECT).any()) for view in views)
    if count < LEAST_VIEWS:
        return [
            Doubt(
                f"{count} {'camera sees' if count == 1 else 'cameras see'} the object; its other sides will be "
                f"missing, and nothing can confirm what was measured; give at least {LEAST_VIEWS}, better eight"
            )
        ]
    directions = np.array([view.world_from_camera.rotation[:, 2] for view in views])
    widest = float(np.arccos(np.clip((directions @ directions.T).min(), -1, 1)))
    if widest < LEAST_ANGLE_RAD:
        return [
            Doubt(
                f"all cameras look the same way to within {np.degrees(widest):.0f} degrees; the far side of the "
                "object will be missing; place cameras around it, and check that each has its own pose"
            )
        ]
    return []


def _spread_in_time(capture: HandoverCapture) -> list[Doubt]:
    spread_s = capture.provenance.get("time_spread_s", 0.0)
    if spread_s <= MOST_SPREAD_S:
        return []
    return [
        Doubt(
            f"the images were taken within {1e3 * spread_s:.0f} ms; {1e3 * MOST_SPREAD_S:.0f} ms are usual, in which "
            "a hand moves by some mm; trigger the cameras together, or hold still"
        )
    ]


def _twins(views: tuple[RgbdView, ...]) -> list[Doubt]:
    found = []
    for one, two in combinations(views, 2):
        same_image = one.rgb.shape == two.rgb.shape and np.array_equal(one.rgb, two.rgb)
        same_depth = one.depth_m.shape == two.depth_m.shape and np.array_equal(one.depth_m, two.depth_m)
        same_pose = np.allclose(one.world_from_camera.matrix, two.world_from_camera.matrix, atol=1e-9)
        same = [
            name
            for name, is_same in (
                ("colour image", same_image and one.rgb.std() > 0),
                ("depth image", same_depth and one.depth_m.std() > 0),
                ("pose", same_pose and not (same_image and same_depth)),
            )
            if is_same
        ]
        if same:
            found.append(
                Doubt(
                    f"cameras {one.name} and {two.name} have the same {' and '.join(same)}; each needs its own: "
                    "look for a file or a matrix that was copied"
                )
            )
    return found


def _not_upright(views: tuple[RgbdView, ...]) -> list[Doubt]:
    """Doubts worlds in which z is not up, by how the cameras stand; cameras that look straight down tell nothing."""
    ups = np.array([-view.world_from_camera.rotation[:, 1] for view in views])
    up = ups.mean(axis=0)
    if np.linalg.norm(up) < UPRIGHT or up[2] > UPRIGHT * 0.5:
        return []
    looks = np.array([view.world_from_camera.rotation[:, 2] for view in views])
    if up[2] > -UPRIGHT * 0.5 and np.mean(looks[:, 2]) < -0.5:
        return []  # they look down, and their images may stand any way
    axis = int(np.argmax(np.abs(up)))
    sign = float(np.sign(up[axis]))
    certain = abs(up[axis]) > 2 * np.abs(np.delete(up, axis)).max() and len(views) >= LEAST_VIEWS
    said = f"{'' if sign > 0 else '-'}{'xyz'[axis]}"
    return [
        Doubt(
            f"the world's z does not point up: by how the cameras stand, {said} does; turn the world so that z is "
            "up, as gravity and approach need it, or hang no camera upside down without turning its images",
            refused=True,
            fix=_turned(axis, sign) if certain else None,
        )
    ]


def _turned(axis: int, sign: float) -> Fix:
    """Returns the fix that turns an axis of the world, with its sign, to z."""
    up: Array = np.eye(3)[axis] * sign
    side = np.eye(3)[(axis + 1) % 3]
    world = SE3(np.stack([side, np.cross(up, side), up]), np.zeros(3))

    def fix(capture: HandoverCapture) -> HandoverCapture:
        views = [replace(v, world_from_camera=world @ v.world_from_camera) for v in capture.views]
        return replace(capture, views=tuple(views))

    return fix


def centre_world(views: tuple[RgbdView, ...]) -> Array:
    """Returns the middle (3,), m, of what the cameras measured on object and hand."""
    centre: Array = np.median(np.concatenate([held_points(view) for view in views]), axis=0)
    return centre
