"""Laws of the first Gaussians, on two spheres above a table whose every depth is known."""

from dataclasses import replace

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import SE3, look_at, rotation_from_wxyz
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction.initialisation.depth_scale import depth_scale_errors, metric
from h2rh_env.reconstruction.initialisation.initialise import initialise
from h2rh_env.scenes.gaussians import SH_C0

CAMERA = PinholeCamera(320, 240, 306.0, 306.0, 160.0, 120.0)
SPHERES = (  # centre, radius, colour, label
    (np.array([0.0, 0.0, 0.25]), 0.05, (200, 40, 30), Label.OBJECT),
    (np.array([0.0, 0.075, 0.23]), 0.03, (220, 180, 150), Label.HAND),
)
EYES = [
    (0.6, 0, 0.5),
    (0.2, 0.6, 0.5),
    (-0.5, 0.4, 0.45),
    (-0.5, -0.4, 0.6),
    (0.2, -0.6, 0.4),
    (0.05, 0.05, 0.9),
]


def see(name: str, world_from_camera: SE3) -> RgbdView:
    """Ray-cast spheres over the table z = 0."""
    rays = CAMERA.unproject(np.ones((CAMERA.height, CAMERA.width))) @ world_from_camera.rotation.T
    eye = world_from_camera.translation
    depth = np.where(rays[..., 2] < 0, -eye[2] / np.minimum(rays[..., 2], -1e-9), np.inf)
    rgb = np.full((*depth.shape, 3), 120, np.uint8)
    labels = np.zeros(depth.shape, np.uint8)
    for centre, radius, colour, label in SPHERES:
        a, b = (rays**2).sum(axis=2), rays @ (eye - centre)
        root = b * b - a * ((eye - centre) @ (eye - centre) - radius**2)
        t = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        nearer = t < depth
        depth = np.where(nearer, t, depth)
        rgb[nearer], labels[nearer] = colour, label
    return RgbdView(
        name, CAMERA, world_from_camera, rgb, np.where(depth < 3, depth, 0).astype(np.float32), labels
    )


@pytest.fixture(scope="module")
def capture() -> HandoverCapture:
    return HandoverCapture(
        "spheres", tuple(see(f"c{k}", look_at(eye, [0, 0, 0.2])) for k, eye in enumerate(EYES))
    )


def off_sphere_mm(points: np.ndarray, sphere: int) -> np.ndarray:
    centre, radius, _, _ = SPHERES[sphere]
    return 1000 * (np.linalg.norm(points - centre, axis=1) - radius)


def test_points_lie_on_what_was_seen(capture: HandoverCapture) -> None:
    _, object_points, hand_points = initialise(capture)
    assert len(object_points) > 3000
    assert len(hand_points) > 500
    assert (
        np.abs(np.concatenate([off_sphere_mm(object_points, 0), off_sphere_mm(hand_points, 1)])).mean() < 0.5
    )
    assert np.percentile(np.abs(off_sphere_mm(object_points, 0)), 99) < 1.5
    assert np.abs(off_sphere_mm(object_points, 0)).max() < 8  # where hand and object meet
    assert np.abs(off_sphere_mm(hand_points, 1)).max() < 8


def test_no_hole_where_something_was_seen(capture: HandoverCapture) -> None:
    scene, object_points, _ = initialise(capture)
    centre, radius, _, _ = SPHERES[0]
    rng = np.random.default_rng(0)
    on_top = rng.normal(size=(500, 3)) * [1, 1, 0.3] + [0, 0, 1.2]
    on_top = centre + radius * on_top / np.linalg.norm(on_top, axis=1, keepdims=True)
    gap = np.linalg.norm(on_top[:, None] - object_points, axis=2).min(axis=1)
    assert gap.max() < 0.003
    assert np.exp(scene.log_scales[:, :2]).min() > 0.0005


def test_gaussians_are_flat_on_the_surface_and_carry_its_colour(capture: HandoverCapture) -> None:
    scene, _, _ = initialise(capture)
    for sphere in (0, 1):
        centre, _, colour, label = SPHERES[sphere]
        mine = scene.labels == label
        outwards = scene.means[mine] - centre
        normals = rotation_from_wxyz(scene.wxyz[mine])[:, :, 2]
        cosine = np.abs((normals * outwards).sum(axis=1)) / np.linalg.norm(outwards, axis=1)
        assert np.median(cosine) > 0.99
        rgb = 255 * (0.5 + SH_C0 * scene.sh[mine, 0])
        assert np.abs(np.median(rgb, axis=0) - colour).max() < 4
    assert (scene.log_scales[:, 2] < scene.log_scales[:, :2].min(axis=1)).all()


