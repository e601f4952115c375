"""The rasterisers: the fast one equals the obvious one, on any scene, and never gives a NaN."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import RenderError
from h2rh_env.core.geometry import SE3, look_at, uniform_directions
from h2rh_env.rendering.base import RenderedView
from h2rh_env.rendering.cpu import frame as numba_frame
from h2rh_env.rendering.cpu.rasteriser import NumbaRasteriser
from h2rh_env.rendering.masks import masks_from_labels, rgb_to_uint8
from h2rh_env.rendering.reference import ReferenceRasteriser
from h2rh_env.rendering.select import make_rasteriser, why_no_gsplat
from h2rh_env.scenes.gaussians import GaussianScene

CHANNELS = ("rgb", "alpha", "labels", "expected_depth", "median_depth")
CAMERA = PinholeCamera(61, 47, 60.0, 55.0, 28.0, 25.0)
FRONT = look_at([0, 0, -1], [0, 0, 0])


def make_scene(
    count: int, seed: int = 0, coefficients: int = 1, spread: float = 0.3, **fields: object
) -> GaussianScene:
    """Random Gaussians about the origin; `fields` replace any of them."""
    rng = np.random.default_rng(seed)
    values = {
        "means": rng.normal(size=(count, 3)) * spread,
        "wxyz": rng.normal(size=(count, 4)),
        "log_scales": rng.normal(size=(count, 3)) * 0.7 - 3.5,
        "opacity_logits": rng.normal(size=count) * 3,
        "sh": rng.normal(size=(count, coefficients, 3)) * 0.5,
    } | fields
    antialiased = bool(values.pop("antialiased", False))
    labels = rng.integers(0, 3, count).astype(np.uint8)
    arrays = {key: np.asarray(value, np.float32) for key, value in values.items()}
    return GaussianScene(**arrays, labels=labels, antialiased=antialiased)


def make_shells(count: int) -> GaussianScene:
    """A closed, opaque object with a hand beside it: two spheres, of which each view sees one half."""
    rng = np.random.default_rng(3)
    directions = uniform_directions(rng, count)
    is_hand = np.arange(count) % 3 == 0
    means = np.where(is_hand[:, None], 0.05 * directions + [0.09, 0, 0], 0.07 * directions)
    values = np.sin(40 * means) * 1.2
    return GaussianScene(
        means.astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        np.full((count, 3), np.log(0.004), np.float32),
        np.full(count, 3, np.float32),
        values[:, None].astype(np.float32),
        np.where(is_hand, 2, 1).astype(np.uint8),
    )


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) + 1e-30))


def assert_close(fast: RenderedView, true: RenderedView) -> None:
    """Within 2e-3, but for single pixels where a Gaussian is just above or just below a threshold."""
    for name in CHANNELS:
        a, b = getattr(fast, name), getattr(true, name)
        assert a.shape == b.shape, name
        assert a.dtype == np.float32, name
        assert np.isfinite(a).all(), name
        assert psnr(a, b) >= 60, name
        assert (np.abs(a - b) > 2e-3).mean() <= 1e-3, name


@pytest.fixture(scope="module")
def fast() -> NumbaRasteriser:
    return NumbaRasteriser(threads=2)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("coefficients", [1, 4, 9, 16])
def test_fast_equals_reference(fast: NumbaRasteriser, coefficients: int, antialiased: bool) -> None:
    for seed, count in enumerate((1, 17, 400)):
        scene = make_scene(count, seed, coefficients, antialiased=antialiased)
        for eye in ([0, 0, -1], [0.3, 0.2, 0.1], [2, 1, 3]):
            pose = look_at(eye, [0, 0.05, 0])
            assert_close(fast.render(scene, CAMERA, pose), ReferenceRasteriser().render(scene, CAMERA, pose))


def test_one_gaussian_is_drawn_as_the_formula_says() -> None:
    scene = make_scene(
        1, means=[[0, 0, 0]], wxyz=[[1, 0, 0, 0]], log_scales=[np.log([0.02, 0.05, 0.01])], opacity_logits=[2.0],
        sh=[[[1, 0, -1]]],
    )  # fmt: skip
    camera = PinholeCamera(64, 64, 100, 100, 32.5, 32.5)
    view = make_rasteriser("reference").render(scene, camera, SE3(np.eye(3), np.array([0, 0, -1.0])))
    opacity = 1 / (1 + np.exp(-2.0))
    assert view.alpha[32, 32] == pytest.approx(opacity, abs=1e-6)
    assert view.alpha[32, 35] == pytest.approx(opacity * np.exp(-0.5 * 9 / (2**2 + 0.3)), abs=1e-6)
    assert view.alpha[37, 32] == pytest.approx(opacity * np.exp(-0.5 * 25 / (5**2 + 0.3)), abs=1e-6)
    c0 = 0.28209479177387814
    np.testing.assert_allclose(view.rgb[32, 32], opacity * (0.5 + c0 * np.array([1, 0, -1])), atol=1e-6)
    assert view.expected_depth[32, 32] == view.median_depth[32, 32] == pytest.approx(1)


EXTREMES = {
    "nothing": make_scene(0),
    "behind": make_scene(20, means=np.tile([0.0, 0, -9], (20, 1))),
    "at the camera": make_scene(20, means=np.tile([0.0, 0, -1], (20, 1))),
    "around the camera": make_scene(
        50, means=np.random.default_rng(0).normal(size=(50, 3)) * 0.1 + [0, 0, -1]
    ),
    "far away": make_scene(5, means=np.full((5, 3), 3e38)),
    "no quaternion": make_scene(50, wxyz=np.zeros((50, 4))),
    "long quaternions": make_scene(50, wxyz=np.full((50, 4), 3e38)),
    "short quaternions": make_scene(50, wxyz=np.full((50, 4), 1e-38)),
    "rank 0": make_scene(50, log_scales=np.full((50, 3), -3e38)),
    "rank 0, antialiased": make_scene(50, log_scales=np.full((50, 3), -3e38), antialiased=True),
    "needles": make_scene(50, log_scales=np.tile([1.0, -20, -20], (50, 1))),
    "scales of 1e6 m": make_scene(5, log_scales=np.full((5, 3), np.log(1e6))),
    "largest scales": make_scene(5, log_scales=np.full((5, 3), 3e38)),
    "transparent": make_scene(50, opacity_logits=np.full(50, -3e38)),
    "opaque": make_scene(50, opacity_logits=np.full(50, 3e38)),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_are_finite_and_equal(fast: NumbaRasteriser, name: str) -> None:
    scene = EXTREMES[name]
    assert_close(fast.render(scene, CAMERA, FRONT), ReferenceRasteriser().render(scene, CAMERA, FRONT))


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_endless_colours_are_capped(backend: str) -> None:
    signs = np.sign(np.random.default_rng(0).normal(size=(40, 16, 3)))
    view = make_rasteriser(backend).render(make_scene(40, 0, 16, sh=3e38 * signs), CAMERA, FRONT)
    assert np.isfinite(view.rgb).all()
    assert 0 < view.rgb.max() <= 1.001e6


@pytest.mark.parametrize(
    "pose",
    [
        SE3(np.full((3, 3), np.nan), np.zeros(3)),
        SE3(np.eye(3), np.array([0, np.inf, 0])),
        SE3(np.eye(3), np.array([0, 0, 1e300])),
        SE3(np.eye(4), np.zeros(3)),
    ],
)
@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_a_pose_that_is_none_is_refused(backend: str, pose: SE3) -> None:
    with pytest.raises(RenderError, match="pose"):
        make_rasteriser(backend).render(make_scene(1), CAMERA, pose)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 3), (4, 65), (130, 2)])
def test_any_image_size(fast: NumbaRasteriser, size: tuple[int, int]) -> None:
    camera = PinholeCamera(*size, 20.0, 25.0, size[0] / 3, size[1] / 2)
    scene = make_scene(60)
    assert_close(fast.render(scene, camera, FRONT), ReferenceRasteriser().render(scene, camera, FRONT))


def test_strips_give_the_same_image(fast: NumbaRasteriser, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene(500)
    whole = fast.render(scene, CAMERA, FRONT)
    monkeypatch.setattr(numba_frame, "MAX_PAIRS", 700)
    in_strips = fast.render(scene, CAMERA, FRONT)
    for name in CHANNELS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(in_strips, name))


@pytest.mark.parametrize("log_scale", [-8.0, -6.0, -5.0, -4.0])
@pytest.mark.parametrize("size", [(61, 47), (8192, 33)])
def test_boxes_of_small_ellipses_give_the_same_image_as_exact_blocks(
    fast: NumbaRasteriser, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], log_scale: float
) -> None:
    """In strips, which blocks an ellipse touches is found exactly; the images are equal bit for bit."""
    camera = PinholeCamera(*size, 120.0, 120.0, size[0] / 2, size[1] / 2)
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.6, 0.6, 3000) * size[0] / 120
    means = np.stack([x, rng.normal(size=3000) * 0.2, rng.uniform(0, 0.2, 3000)], axis=1)
    scene = make_scene(3000, means=means, log_scales=rng.normal(size=(3000, 3)) * 0.5 + log_scale)
    whole = fast.render(scene, camera, FRONT)
    monkeypatch.setattr(numba_frame, "MAX_PAIRS", 700)
    in_strips = fast.render(scene, camera, FRONT)
    assert whole.alpha.max() > 0.1
    assert whole.alpha[:, -size[0] // 4 :].max() > 0.1
    for name in CHANNELS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(in_strips, name))


def test_a_batch_is_its_views_bit_for_bit_on_any_number_of_threads() -> None:
    scenes = [make_scene(200, seed) for seed in range(3)] * 3
    poses = [look_at([np.cos(i), np.sin(i), -1], [0, 0, 0]) for i in range(9)]
    one, three = NumbaRasteriser(1), NumbaRasteriser(3)
    for scene, pose, view in zip(scenes, poses, three.render_batch(scenes, CAMERA, poses), strict=True):
        alone = one.render(scene, CAMERA, pose)
        for name in CHANNELS:
            np.testing.assert_array_equal(getattr(view, name), getattr(alone, name))
    assert three.render_batch([], CAMERA, []) == []


def test_observations_show_what_the_full_scene_shows(fast: NumbaRasteriser) -> None:
    scene = make_shells(6000)
    rng = np.random.default_rng(0)
    eyes = uniform_directions(rng, 12) * rng.uniform(0.35, 0.7, (12, 1))
    poses = [look_at(eye, rng.normal(size=3) * 0.03) for eye in eyes]
    rgb, masks = fast.render_observations([scene] * 12, HAND_EYE_CAMERA, poses)
    assert rgb.dtype == masks.dtype == np.uint8
    for i, pose in enumerate(poses):
        full = fast.render(scene, HAND_EYE_CAMERA, pose)
        assert psnr(rgb[i] / 255, rgb_to_uint8(full) / 255) >= 60
        assert (masks[i] != masks_from_labels(full)).mean() <= 1e-4
    visibility = fast.visibility_of(scene, HAND_EYE_CAMERA)
    seen = visibility.seen_from(poses[0].translation, fast.workspace())
    assert np.bitwise_count(seen).sum() < 0.75 * len(scene)


def test_observations_do_not_depend_on_order_batch_or_threads() -> None:
    scenes = [make_shells(900), make_scene(300)]
    poses = [look_at(eye, [0, 0, 0]) for eye in uniform_directions(np.random.default_rng(1), 8)]
    jobs = [(scenes[i % 2], pose) for i, pose in enumerate(poses)]
    one, two = NumbaRasteriser(1), NumbaRasteriser(2)
    rgb, masks = one.render_observations([s for s, _ in jobs], HAND_EYE_CAMERA, [p for _, p in jobs])
    for i in reversed(range(8)):
        alone = two.render_observations([jobs[i][0]], HAND_EYE_CAMERA, [jobs[i][1]])
        np.testing.assert_array_equal(alone[0][0], rgb[i])
        np.testing.assert_array_equal(alone[1][0], masks[i])


def test_masks_keep_true_occlusion() -> None:
    def wall(z: float, count: int) -> dict[str, np.ndarray]:
        means = np.concatenate(
            [np.random.default_rng(0).uniform(-0.2, 0.2, (count, 2)), np.full((count, 1), z)], 1
        )
        return {
            "means": means,
            "log_scales": np.full((count, 3), -3.5),
            "opacity_logits": np.full(count, 5.0),
        }

    near, far = wall(0.0, 400), wall(0.3, 400)
    fields: Any = {k: np.concatenate([near[k], far[k]]) for k in near}
    both = make_scene(800, **fields)
    for nearer, column in ((1, 0), (2, 1)):
        labels = np.repeat([nearer, 3 - nearer], 400).astype(np.uint8)
        scene = GaussianScene(both.means, both.wxyz, both.log_scales, both.opacity_logits, both.sh, labels)
        masks = masks_from_labels(make_rasteriser("numba").render(scene, CAMERA, FRONT))
        assert masks[25, 28].tolist() == [255 * (column == 0), 255 * (column == 1)]
        assert not (masks.min(axis=-1) > 0).any()


def test_names() -> None:
    assert make_rasteriser("reference").name == "reference"
    assert make_rasteriser("numba").name == "numba"
    with pytest.raises(RenderError, match="auto, numba, reference, gsplat"):
        make_rasteriser("metal")


values = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def wild_scenes(draw: st.DrawFn) -> GaussianScene:
    """Scenes whose numbers may be anything that float32 holds."""
    count = draw(st.integers(0, 40))
    scene = make_scene(
        count, draw(st.integers(0, 2**31)), draw(st.sampled_from([1, 4, 16])), draw(st.floats(0, 3))
    )
    fields = {
        name: np.array(getattr(scene, name))
        for name in ("means", "wxyz", "log_scales", "opacity_logits", "sh")
    }
    for _ in range(draw(st.integers(0, 4))):
        flat = fields[draw(st.sampled_from(sorted(fields)))].reshape(-1)
        if len(flat):
            flat[draw(st.integers(0, len(flat) - 1)) :: draw(st.integers(1, 7))] = draw(values)
    return GaussianScene(**fields, labels=scene.labels, antialiased=draw(st.booleans()))


def check_wild(fast: NumbaRasteriser, scene: GaussianScene, eye: float) -> None:
    camera = PinholeCamera(33, 21, 25.0, 30.0, 15.0, 12.0)
    view = fast.render(scene, camera, look_at([0.1, eye, 0.2], [0, 0, 0]))
    for name in CHANNELS:
        assert np.isfinite(getattr(view, name)).all(), name
    assert view.alpha.min() >= 0
    assert view.alpha.max() <= 1 + 1e-5


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(wild_scenes(), st.floats(-2, -0.01))
def test_a_thousand_wild_scenes_are_finite(fast: NumbaRasteriser, scene: GaussianScene, eye: float) -> None:
    check_wild(fast, scene, eye)


@pytest.mark.nightly
@settings(max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(wild_scenes(), st.floats(-2, -0.01))
def test_a_hundred_thousand_wild_scenes_are_finite(
    fast: NumbaRasteriser, scene: GaussianScene, eye: float
) -> None:
    check_wild(fast, scene, eye)


@pytest.mark.parametrize("antialiased", [False, True])
def test_gsplat_equals_reference(antialiased: bool) -> None:
    if reason := why_no_gsplat():
        pytest.skip(reason)
    scenes = [make_scene(300, seed, 16, antialiased=antialiased) for seed in (0, 1, 0)]
    poses = [look_at([np.cos(i), np.sin(i), -1], [0, 0, 0]) for i in range(3)]
    views = make_rasteriser("gsplat").render_batch(scenes, CAMERA, poses)
    for scene, pose, view in zip(scenes, poses, views, strict=True):
        assert_close(view, ReferenceRasteriser().render(scene, CAMERA, pose))
