"""Laws of thin walls: a board whose two sides cameras measure at the same place, or even swapped."""

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import look_at
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction.initialisation.fusion import clean_depth
from h2rh_env.reconstruction.initialisation.initialise import initialise
from h2rh_env.reconstruction.initialisation.thin_walls import WALL_M, missing

CAMERA = PinholeCamera(200, 150, 300.0, 300.0, 100.0, 75.0)
HALF_M, HEIGHT_M = 0.05, 0.3
EYES = [
    (0.4, 0, 0.4),
    (0.4, 0.25, 0.3),
    (0.4, -0.2, 0.35),
    (-0.4, 0, 0.4),
    (-0.4, 0.2, 0.3),
    (-0.4, -0.2, 0.3),
]


def see(name: str, eye: tuple[float, float, float], bias_m: float) -> RgbdView:
    """Ray-casts a board without thickness at x = 0, red from one side, green from the other."""
    pose = look_at(eye, [0, 0, HEIGHT_M])
    rays = CAMERA.unproject(np.ones((CAMERA.height, CAMERA.width))) @ pose.rotation.T
    depth = -pose.translation[0] / rays[..., 0]
    point = pose.translation + depth[..., None] * rays
    hit = (np.abs(point[..., 1]) < HALF_M) & (np.abs(point[..., 2] - HEIGHT_M) < HALF_M) & (depth > 0)
    table = np.where(rays[..., 2] < 0, -pose.translation[2] / np.minimum(rays[..., 2], -1e-9), 0)
    depth = np.where(hit, depth + bias_m, np.where(table < 3, table, 0))
    colour = [200, 30, 30] if eye[0] > 0 else [30, 200, 30]
    rgb = np.where(hit[..., None], colour, 90).astype(np.uint8)
    labels = np.where(hit, Label.OBJECT, Label.BACKGROUND).astype(np.uint8)
    return RgbdView(name, CAMERA, pose, rgb, depth.astype(np.float32), labels)


def board(bias_m: float) -> HandoverCapture:
    return HandoverCapture("board", tuple(see(f"c{k}", eye, bias_m) for k, eye in enumerate(EYES)))


def covered(points: np.ndarray) -> float:
    """Returns the share of the board within 2 mm of a point."""
    steps = np.linspace(-HALF_M + 0.004, HALF_M - 0.004, 40)
    grid = np.stack(np.meshgrid(steps, steps), axis=2).reshape(-1, 2)
    gap = np.linalg.norm(grid[:, None] - (points[:, 1:] - [0, HEIGHT_M]), axis=2).min(axis=1)
    return float((gap < 0.002).mean())


@pytest.mark.parametrize("bias_m", [0.0, 0.001])
def test_a_wall_thinner_than_the_errors_of_depth_has_no_hole(bias_m: float) -> None:
    """A positive bias swaps the sides: each is measured behind the other."""
    capture = board(bias_m)
    with_walls, _, _ = initialise(capture)
    without, _, _ = initialise(capture, corrected=False)
    for side, colour in ((1, 0), (-1, 1)):
        mine = with_walls.sh[:, 0].argmax(axis=1) == colour
        assert covered(with_walls.means[mine]) > 0.98
        assert side * np.median(with_walls.means[mine, 0]) > -1e-4
    assert covered(without.means) < 0.8


def test_what_fusion_found_is_not_added_again() -> None:
    views = [clean_depth(view) for view in board(0.0).views[:3]]  # one side only
    steps = np.arange(-HALF_M, HALF_M, 0.002)
    y, z = (axis.ravel() for axis in np.meshgrid(steps, steps + HEIGHT_M))
    points, normals = np.column_stack([0 * y, y, z]), np.broadcast_to([1.0, 0, 0], (len(y), 3))
    assert len(missing(views, points, normals, 0.002).points) < 0.03 * len(points)
    half = y < 0
    new = missing(views, points[half], normals[half], 0.002)
    assert (new.points[:, 1] > -0.004).all()
    assert covered(np.concatenate([points[half], new.points])) > 0.99


def test_sides_are_a_wall_apart() -> None:
    scene, _, _ = initialise(board(0.0005))
    x = scene.means[:, 0]
    red = scene.sh[:, 0].argmax(axis=1) == 0
    assert np.median(x[red]) - np.median(x[~red]) > 0.6 * WALL_M