def test_same_capture_same_scene(capture: HandoverCapture) -> None:
    a, b = initialise(capture)[0], initialise(capture)[0]
    assert np.array_equal(a.means, b.means)
    assert np.array_equal(a.sh, b.sh)


@pytest.mark.parametrize("limit", [300, 2000])
def test_the_number_of_gaussians_is_capped(capture: HandoverCapture, limit: int) -> None:
    scene, _, _ = initialise(capture, max_gaussians=limit)
    assert 0.5 * limit < len(scene) <= limit


def with_depth(capture: HandoverCapture, change) -> HandoverCapture:
    views = tuple(replace(v, depth_m=change(k, v).astype(np.float32)) for k, v in enumerate(capture.views))
    return replace(capture, views=views)


def test_depth_scales_are_found_on_the_table(capture: HandoverCapture) -> None:
    scales = np.array([1.004, 0.997, 1.0, 1.002, 0.995, 1.001])
    wrong = with_depth(capture, lambda k, v: v.depth_m * scales[k])
    assert np.abs(depth_scale_errors(wrong) - (scales - 1)).max() < 3e-4
    for before, after in zip(capture.views, metric(wrong).views, strict=True):
        assert np.abs(before.depth_m - after.depth_m).max() < 0.001
    assert np.abs(off_sphere_mm(initialise(wrong)[1], 0)).mean() < 0.7


def test_without_a_table_depth_is_left_alone(capture: HandoverCapture) -> None:
    bare = with_depth(capture, lambda k, v: np.where(v.labels > 0, v.depth_m, 0))
    assert (depth_scale_errors(bare) == 0).all()
    assert np.abs(off_sphere_mm(initialise(bare)[1], 0)).mean() < 0.5


def test_flying_pixels_do_not_reach_the_clouds(capture: HandoverCapture) -> None:
    rng = np.random.default_rng(1)

    def fly(k: int, v: RgbdView) -> np.ndarray:
        stray = (rng.uniform(size=v.depth_m.shape) < 0.05) & (v.labels > 0)
        return np.where(stray, v.depth_m + rng.uniform(0.02, 0.3, v.depth_m.shape), v.depth_m)

    _, object_points, hand_points = initialise(with_depth(capture, fly))
    assert np.abs(off_sphere_mm(object_points, 0)).max() < 6
    assert np.abs(off_sphere_mm(hand_points, 1)).max() < 6


def test_holes_in_one_view_are_filled_by_others(capture: HandoverCapture) -> None:
    half = with_depth(
        capture, lambda k, v: v.depth_m * (np.indices(v.depth_m.shape).sum(axis=0) // 9 % 3 != k % 3)
    )
    _, object_points, _ = initialise(half)
    assert len(object_points) > 0.9 * len(initialise(capture)[1])


def test_a_hand_may_be_absent(capture: HandoverCapture) -> None:
    views = tuple(
        replace(v, labels=np.where(v.labels == 2, 0, v.labels).astype(np.uint8)) for v in capture.views
    )
    _, object_points, hand_points = initialise(replace(capture, views=views))
    assert len(object_points) > 3000
    assert hand_points.shape == (0, 3)


@pytest.mark.parametrize("depth", [0.0, 2.9])
def test_a_capture_without_usable_object_depth_is_refused(capture: HandoverCapture, depth: float) -> None:
    views = tuple(
        replace(
            v,
            labels=np.where(v.labels == 1, 0, v.labels).astype(np.uint8),
            depth_m=v.depth_m * np.float32(depth > 0),
        )
        for v in capture.views
    )
    with pytest.raises(CaptureError, match="object"):
        initialise(replace(capture, views=views))


def test_a_camera_with_an_empty_mask_costs_nothing(capture: HandoverCapture) -> None:
    *others, last = capture.views
    empty = replace(last, labels=np.zeros_like(last.labels))
    with_it = initialise(replace(capture, views=(*others, empty)))[0]
    without = initialise(replace(capture, views=tuple(others)))[0]
    assert np.array_equal(with_it.means, without.means)
    assert np.array_equal(with_it.sh, without.sh)
