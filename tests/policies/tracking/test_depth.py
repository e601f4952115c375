"""Depth from motion: moving tells how far things are, standing still tells nothing; any frame of reference serves."""

from __future__ import annotations

import numpy as np
import pytest

from h2rh_env.core.camera import HAND_EYE_CAMERA as CAMERA
from h2rh_env.core.geometry import SE3, rotation_from_euler_xyz
from policies.config import PolicyConfig
from policies.tracking.keyframes import half_size
from policies.tracking.numba_sweep import sweep
from policies.tracking.tracker import Track, Tracker, track_episode

CONFIG = PolicyConfig()
DEPTH = CONFIG.tracking.depth

RADIUS_M = 0.05


def disc(world_from_camera: SE3, centre_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A patterned disc that stands upright to the world's z axis, as the camera sees it; rgb and masks."""
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width] + 0.5
    rays = np.stack(
        [(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones_like(rows)], -1
    )
    rays = rays @ world_from_camera.rotation.T
    offset = centre_world - world_from_camera.translation
    points = rays * (offset[2] / rays[..., 2])[..., None] - offset
    seen = np.hypot(points[..., 0], points[..., 1]) < RADIUS_M
    pattern = 128 + 60 * np.sin(points[..., 0] * 250) + 60 * np.cos(points[..., 1] * 180)
    masks = np.stack([seen, np.zeros_like(seen)], -1).astype(np.uint8) * 255
    return (pattern[..., None] * seen[..., None]).repeat(3, axis=2).astype(np.uint8), masks


def episode(distance_m: float, steps: int = 6, step_m: float = 0.03) -> tuple[list[SE3], np.ndarray]:
    """Poses on a slanted path towards a disc that stays in view, and where the disc is."""
    poses = [
        SE3(rotation_from_euler_xyz([0.01 * i, -0.02 * i, 0.03 * i]), np.array([0.3, -0.2, 0.9]) * step_m * i)
        for i in range(steps)
    ]
    return poses, np.array([0.02, -0.01, distance_m])


def ranges(tracks: list[Track]) -> np.ndarray:
    return np.array([(seen.distance_m, seen.sigma) for seen in tracks])


@pytest.mark.parametrize("distance_m", [0.45, 0.6, 0.75, 0.95, 1.1])
def test_after_a_few_steps_the_distance_is_known(distance_m: float) -> None:
    poses, centre = episode(distance_m)
    tracker = Tracker(CONFIG)
    for pose in poses:
        estimate = tracker.see(*disc(pose, centre), pose)
    true = float(np.linalg.norm(centre - poses[-1].translation))
    assert estimate.distance_m == pytest.approx(true, rel=0.04)
    assert DEPTH.least_sigma <= estimate.sigma < 0.5 * DEPTH.initial_sigma


def test_without_motion_nothing_is_learnt() -> None:
    poses, centre = episode(0.6)
    tracker = Tracker(CONFIG)
    for _ in range(4):
        estimate = tracker.see(*disc(poses[0], centre), poses[0])
        assert estimate.distance_m == pytest.approx(DEPTH.initial_m, rel=0.02)
        assert estimate.sigma > 0.8 * DEPTH.initial_sigma


def test_the_frame_of_the_poses_does_not_matter() -> None:
    poses, centre = episode(0.8)
    rgb, masks = (np.stack(images) for images in zip(*(disc(pose, centre) for pose in poses), strict=True))
    elsewhere = SE3(rotation_from_euler_xyz([0.4, 1.1, -2.0]), np.array([3.0, -1.0, 0.5]))
    first = track_episode(rgb, masks, SE3.stack(poses), CONFIG)
    second = track_episode(rgb, masks, elsewhere @ SE3.stack(poses), CONFIG)
    np.testing.assert_allclose(ranges(first), ranges(second), rtol=1e-4)


def test_a_mirrored_episode_has_the_same_ranges() -> None:
    poses, centre = episode(0.7)
    mirror = np.diag([-1.0, 1, 1])
    mirrored = [SE3(mirror @ pose.rotation @ mirror, mirror @ pose.translation) for pose in poses]
    rgb, masks = (np.stack(images) for images in zip(*(disc(pose, centre) for pose in poses), strict=True))
    first = track_episode(rgb, masks, SE3.stack(poses), CONFIG)
    second = track_episode(
        np.ascontiguousarray(rgb[:, :, ::-1]),
        np.ascontiguousarray(masks[:, :, ::-1]),
        SE3.stack(mirrored),
        CONFIG,
    )
    np.testing.assert_allclose(ranges(first), ranges(second), rtol=1e-3)


def test_an_object_that_is_lost_is_still_expected_where_it_was() -> None:
    poses, centre = episode(0.6)
    tracker = Tracker(CONFIG)
    for pose in poses:
        before = tracker.see(*disc(pose, centre), pose)
    nothing = (
        np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8),
        np.zeros((CAMERA.height, CAMERA.width, 2), np.uint8),
    )
    nearer = SE3(poses[-1].rotation, poses[-1].translation + np.array([0.0, 0, 0.1]))
    after = tracker.see(*nothing, nearer)
    assert after.distance_m == pytest.approx(before.distance_m - 0.1, abs=0.01)
    assert Tracker(CONFIG).see(*nothing, SE3.identity()).distance_m == DEPTH.initial_m


