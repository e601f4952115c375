"""The photometric loss: the fast one equals its definition in float64 torch, values and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor

from h2rh_env.core.errors import RenderError
from h2rh_env.reconstruction.optimisation.losses import photometric_loss


def obvious(image: Tensor, target: Tensor, weight: float) -> Tensor:
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    line = torch.exp(-0.5 * (offsets / 1.5) ** 2)
    window = torch.outer(line, line) / line.sum() ** 2

    def blur(planes: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(planes[:, None], window[None, None], padding=5)[:, 0]

    x, y = image.permute(2, 0, 1), target.permute(2, 0, 1)
    mx, my = blur(x), blur(y)
    vx, vy, cxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    ssim = ((2 * mx * my + 1e-4) * (2 * cxy + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return (1 - weight) * (x - y).abs().mean() + weight * (1 - ssim.mean())


def images(height: int, width: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(height * width)
    return torch.rand(height, width, 3, generator=g), torch.rand(height, width, 3, generator=g)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (16, 16), (33, 50), (12, 65)])
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_value_and_gradient_equal_the_definition(size: tuple[int, int], weight: float) -> None:
    image, target = images(*size)
    fast: Any = image.clone().requires_grad_()
    true: Any = image.double().requires_grad_()
    loss, true_loss = photometric_loss(fast, target, weight), obvious(true, target.double(), weight)
    (3 * loss).backward()
    (3 * true_loss).backward()
    assert loss.item() == pytest.approx(true_loss.item(), abs=1e-5)
    assert (fast.grad - true.grad).norm() <= 1e-4 * true.grad.norm()


def test_a_crop_is_the_loss_of_the_cropped_images() -> None:
    image, target = images(40, 30)
    whole: Any = image.clone().requires_grad_()
    part: Any = image[5:29, 2:21].clone().requires_grad_()
    loss = photometric_loss(whole, target, crop=(5, 2, 29, 21))
    part_loss = photometric_loss(part, target[5:29, 2:21])
    assert loss == part_loss
    loss.backward()
    part_loss.backward()
    assert torch.equal(whole.grad[5:29, 2:21], part.grad)
    assert whole.grad.count_nonzero() == part.grad.count_nonzero()


def test_equal_images_cost_nothing() -> None:
    image, _ = images(20, 20)
    assert float(photometric_loss(image, image)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("crop", [(0, 0, 0, 4), (0, 0, 4, 9), (-1, 0, 4, 4)])
def test_an_empty_crop_is_refused(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(RenderError, match="crop"):
        photometric_loss(torch.zeros(8, 8, 3), torch.zeros(8, 8, 3), crop=crop)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(RenderError, match="compared"):
        photometric_loss(torch.zeros(8, 8, 3), torch.zeros(8, 9, 3))
