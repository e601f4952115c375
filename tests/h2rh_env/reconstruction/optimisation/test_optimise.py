"""Laws of the optimisation, on a patterned sphere held over a table, seen by small cameras."""

import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from h2rh_env import rendering
from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RenderError, SceneError
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction.initialisation.initialise import initialise
from h2rh_env.reconstruction.optimisation import checkpoint, fsgs
from h2rh_env.reconstruction.optimisation.config import METHODS, OptimiseConfig
from h2rh_env.reconstruction.optimisation.optimise import MAX_STRAY_M, Optimisation, optimise
from h2rh_env.reconstruction.optimisation.rig import RigCorrection
from h2rh_env.reconstruction.optimisation.targets import targets_of
from h2rh_env.reconstruction.quality import measure
from h2rh_env.rendering import select
from h2rh_env.rendering.cpu.rasteriser import NumbaRasteriser
from h2rh_env.rendering.gradients import render as differentiable
from h2rh_env.rendering.gradients.render import RenderedTensors
from h2rh_env.scenes.gaussians import GaussianScene

CAMERA = PinholeCamera(160, 120, 160.0, 160.0, 80.0, 60.0)
CENTRE, RADIUS_M = np.array([0.0, 0.0, 0.25]), 0.06
EYES = [(0.5, 0, 0.4), (0.15, 0.5, 0.4), (-0.4, 0.3, 0.4), (-0.4, -0.3, 0.5), (0.15, -0.5, 0.3)]
NOVEL_EYES = [(0.4, 0.3, 0.45), (-0.1, -0.45, 0.5)]
QUICK = OptimiseConfig(steps=40)


def see(name: str, eye: tuple[float, float, float], noise: np.random.Generator | None = None) -> RgbdView:
    """Ray-casts a striped sphere: above the waist a hand, below it the object."""
    pose = look_at(eye, CENTRE)
    rays = CAMERA.unproject(np.ones((CAMERA.height, CAMERA.width))) @ pose.rotation.T
    offset = pose.translation - CENTRE
    a, b = (rays**2).sum(axis=2), rays @ offset
    root = b * b - a * (offset @ offset - RADIUS_M**2)
    depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
    point = offset + depth[..., None] * rays
    labels = np.where(root > 0, np.where(point[..., 2] > 0.02, Label.HAND, Label.OBJECT), 0).astype(np.uint8)
    stripes = np.sin(point @ [300.0, 0, 0]) > 0
    rgb = np.where(stripes[..., None], [200, 60, 40], [230, 220, 180])
    rgb = np.where(root[..., None] > 0, rgb, 90).astype(np.float64)
    if noise:
        rgb = rgb * noise.uniform(0.95, 1.05) + noise.normal(0, 3, rgb.shape)
        depth = depth + (depth > 0) * noise.normal(0, 0.001, depth.shape)
    return RgbdView(
        name, CAMERA, pose, np.clip(rgb, 0, 255).astype(np.uint8), depth.astype(np.float32), labels
    )


@pytest.fixture(scope="module")
def capture() -> HandoverCapture:
    rng = np.random.default_rng(0)
    return HandoverCapture("ball", tuple(see(f"c{k}", eye, rng) for k, eye in enumerate(EYES)))


@pytest.fixture(scope="module")
def first(capture: HandoverCapture) -> GaussianScene:
    return initialise(capture, voxel_m=0.004)[0]


@pytest.fixture(scope="module")
def optimised(capture: HandoverCapture, first: GaussianScene) -> GaussianScene:
    return optimise(first, capture, replace(QUICK, steps=150))


def same(a: GaussianScene, b: GaussianScene) -> bool:
    names = ("means", "wxyz", "log_scales", "opacity_logits", "sh", "labels")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_novel_views_come_closer(
    capture: HandoverCapture, first: GaussianScene, optimised: GaussianScene
) -> None:
    novel = [see(f"n{k}", eye) for k, eye in enumerate(NOVEL_EYES)]
    before, after = (measure(scene, novel, NumbaRasteriser(1)) for scene in (first, optimised))
    assert after.psnr_db > before.psnr_db + 1
    assert after.iou >= before.iou - 0.005


