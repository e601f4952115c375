"""The renderer's gradients: equal to autograd through a float64 twin, and to differences of the reference."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import RenderError
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.rendering.base import ALPHA_MAX, ALPHA_MIN, DILATION_PX2, NEAR_M, TRANSMITTANCE_MIN
from h2rh_env.rendering.cpu import frame as numba_frame
from h2rh_env.rendering.gradients.render import RenderedTensors, render_gaussians
from h2rh_env.rendering.reference import ReferenceRasteriser, edge_directions
from h2rh_env.rendering.spherical_harmonics import sh_basis
from h2rh_env.scenes.gaussians import SH_COUNTS, GaussianScene

CAMERA = PinholeCamera(37, 30, 40.0, 44.0, 17.3, 16.1)
NAMES = ("means", "wxyz", "log_scales", "opacity_logits", "sh", "pose")
Parameters = dict[str, Any]


def random_parameters(seed: int, count: int = 60, coefficients: int = 1) -> tuple[Parameters, Tensor]:
    g = torch.Generator().manual_seed(seed)
    parameters = {
        "means": torch.randn(count, 3, generator=g) * 0.3,
        "wxyz": torch.randn(count, 4, generator=g),
        "log_scales": torch.randn(count, 3, generator=g) * 0.5 - 2.5,
        "opacity_logits": torch.randn(count, generator=g) * 2,
        "sh": torch.randn(count, coefficients, 3, generator=g) * 0.5,
        "pose": torch.tensor(look_at([0.3, -1, 0.2], [0, 0.1, 0]).matrix, dtype=torch.float32),
    }
    return parameters, torch.randint(0, 3, (count,), generator=g).to(torch.uint8)


def render(
    p: Parameters, labels: Tensor, antialiased: bool = False, camera: PinholeCamera = CAMERA
) -> RenderedTensors:
    fields: Any = {name: p[name] for name in NAMES[:5]}
    return render_gaussians(
        **fields, labels=labels, camera=camera, world_from_camera=p["pose"], antialiased=antialiased
    )


def twin(p: Parameters, labels: Tensor, antialiased: bool, camera: PinholeCamera) -> tuple[Tensor, ...]:
    """The image model written once more, in torch, for autograd."""
    rotation, eye = p["pose"][:3, :3].T, p["pose"][:3, 3]
    points = (p["means"] - eye) @ rotation.T
    order = torch.argsort(points[:, 2].detach(), stable=True)
    order = order[points[order, 2] >= NEAR_M]
    x, y, z = points[order].T
    low, high = edge_directions(camera)
    u, v = torch.clamp(x / z, low[0], high[0]), torch.clamp(y / z, low[1], high[1])
    zero = torch.zeros_like(z)
    rows = [camera.fx / z, zero, -camera.fx * u / z, zero, camera.fy / z, -camera.fy * v / z]
    jacobian = torch.stack(rows, 1).reshape(-1, 2, 3)
    w, a, b, c = (p["wxyz"] / p["wxyz"].norm(dim=1, keepdim=True))[order].T
    entries = [
        1 - 2 * (b * b + c * c),
        2 * (a * b - w * c),
        2 * (a * c + w * b),
        2 * (a * b + w * c),
        1 - 2 * (a * a + c * c),
        2 * (b * c - w * a),
        2 * (a * c - w * b),
        2 * (b * c + w * a),
        1 - 2 * (a * a + b * b),
    ]
    axes = torch.stack(entries, 1).reshape(-1, 3, 3) * p["log_scales"][order].exp()[:, None, :]
    axes_px = jacobian @ rotation @ axes
    sharp = axes_px @ axes_px.transpose(1, 2)
    blurred = sharp + DILATION_PX2 * torch.eye(2, dtype=sharp.dtype)
    conic = torch.linalg.inv(blurred)
    opacity = torch.sigmoid(p["opacity_logits"][order])
    if antialiased:
        opacity = opacity * torch.sqrt(torch.linalg.det(sharp) / torch.linalg.det(blurred))
    rays = p["means"] - eye
    basis = sh_basis(SH_COUNTS[p["sh"].shape[1]], *(rays / rays.norm(dim=1, keepdim=True)).T)
    colour = (0.5 + (torch.stack(basis, 1)[:, :, None] * p["sh"]).sum(1)).clamp(min=0)[order]
    is_label = torch.stack([labels[order] == 1, labels[order] == 2], 1).to(colour)
    channels = torch.cat([colour, is_label, z[:, None]], 1)
    centre_x, centre_y = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    dx = torch.arange(camera.width)[None, None, :] + 0.5 - centre_x[:, None, None]
    dy = torch.arange(camera.height)[None, :, None] + 0.5 - centre_y[:, None, None]
    xx, xy, yy = (conic[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    alphas = opacity[:, None, None] * torch.exp(-0.5 * (xx * dx**2 + 2 * xy * dx * dy + yy * dy**2))
    alphas = torch.where(alphas >= ALPHA_MIN, alphas.clamp(max=ALPHA_MAX), 0)
    transmittance, alive = torch.ones_like(alphas[0]), torch.ones_like(alphas[0], dtype=torch.bool)
    image, covered = (
        torch.zeros(camera.height, camera.width, 6, dtype=colour.dtype),
        torch.zeros_like(alphas[0]),
    )
    for alpha, channel in zip(alphas, channels, strict=True):
        after = transmittance * (1 - alpha)
        alive = alive & (after > TRANSMITTANCE_MIN)
        weight = torch.where(alive, transmittance * alpha, 0)
        transmittance = torch.where(alive, after, transmittance)
        image, covered = image + weight[..., None] * channel, covered + weight
    depth = torch.where(covered > 0, image[..., 5] / torch.where(covered > 0, covered, 1), 0)
    return image[..., :3], covered, image[..., 3:5], depth


def outputs(view: RenderedTensors) -> tuple[Tensor, ...]:
    return view.rgb, view.alpha, view.labels, view.expected_depth


def random_weights(seed: int, camera: PinholeCamera = CAMERA) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    size = camera.height, camera.width
    return [torch.randn(*size, *rest, generator=g) for rest in ((3,), (), (2,), ())]


def total(images: tuple[Tensor, ...], weights: list[Tensor]) -> Tensor:
    return torch.stack([(i * w.to(i)).sum() for i, w in zip(images, weights, strict=True)]).sum()


def relative(a: Tensor, b: Tensor) -> float:
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("coefficients", SH_COUNTS)
def test_gradients_equal_float64_autograd(coefficients: int, antialiased: bool) -> None:
    parameters, labels = random_parameters(coefficients, 60, coefficients)
    weights = random_weights(coefficients)
    fast = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    true = {k: v.double().requires_grad_() for k, v in parameters.items()}
    images, true_images = outputs(render(fast, labels, antialiased)), twin(true, labels, antialiased, CAMERA)
    total(images, weights).backward()
    total(true_images, weights).backward()
    for image, true_image in zip(images, true_images, strict=True):
        assert relative(image.detach(), true_image.detach()) < 1e-5
    for name in NAMES:
        assert relative(fast[name].grad, true[name].grad) < 1e-4, name


@pytest.mark.parametrize("output", range(4))
def test_each_output_alone_passes_its_gradient(output: int) -> None:
    parameters, labels = random_parameters(5)
    weight = random_weights(5)[output]
    fast = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    true = {k: v.double().requires_grad_() for k, v in parameters.items()}
    (outputs(render(fast, labels))[output] * weight).sum().backward()
    (twin(true, labels, False, CAMERA)[output] * weight.double()).sum().backward()
    for name in NAMES:
        if name != "sh" or output == 0:
            assert relative(fast[name].grad, true[name].grad) < 1e-4, name
        else:
            assert not fast[name].grad.any()


def test_gradients_equal_differences_of_the_reference() -> None:
    parameters, labels = random_parameters(11, 25, 4)
    # Opaque and wide, so that few pixels cross the threshold of visibility within a step.
    parameters["log_scales"] += 0.7
    parameters["opacity_logits"] = parameters["opacity_logits"].abs()
    weight = torch.linspace(0, 1, 3 * 37 * 30).reshape(30, 37, 3)

    def loss(p: Parameters) -> float:
        fields: Any = {name: p[name].numpy() for name in NAMES[:5]}
        pose = SE3.from_matrix(p["pose"].double().numpy())
        view = ReferenceRasteriser().render(GaussianScene(**fields, labels=labels.numpy()), CAMERA, pose)
        return float((view.rgb.astype(np.float64) * weight.numpy()).sum())

    fast = {k: v.clone().requires_grad_() for k, v in parameters.items()}
    (render(fast, labels).rgb * weight).sum().backward()
    rng = np.random.default_rng(0)
    for name in NAMES[:5]:
        measured, claimed = [], []
        for index in rng.choice(parameters[name].numel(), 12, replace=False):
            step = 2.0**-8
            values = []
            for sign in (1, -1):
                moved = {k: v.clone() for k, v in parameters.items()}
                moved[name].view(-1)[index] += sign * step
                values.append(loss(moved))
            measured.append((values[0] - values[1]) / (2 * step))
            claimed.append(float(fast[name].grad.reshape(-1)[index]))
        difference = np.linalg.norm(np.subtract(measured, claimed)) / np.linalg.norm(measured)
        assert difference < 0.03, (name, measured, claimed)


def test_strips_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for most in (4_000_000, 100):
        monkeypatch.setattr(numba_frame, "MAX_PAIRS", most)
        parameters, labels = random_parameters(2)
        leaves = {k: v.requires_grad_() for k, v in parameters.items()}
        (render(leaves, labels).rgb * random_weights(2)[0]).sum().backward()
        results.append({k: v.grad for k, v in leaves.items()})
    for name in NAMES:
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-4, atol=1e-4)


def test_what_is_not_seen_receives_nothing() -> None:
    parameters, labels = random_parameters(3)
    parameters["means"][:30, 1] -= 9  # behind the camera
    leaves = {k: v.requires_grad_() for k, v in parameters.items()}
    render(leaves, labels).rgb.sum().backward()
    for name in NAMES[:5]:
        assert not leaves[name].grad[:30].any()
        assert leaves[name].grad[30:].any()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_not_silenced(wrong: float) -> None:
    parameters, labels = random_parameters(0)
    means = parameters["means"].requires_grad_()
    view = render(parameters, labels)
    (gradient,) = torch.autograd.grad(view.rgb, means, torch.full_like(view.rgb, wrong))
    assert not gradient.isfinite().all()


def test_degenerate_parameters_have_finite_gradients() -> None:
    parameters, labels = random_parameters(4)
    parameters["wxyz"][:10] = 0
    parameters["log_scales"][10:20] = -1e30
    parameters["log_scales"][20:25] = 1e30
    parameters["opacity_logits"][25:35] = 1e30
    for antialiased in (False, True):
        leaves = {k: v.clone().requires_grad_() for k, v in parameters.items()}
        view = render(leaves, labels, antialiased)
        torch.stack([image.sum() for image in outputs(view)]).sum().backward()
        for name in NAMES:
            assert torch.isfinite(leaves[name].grad).all(), name


def test_no_gaussians_is_a_black_image_with_empty_gradients() -> None:
    parameters, labels = random_parameters(0, 0)
    leaves = {k: v.requires_grad_() for k, v in parameters.items()}
    view = render(leaves, labels)
    view.rgb.sum().backward()
    assert not view.rgb.any()
    assert leaves["means"].grad.shape == (0, 3)


def test_wrong_shapes_are_named() -> None:
    parameters, labels = random_parameters(0)
    parameters["wxyz"] = parameters["wxyz"][:, :3]
    with pytest.raises(RenderError, match=r"wxyz has shape \(60, 3\)"):
        render(parameters, labels)


def test_descent_finds_a_moved_camera() -> None:
    parameters, labels = random_parameters(6)
    target = render(parameters, labels).rgb
    pose: Any = parameters["pose"].clone()
    pose[:3, 3] += torch.tensor([0.03, -0.02, 0.01])
    pose.requires_grad_()
    optimiser = torch.optim.Adam([pose], lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        (render(parameters | {"pose": pose}, labels).rgb - target).square().sum().backward()
        pose.grad[:3, :3] = 0
        optimiser.step()
    assert (pose[:3, 3] - parameters["pose"][:3, 3]).norm() < 3e-3
