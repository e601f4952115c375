import numpy as np
import pytest
import torch

from h2rh_env.errors import CheckpointError
from policies.networks import NETWORKS, make_network
from policies.ranging import Sighting
from policies.relief import NOTHING
from policies.tensors import area_weights, looking_along, mask_moments

BLACK = np.zeros((168, 224, 3), np.uint8)
SEEN = Sighting(BLACK, BLACK[..., :2], 0.6, 0.05, NOTHING, NOTHING, 3, np.eye(4))


def frames(
    seed: int, count: int = 3, height: int = 168, width: int = 224
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Frames with an elliptic object and a hand beside it, anywhere in the image, at some range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    rgb = np.zeros((count, height, width, 3), np.uint8)
    masks = np.zeros((count, height, width, 2), np.uint8)
    for i in range(count):
        u, v = rng.uniform(0.2, 0.8, 2) * (width, height)
        a, b = rng.uniform(8, 40, 2)
        masks[i, ..., 1][((x - u - a) / b) ** 2 + ((y - v) / a) ** 2 < 1] = 255
        masks[i, ..., 0][((x - u) / a) ** 2 + ((y - v) / b) ** 2 < 1] = 255
        masks[i, ..., 1][masks[i, ..., 0] > 0] = 0
        seen = masks[i].any(-1)
        rgb[i][seen] = rng.integers(1, 256, (int(seen.sum()), 3))
    ranges = rng.uniform((0.3, 0.02), (0.9, 0.3), (count, 2)).astype(np.float32)
    return torch.from_numpy(rgb), torch.from_numpy(masks), torch.from_numpy(ranges)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_maps_frames_to_actions(name: str) -> None:
    network = make_network(name).eval()
    with torch.inference_mode():
        images, geometry = network.prepare(*frames(0))
        assert images.dtype == torch.uint8
        assert images.shape == (3, network.channels, *network.size)
        assert geometry.shape == (3, len(network.geometry_signs))
        actions = network.act(images.float() / 255, geometry, [SEEN] * 3)
    assert actions.shape == (3, 7)
    assert np.isfinite(actions).all()
    assert ((actions[:, 6] >= 0) & (actions[:, 6] <= 1)).all()


def test_moving_the_window_turns_the_answer_with_it() -> None:
    torch.manual_seed(0)
    network = make_network("compact").eval()
    images, geometry = network.prepare(*frames(4))
    images = images.float() / 255
    with torch.inference_mode():
        moved = geometry.clone()
        moved[:, :2] += 0.3
        moved[:, 3:5] = geometry[:, 3:5] = (
            0  # the object in the window's middle, or its sight would turn otherwise
        )
        goal = network(images, geometry)
        other = network(images, moved)
    turn = looking_along(network.sight(moved)) @ looking_along(network.sight(geometry)).transpose(1, 2)
    torch.testing.assert_close(other, turn @ goal, atol=1e-5, rtol=1e-4)


def test_an_object_that_is_twice_as_far_and_twice_as_wide_moves_the_goal_along_its_sight() -> None:
    torch.manual_seed(0)
    network = make_network("compact").eval()
    rgb, masks, ranges = frames(5)
    images, near = network.prepare(rgb, masks, ranges)
    network.head[0].weight.data[:, -2:] = 0  # it does not look at the range itself
    _, far = network.prepare(rgb, masks, ranges * torch.tensor([2.0, 1.0]))
    with torch.inference_mode():
        moved = network(images.float() / 255, far) - network(images.float() / 255, near)
    torch.testing.assert_close(moved[:, :, :3], torch.zeros(3, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[:, :, 3].norm(dim=1), ranges[:, 0], atol=1e-4, rtol=1e-4)


def test_looking_along_turns_z_to_the_direction_by_a_rotation() -> None:
    direction = torch.nn.functional.normalize(
        torch.tensor([[0.0, 0, 1], [0.5, -0.2, 1], [-3, 1, 0.1]]), dim=1
    )
    rotation = looking_along(direction)
    torch.testing.assert_close(rotation[:, :, 2], direction)
    torch.testing.assert_close(
        rotation @ rotation.transpose(1, 2), torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(3))


@pytest.mark.parametrize("name", NETWORKS)
def test_each_frame_is_read_by_itself(name: str) -> None:
    network = make_network(name).eval()
    parts = frames(1)
    together = network.prepare(*parts)
    alone = [network.prepare(*(part[i : i + 1] for part in parts)) for i in range(3)]
    for part in (0, 1):
        torch.testing.assert_close(
            together[part], torch.cat([each[part] for each in alone]), atol=1, rtol=1e-5
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_preparing_a_mirrored_frame_mirrors_what_is_prepared(name: str) -> None:
    network = make_network(name)
    rgb, masks, ranges = frames(2)
    images, geometry = network.prepare(rgb, masks, ranges)
    mirrored_images, mirrored_geometry = network.prepare(rgb.flip(2), masks.flip(2), ranges)
    assert (mirrored_images.int() - images.flip(-1).int()).abs().max() <= 1
    signs = torch.tensor(network.geometry_signs)
    torch.testing.assert_close(mirrored_geometry, geometry * signs, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frame_that_shows_nothing_gives_a_finite_action(name: str) -> None:
    network = make_network(name).eval()
    black = torch.zeros(1, 168, 224, 3, dtype=torch.uint8), torch.zeros(1, 168, 224, 2, dtype=torch.uint8)
    images, geometry = network.prepare(*black, torch.tensor([[0.7, 0.2]]))
    assert torch.isfinite(geometry).all()
    assert torch.isfinite(network(images.float(), geometry)).all()


def test_area_weights_keep_the_mean_of_what_they_cover() -> None:
    values = torch.rand(50)
    weights = area_weights(torch.tensor([10.0, 3.5]), torch.tensor([30.0, 12.25]), 8, 50)
    averaged = weights @ values
    torch.testing.assert_close(averaged[0].mean(), values[10:40].mean())
    part = torch.cat([values[3:4] * 0.5, values[4:15], values[15:16] * 0.75]).sum() / 12.25
    torch.testing.assert_close(averaged[1].mean(), part)


def test_area_weights_outside_of_the_line_are_zero() -> None:
    weights = area_weights(torch.tensor([-20.0]), torch.tensor([10.0]), 4, 50)
    assert not weights.any()


def test_moments_are_those_of_the_pixels() -> None:
    _, masks, _ = frames(3, count=1)
    area, x, y, xx, yy, xy = mask_moments(masks.permute(0, 3, 1, 2).float() / 255)[0, 0].tolist()
    rows, columns = np.nonzero(masks[0, ..., 0].numpy())
    u, v = (columns + 0.5 - 112) / 224, (rows + 0.5 - 84) / 224
    expected = [len(u) / 224**2, u.mean(), v.mean(), u.var(), v.var(), np.mean(u * v) - u.mean() * v.mean()]
    np.testing.assert_allclose([area, x, y, xx, yy, xy], expected, atol=1e-6, rtol=1e-4)


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=r"compact, .*resnet18"):
        make_network("resnet50")
    with pytest.raises(CheckpointError, match="settings"):
        make_network("compact", {"depth": 3})