def test_the_loss_falls(capture: HandoverCapture, first: GaussianScene) -> None:
    told: list[tuple[int, float, float]] = []
    optimise(first, capture, replace(QUICK, steps=100), lambda *report: told.append(report))
    steps, losses, psnr_db = zip(*told, strict=True)
    assert steps == tuple(range(10, 101, 10))
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert np.mean(psnr_db[-3:]) > np.mean(psnr_db[:3])


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_result(capture: HandoverCapture, first: GaussianScene, method: str) -> None:
    settings = replace(METHODS[method], steps=6, unpool_every=min(METHODS[method].unpool_every, 2))
    a, b = (optimise(first, capture, settings) for _ in range(2))
    assert same(a, b)


@pytest.mark.parametrize("method", METHODS)
def test_labels_and_the_cap_are_kept(capture: HandoverCapture, first: GaussianScene, method: str) -> None:
    limit = len(first) + 50
    settings = replace(
        METHODS[method], steps=8, max_gaussians=limit, unpool_every=min(METHODS[method].unpool_every, 2)
    )
    scene = optimise(first, capture, settings)
    assert len(first) <= len(scene) <= limit
    assert (len(scene) > len(first)) == (method == "fsgs")
    assert np.array_equal(scene.labels[: len(first)], first.labels)
    assert scene.antialiased == first.antialiased


def test_what_was_taken_out_of_the_cameras_is_told(capture: HandoverCapture, first: GaussianScene) -> None:
    darker = replace(capture.views[1], rgb=(capture.views[1].rgb * 0.7).astype(np.uint8))
    off = replace(capture.views[3], depth_m=capture.views[3].depth_m + np.float32(0.004))
    views = (capture.views[0], darker, capture.views[2], off, *capture.views[4:])
    told: list[dict[str, Any]] = []
    optimise(first, replace(capture, views=views), replace(QUICK, steps=1), corrections=told.append)
    cameras = told[0]["cameras"]
    gains = {name: np.mean(one["gains"]) for name, one in cameras.items()}
    biases = {name: one["depth_bias_mm"] for name, one in cameras.items()}
    assert min(gains, key=gains.__getitem__) == "c1"
    assert gains["c1"] / np.mean([gains[name] for name in ("c0", "c2", "c4")]) == pytest.approx(0.7, abs=0.06)
    assert max(biases, key=biases.__getitem__) == "c3"


def test_no_gaussian_strays(first: GaussianScene, optimised: GaussianScene) -> None:
    assert np.abs(optimised.means - first.means).max() <= MAX_STRAY_M + 1e-6


def test_no_steps_no_change(capture: HandoverCapture, first: GaussianScene) -> None:
    assert optimise(first, capture, replace(QUICK, steps=0)) is first


@pytest.mark.parametrize("pose", [False, True])
def test_a_killed_run_continues_as_if_never_killed(
    capture: HandoverCapture,
    first: GaussianScene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pose: bool,
) -> None:
    monkeypatch.setattr("h2rh_env.reconstruction.optimisation.optimise.SAVE_EVERY", 5)
    settings, file = replace(QUICK, steps=20, pose=pose), tmp_path / "state.safetensors"

    def kill(done: int, *_: float) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimise(first, capture, settings, kill, file)
    assert file.is_file()
    continued: list[int] = []
    resumed = optimise(first, capture, settings, lambda done, *_: continued.append(done), file)
    assert continued == [10, 20]
    assert same(resumed, optimise(first, capture, settings))
    assert not file.exists()


def test_a_state_of_another_run_or_a_broken_one_is_not_taken_up(
    capture: HandoverCapture, first: GaussianScene, tmp_path: Path
) -> None:
    file = tmp_path / "state.safetensors"
    run = Optimisation(first, capture, QUICK)
    run.step(0)
    checkpoint.write(file, run.key, 1, run.state())
    assert checkpoint.read(file, run.key)[0] == 1
    assert checkpoint.read(file, "another") == (0, {})
    file.write_bytes(file.read_bytes()[:100])
    assert checkpoint.read(file, run.key) == (0, {})
    assert checkpoint.read(tmp_path / "none", run.key) == (0, {})


