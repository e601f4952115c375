"""Laws of shared colour, on a ball that mirrors a sky and on one that does not."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from h2rh_env.captures.base import RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import look_at
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction.initialisation.initialise import flat_gaussians
from h2rh_env.reconstruction.optimisation.shared_colour import (
    SharedColour,
    harmonics,
    with_shared_colour,
)
from h2rh_env.reconstruction.quality import measure
from h2rh_env.rendering.cpu.rasteriser import NumbaRasteriser
from h2rh_env.rendering.cpu.visibility import fibonacci_sphere
from h2rh_env.rendering.spherical_harmonics import sh_basis
from h2rh_env.scenes.gaussians import GaussianScene

CAMERA = PinholeCamera(160, 120, 200.0, 200.0, 80.0, 60.0)
RADIUS_M = 0.05
EYES = [
    (0.4, 0, 0.2),
    (0.1, 0.4, 0.2),
    (-0.35, 0.2, 0.1),
    (-0.3, -0.3, 0.3),
    (0.1, -0.4, 0.1),
    (0.05, 0.05, 0.45),
]
NOVEL = [(0.3, 0.25, 0.2), (-0.1, -0.4, 0.25), (-0.35, 0.0, 0.2)]


def see(eye: tuple[float, float, float], gloss: float, gain: float = 1.0) -> RgbdView:
    """Ray-casts a striped ball, bright where it mirrors what is above."""
    pose = look_at(eye, [0, 0, 0])
    rays = CAMERA.unproject(np.ones((CAMERA.height, CAMERA.width))) @ pose.rotation.T
    a, b = (rays**2).sum(axis=2), rays @ pose.translation
    root = b * b - a * (pose.translation @ pose.translation - RADIUS_M**2)
    hit = root > 0
    depth = np.where(hit, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
    normal = (pose.translation + depth[..., None] * rays) / RADIUS_M
    ray = rays / np.sqrt(a)[..., None]
    mirrored = ray - 2 * (ray * normal).sum(axis=2, keepdims=True) * normal
    stripes = np.where(np.sin(10 * normal[..., 2]) > 0, 0.5, 0.3)
    value = gain * (stripes + gloss * 0.5 * (1 + mirrored[..., 2]))
    noise = np.random.default_rng(0).normal(0, 4, (*hit.shape, 3))
    value = np.where(hit, value, 0.4)  # what is behind would darken or brighten the outline
    rgb = value[..., None] * [255, 230, 200] + noise
    labels = np.where(hit, Label.OBJECT, Label.BACKGROUND).astype(np.uint8)
    return RgbdView(
        str(eye), CAMERA, pose, rgb.clip(0, 255).astype(np.uint8), depth.astype(np.float32), labels
    )


@pytest.fixture(scope="module")
def ball() -> GaussianScene:
    normals = fibonacci_sphere(6000)
    colours, labels = np.full((6000, 3), 0.5), np.full(6000, Label.OBJECT, np.uint8)
    return flat_gaussians(RADIUS_M * normals, normals, np.full(6000, 0.0024), colours, labels)


def novel_psnr_db(scene: GaussianScene, gloss: float) -> float:
    return measure(scene, [see(eye, gloss) for eye in NOVEL], NumbaRasteriser(1), "scene").psnr_db


def test_a_glossy_ball_is_predicted_better_and_a_matt_one_stays_plain(ball: GaussianScene) -> None:
    glossy = [see(eye, 0.4) for eye in EYES]
    shared, _ = with_shared_colour(ball, glossy, 2)
    plain, _ = with_shared_colour(ball, glossy, 0)
    assert shared.sh_degree > 0
    matt, _ = with_shared_colour(ball, [see(eye, 0.0) for eye in EYES], 2)
    assert matt.sh_degree == 0
    assert plain.sh_degree == 0
    repainted = replace(plain, sh=shared.sh[:, :1])
    assert novel_psnr_db(shared, 0.4) > novel_psnr_db(repainted, 0.4) + 1.5


def test_gains_of_the_cameras_are_found(ball: GaussianScene) -> None:
    gains = np.array([1.0, 0.6, 1.1, 0.9, 1.2, 1.0])
    views = [see(eye, 0.0, gain) for eye, gain in zip(EYES, gains, strict=True)]
    log_gains = with_shared_colour(ball, views, 2)[1]
    wanted = np.log(gains) - np.log(gains).mean()
    assert np.abs(log_gains - wanted[:, None]).max() < 0.05


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_are_the_mirrored_surroundings(degree: int) -> None:
    rng = np.random.default_rng(degree)
    normals = fibonacci_sphere(20)
    count = (degree + 1) ** 2 - 1
    shared = SharedColour(rng.normal(size=(count, 3)), np.zeros((degree, 3)))
    rest = harmonics(shared, normals, np.full((20, 3), 0.5))
    ray = np.array([0.48, -0.6, 0.64])

    def basis(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack(sh_basis(degree, *directions.T), axis=-1)[..., 1:]

    mirrored = ray - 2 * (normals @ ray)[:, None] * normals
    drawn = np.einsum("k,pkc->pc", basis(ray[None])[0], rest)
    assert np.allclose(drawn, basis(mirrored) @ shared.mirrored)


def test_harmonics_are_legendre_polynomials_of_the_cosine() -> None:
    normals, base = fibonacci_sphere(20), np.full((20, 3), 0.4)
    shared = SharedColour(np.zeros((8, 3)), np.array([[0.3] * 3, [-0.2] * 3]))
    ray = np.array([0.48, -0.6, 0.64])
    cosines = normals @ ray
    drawn = np.einsum("k,pkc->pc", np.array(sh_basis(2, *ray))[1:], harmonics(shared, normals, base))
    wanted = 0.4 * (0.3 * cosines - 0.2 * (3 * cosines**2 - 1) / 2)
    assert np.allclose(drawn, wanted[:, None])
