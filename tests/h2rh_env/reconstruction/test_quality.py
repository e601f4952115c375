"""Laws of the quality figures and of leaving cameras out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.reconstruction import holdout
from h2rh_env.reconstruction.quality import MAX_PSNR_DB, Quality, compare, gmsd, measure, psnr, ssim_map
from h2rh_env.rendering.base import RenderedView
from h2rh_env.rendering.cpu.rasteriser import NumbaRasteriser
from h2rh_env.scenes.gaussians import GaussianScene

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 32.0, 24.0)
MASK = np.zeros((48, 64), bool)
MASK[10:40, 16:48] = True
RGB = np.random.default_rng(0).integers(20, 200, (48, 64, 3)).astype(np.uint8)
VIEW = RgbdView(
    "v",
    CAMERA,
    SE3.identity(),
    RGB,
    np.full(MASK.shape, 0.5, np.float32),
    np.where(MASK, 1, 0).astype(np.uint8),
)


def rendered(shift: int = 0, gain: float = 1.0, deeper_m: float = 0.0) -> RenderedView:
    """What the view would be if it were rendered, moved to the right, brightened, and set back."""
    mask = np.roll(MASK, shift, axis=1)
    alpha = mask.astype(np.float32)
    rgb = np.where(mask[..., None], np.roll(RGB, shift, axis=1) / 255 * gain, 0).astype(np.float32)
    depth = alpha * np.float32(0.5 + deeper_m)
    return RenderedView(rgb, alpha, np.stack([alpha, 0 * alpha], axis=2), depth, depth)


def test_equal_images_are_perfect() -> None:
    quality = compare(rendered(), VIEW)
    assert (quality.psnr_db, quality.depth_mae_mm, quality.iou) == (MAX_PSNR_DB, 0, 1)
    assert (quality.ssim, quality.gmsd) == (pytest.approx(1), pytest.approx(0, abs=1e-6))


def test_each_figure_tells_its_own_fault() -> None:
    perfect = compare(rendered(), VIEW)
    deeper = compare(rendered(deeper_m=0.003), VIEW)
    assert deeper.depth_mae_mm == pytest.approx(3, abs=1e-3)
    assert replace(deeper, depth_mae_mm=0.0) == perfect
    shifted = compare(rendered(shift=4), VIEW)
    assert shifted.iou == pytest.approx(28 / 36)
    assert shifted.psnr_db < 20 < perfect.psnr_db
    assert shifted.ssim < 0.5
    assert shifted.gmsd > 0.1


def test_psnr_is_by_definition() -> None:
    true = np.zeros((4, 4, 3), np.float32)
    assert psnr(true, true + np.float32(0.1)) == pytest.approx(20, abs=1e-4)


def test_similarity_agrees_with_another_implementation() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(1)
    a = rng.uniform(size=(40, 50, 3)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype(np.float32)
    whole = structural_similarity(
        a,
        b,
        channel_axis=2,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1].mean(axis=2)
    assert ssim_map(a, b)[5:-5, 5:-5] == pytest.approx(whole[5:-5, 5:-5], abs=1e-4)


def test_deviation_is_of_structure_not_of_level() -> None:
    rng = np.random.default_rng(2)
    image = rng.uniform(0.2, 0.6, (32, 32, 3)).astype(np.float32)
    everywhere = np.ones((32, 32), bool)
    assert gmsd(image, image + np.float32(0.1), everywhere) == pytest.approx(0, abs=1e-4)
    assert gmsd(image, image[::-1], everywhere) > 0.1
    assert np.isnan(gmsd(image, image, ~everywhere))


class Dimmed:
    """A rasteriser that shows the view darker."""

    name = "dimmed"

    def __init__(self, gains: list[float]) -> None:
        self.gains = iter(gains)

    def render(self, scene: GaussianScene, camera: PinholeCamera, world_from_camera: SE3) -> RenderedView:
        return rendered(gain=next(self.gains))

    def render_batch(self, scenes, camera, world_from_cameras):
        raise NotImplementedError


def scene_of(count: int = 1) -> GaussianScene:
    z = np.zeros((count, 3), np.float32)
    return GaussianScene(
        z,
        np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        z - 5,
        z[:, 0],
        z[:, None],
        np.ones(count, np.uint8),
    )


def test_brightness_is_fitted_per_view_or_once() -> None:
    views = [VIEW, VIEW]
    each = measure(scene_of(), views, Dimmed([0.9, 0.8]), "view")
    assert each.psnr_db > 60
    assert measure(scene_of(), views, Dimmed([0.8, 0.8]), "scene").psnr_db > 60
    assert measure(scene_of(), views, Dimmed([0.9, 0.8]), "scene").psnr_db < 40


def test_views_that_show_nothing_are_left_out() -> None:
    empty = replace(VIEW, labels=np.zeros_like(VIEW.labels))
    assert measure(scene_of(), [VIEW, empty], Dimmed([1.0])).iou == 1
    with pytest.raises(CaptureError, match="none of 1 views"):
        measure(scene_of(), [empty], Dimmed([1.0]))


def test_means_leave_out_what_no_view_can_tell() -> None:
    a, b = Quality(20, 0.5, 0.1, float("nan"), 0.9), Quality(30, 0.7, 0.3, 2, 1.0)
    mean = Quality.mean([a, b])
    assert (mean.psnr_db, mean.depth_mae_mm) == (25, 2)
    assert np.isnan(Quality.mean([a]).depth_mae_mm)


def ring(count: int) -> HandoverCapture:
    angles = np.arange(count) * 2 * np.pi / count
    views = tuple(
        replace(VIEW, name=f"c{k}", world_from_camera=look_at((np.cos(t), np.sin(t), 0.5), (0, 0, 0)))
        for k, t in enumerate(angles)
    )
    return HandoverCapture("ring", views)


def test_cameras_are_chosen_apart() -> None:
    assert holdout.spread_order(ring(4))[:2] == [0, 2]
    assert sorted(holdout.spread_order(ring(7))) == list(range(7))


def test_no_camera_is_both_learnt_from_and_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[set[str]] = []
    measured: list[set[str]] = []

    def reconstruct(part: HandoverCapture, method: str) -> GaussianScene:
        trained.append({view.name for view in part.views})
        return scene_of(3)

    def judge(scene: GaussianScene, views: list[RgbdView], rasteriser: object) -> Quality:
        measured.append({view.name for view in views})
        return Quality(20, 0.5, 0.1, 2, 0.9)

    monkeypatch.setattr(holdout, "measure", judge)
    rows, sheet = holdout.study(ring(5), ["a", "b"], reconstruct, NumbaRasteriser(1))
    assert [(row.views, row.left_out, row.method) for row in rows] == [
        (3, 2, "a"),
        (3, 2, "b"),
        (4, 1, "a"),
        (4, 1, "b"),
    ]
    assert all(not t & m and len(t | m) == 5 for t, m in zip(trained, measured, strict=True))
    assert sheet.shape == (holdout.TILE_PX, 3 * holdout.TILE_PX, 3)


def test_too_few_cameras_are_refused() -> None:
    with pytest.raises(CaptureError, match="at least 4"):
        holdout.study(ring(3), ["a"], lambda *_: scene_of(), NumbaRasteriser(1))


def test_the_report_is_readable_and_complete(tmp_path: Path) -> None:
    row = holdout.HoldoutRow("metric", 3, 5, Quality(25.5, 0.8, 0.1, float("nan"), 0.95), 12.0, 1000)
    holdout.write_report(tmp_path, "mine", [row], np.zeros((8, 8, 3), np.uint8))
    read = json.loads((tmp_path / "quality.json").read_text())
    assert read["rows"][0]["quality"] == {
        "psnr_db": 25.5,
        "ssim": 0.8,
        "gmsd": 0.1,
        "depth_mae_mm": None,
        "iou": 0.95,
    }
    assert "| 3 | 5 | metric | 25.50 |" in (tmp_path / "quality.md").read_text()
    assert (tmp_path / "quality.png").stat().st_size > 50