def test_the_gauge_is_fixed(capture: HandoverCapture) -> None:
    rig = RigCorrection(capture, CENTRE)
    with torch.no_grad():
        rig.twists += (
            torch.randn(rig.twists.shape, dtype=torch.float64, generator=torch.manual_seed(0)) * 0.01
        )
    assert np.array_equal(
        rig.world_from_camera(0).detach().numpy(), capture.views[0].world_from_camera.matrix
    )
    moved = rig.world_from_camera(1).detach().numpy()
    assert SE3.from_matrix(moved).rotation == pytest.approx(moved[:3, :3])  # still a rigid motion
    assert np.abs(moved - capture.views[1].world_from_camera.matrix).max() > 1e-3


def test_a_camera_that_is_off_is_put_right(capture: HandoverCapture, first: GaussianScene) -> None:
    right = capture.views[2].world_from_camera
    wrong = SE3(right.rotation, right.translation + [0.004, 0, 0])
    views = tuple(replace(v, world_from_camera=wrong) if k == 2 else v for k, v in enumerate(capture.views))
    run = Optimisation(first, replace(capture, views=views), replace(QUICK, steps=200, pose=True))
    for step in range(100):
        run.step(step)

    def off_m(pose: SE3) -> float:
        """Sideways, where the image tells most."""
        seen, true = pose.inverse().apply(CENTRE), right.inverse().apply(CENTRE)
        return float(np.linalg.norm((seen - true)[:2]))

    put_right = SE3.from_matrix(run.rig.world_from_camera(2).detach().numpy())
    assert off_m(put_right) < 0.9 * off_m(wrong)


def test_what_stands_in_front_is_no_hole(capture: HandoverCapture, first: GaussianScene) -> None:
    view = capture.views[0]
    box = np.s_[40:80, 70:90]
    labels, depth_m, rgb = view.labels.copy(), view.depth_m.copy(), view.rgb.copy()
    labels[box], depth_m[box], rgb[box] = Label.BACKGROUND, 0.2, 0
    hidden = replace(view, labels=labels, depth_m=depth_m, rgb=rgb)
    target = targets_of([hidden], first, NumbaRasteriser(1), 0)[0]
    seen = targets_of([view], first, NumbaRasteriser(1), 0)[0]
    assert not seen.hidden.any()
    assert not seen.rim.any()
    assert target.hidden[seen.mask & ~target.mask].float().mean() > 0.95
    assert not (target.hidden & target.mask).any()
    rim = targets_of([view], first, NumbaRasteriser(1), 1)[0].rim
    assert 0 < int(rim.sum()) < 500
    assert not (rim & seen.mask).any()


def test_soft_edges_are_free_and_fat_ones_are_not(capture: HandoverCapture, first: GaussianScene) -> None:
    fat = replace(first, log_scales=first.log_scales + np.log(1.5).astype(np.float32))
    overlaps = []
    for rim_px, mask_weight in ((1, 0.0), (1, 0.5), (0, 0.5)):
        settings = replace(QUICK, steps=60, rim_px=rim_px, mask_weight=mask_weight)
        scene = optimise(fat, capture, settings)
        overlaps.append(measure(scene, [see("n", eye) for eye in NOVEL_EYES], NumbaRasteriser(1)).iou)
    free, bounded, hard = overlaps
    assert free < bounded <= hard + 0.005