def test_a_sweep_agrees_best_at_the_true_distance_and_nothing_depends_on_what_is_behind_the_camera() -> None:
    image = np.zeros((60, 80, 4), np.float32)
    image[20:40, 30:50, 0] = np.random.default_rng(0).random((20, 20))
    distances = np.array([0.3, 0.5, 0.7, 1.0], np.float32)
    places = np.random.default_rng(1).uniform((30, 20), (50, 40), (50, 2)).astype(np.float32)
    ahead = np.array([0, 0, 1], np.float32)
    costs = np.empty((50, 4), np.float32)
    identity = np.eye(4, dtype=np.float32)[None, :3]
    sweep(image, image[None], identity, 80.0, places, ahead, distances, costs)
    np.testing.assert_allclose(costs, 0, atol=1e-5)
    behind = identity.copy()
    behind[0, 2, 3] = -5.0
    sweep(image, image[None], behind, 80.0, places, ahead, distances, costs)
    assert np.isfinite(costs).all()
    assert (costs.mean(axis=0) > 0).all()


def test_half_size_is_the_mean_of_four_pixels() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (168, 224, 3), np.uint8)
    masks = rng.choice(np.array([0, 255], np.uint8), (168, 224, 2))
    frame = half_size(rgb, masks)
    means = np.concatenate([rgb.mean(axis=2, keepdims=True), masks], axis=2).reshape(84, 2, 112, 2, 3)
    np.testing.assert_allclose(frame[1:-1, 1:-1, :3], means.mean(axis=(1, 3)) / 255, atol=1e-6)
    assert not frame[0].any()
    assert not frame[:, -1].any()


def test_surface_points_lie_on_the_surface() -> None:
    poses, centre = episode(0.7, steps=10)
    tracker = Tracker(CONFIG)
    for pose in poses:
        seen = tracker.see(*disc(pose, centre), pose)
    true = poses[-1].inverse().apply(centre)
    normal = poses[-1].rotation.T @ [0, 0, 1]
    off = (seen.object_points - true) @ normal
    assert len(seen.object_points) > 50
    assert len(seen.hand_points) == 0
    assert np.median(np.abs(off + CONFIG.tracking.surfaces.object_lag_m)) < 0.012


def test_what_leaves_the_image_is_remembered() -> None:
    poses, centre = episode(0.7, steps=10)
    tracker = Tracker(CONFIG)
    for pose in poses:
        before = tracker.see(*disc(pose, centre), pose)
    aside = poses[-1] @ SE3(rotation_from_euler_xyz([0, 0.55, 0]), np.zeros(3))
    after = tracker.see(*disc(aside, centre), aside)
    lost = aside.inverse().apply(poses[-1].apply(before.object_points))
    leftmost = lost[np.argmin(lost[:, 0] / lost[:, 2])]
    assert np.linalg.norm(after.object_points - leftmost, axis=1).min() < 1e-9


def test_a_frame_that_comes_late_is_found_out() -> None:
    poses, centre = episode(0.6, steps=9)
    tracker, own = Tracker(CONFIG), []
    for i, pose in enumerate(poses):
        late = i in (4, 6)
        taken_from = poses[i - 1] if late else pose
        seen = tracker.see(*disc(taken_from, centre), pose, poses[max(i - 1, 0)])
        own.append(not np.allclose(seen.camera_from_frame.matrix, np.eye(4)))
    assert [i for i, late in enumerate(own) if late] == [4, 6]


def test_a_false_blob_is_left_out_and_a_small_part_that_stays_is_not() -> None:
    poses, centre = episode(0.6, steps=4)
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
    tracker = Tracker(CONFIG)
    for i, pose in enumerate(poses):
        rgb, masks = disc(pose, centre)
        masks[np.hypot(rows - 20, columns - 200 - i) < 4] = 255, 0  # a fingertip, as it were
        masks[120:150, 150:200] = 0, 255
        blob = np.hypot(rows - 30 - 40 * i, columns - 30) < 6
        clean = masks.copy()
        if i:
            rgb[blob], masks[blob] = 90, (0, 255)
        seen = tracker.see(rgb, masks, pose)
        if i > 1:
            np.testing.assert_array_equal(seen.masks[blob], 0)
            np.testing.assert_array_equal(seen.masks[..., 0], clean[..., 0])
            assert not seen.rgb[blob].any()