def test_half_the_resolution_shows_the_same(capture: HandoverCapture, first: GaussianScene) -> None:
    fine = targets_of(capture.views, first, NumbaRasteriser(1), 1)[0]
    coarse = fine.halved()
    assert 4 * float(coarse.labels.sum()) == pytest.approx(float(fine.labels.sum()))
    assert 4 * float(coarse.rgb.sum()) == pytest.approx(float(fine.rgb.sum()), rel=1e-5)
    assert ((coarse.coverage > 0) & (coarse.coverage < 1)).any()
    assert not coarse.rim.any()
    known = coarse.depth_m > 0
    assert bool(known.any())
    assert bool((coarse.coverage[known] == 1).all())
    point = np.array([[0.03, -0.02, 0.5]])
    assert np.allclose(coarse.camera.project(point), fine.camera.project(point) / 2)


def test_one_step_in_so_many_is_coarse(
    capture: HandoverCapture, first: GaussianScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    focal_px: list[float] = []

    def draw(*arguments: Any) -> RenderedTensors:
        focal_px.append(next(a for a in arguments if isinstance(a, PinholeCamera)).fx)
        return differentiable.render_gaussians(*arguments)

    monkeypatch.setattr("h2rh_env.reconstruction.optimisation.optimise.make_renderer", lambda _: draw)
    for every, wanted in ((3, [1.0, 1.0, 0.5] * 2), (0, [1.0] * 6)):
        focal_px.clear()
        optimise(first, capture, replace(QUICK, steps=6, coarse_every=every))
        assert focal_px == [CAMERA.fx * share for share in wanted]


def test_gsplat_draws_where_it_can(
    capture: HandoverCapture, first: GaussianScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def draw(*arguments: Any) -> RenderedTensors:
        drawn.append("gsplat")
        return differentiable.render_gaussians(*arguments)

    module = types.SimpleNamespace(render_gaussians=draw)
    monkeypatch.setitem(sys.modules, "h2rh_env.rendering.gsplat_cuda", module)
    monkeypatch.setattr(rendering, "gsplat_cuda", module, raising=False)
    monkeypatch.setattr(select, "why_no_gsplat", lambda: "")
    for renderer, times in (("auto", 2), ("gsplat", 2), ("numba", 0)):
        drawn.clear()
        optimise(first, capture, OptimiseConfig(steps=2, renderer=renderer))
        assert len(drawn) == times
    monkeypatch.setattr(select, "why_no_gsplat", lambda: "there is none")
    assert select.make_renderer() is differentiable.render_gaussians
    with pytest.raises(RenderError, match="there is none"):
        optimise(first, capture, OptimiseConfig(steps=2, renderer="gsplat"))
    with pytest.raises(RenderError, match="auto, numba, gsplat"):
        select.make_renderer("reference")


def test_unpooling_grows_between_distant_neighbours() -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(0, 0.01, (200, 3)).astype(np.float32)
    loose = np.array([[0.1, 0, 0], [0.12, 0, 0], [0.11, 0.02, 0], [0.12, 0.02, 0]], np.float32)
    means = np.concatenate([dense, loose])
    grown, source = fsgs.unpooled(means, 1000)
    assert len(grown) == len(source) > 0
    assert (np.linalg.norm(grown[:, None] - loose, axis=2).min(axis=1) < 0.06).mean() > 0.3
    assert len(fsgs.unpooled(means, len(means) + 5)[0]) == 5
    assert len(fsgs.unpooled(means, len(means))[0]) == 0


def test_correlation_ignores_scale_and_offset() -> None:
    depth = torch.rand(20, 20)
    everywhere = torch.ones(20, 20, dtype=torch.bool)
    assert float(fsgs.decorrelation(depth, 3 * depth + 1, everywhere)) == pytest.approx(0, abs=1e-5)
    assert float(fsgs.decorrelation(depth, -depth, everywhere)) == pytest.approx(2, abs=1e-5)
    assert float(fsgs.decorrelation(depth, depth, ~everywhere)) == 0
    assert float(fsgs.decorrelation(torch.ones(20, 20), depth, everywhere)) == 0


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"sh_degree": 4}, {"shared_degree": 4}, {"coarse_every": -1}]
)
def test_wrong_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SceneError, match=next(iter(wrong))):
        OptimiseConfig(**wrong)  # type: ignore[arg-type]
