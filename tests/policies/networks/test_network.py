import json
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from h2rh_env.core.errors import CheckpointError, PolicyError
from h2rh_env.core.geometry import SE3
from policies.config import PolicyConfig
from policies.networks.crop_geometry import SIGNS, CropGeometry
from policies.networks.factory import NETWORKS, make_network
from policies.networks.inputs import (
    CropInputs,
    FrameInputs,
    NetworkInputs,
    inputs_from_json,
    inputs_to_json,
    mask_moments,
)
from policies.networks.numba_crop import cell_means
from policies.networks.rotations import looking_along
from policies.tracking.tracker import Track, Tracker

BLACK = np.zeros((168, 224, 3), np.uint8)
CONFIG = PolicyConfig()


def tracks(seed: int, count: int = 3, height: int = 168, width: int = 224) -> list[Track]:
    """Frames with an elliptic object and a hand beside it, anywhere in the image, at some range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    seen = []
    for _ in range(count):
        u, v = rng.uniform(0.2, 0.8, 2) * (width, height)
        a, b = rng.uniform(8, 40, 2)
        masks = np.zeros((height, width, 2), np.uint8)
        masks[..., 1][((x - u - a) / b) ** 2 + ((y - v) / a) ** 2 < 1] = 255
        masks[..., 0][((x - u) / a) ** 2 + ((y - v) / b) ** 2 < 1] = 255
        masks[..., 1][masks[..., 0] > 0] = 0
        rgb = rng.integers(1, 256, (height, width, 3), np.uint8) * masks.any(-1, keepdims=True)
        distance_m, sigma = rng.uniform((0.3, 0.02), (0.9, 0.3))
        seen.append(
            replace(Tracker(CONFIG).see(rgb, masks, SE3.identity()), distance_m=distance_m, sigma=sigma)
        )
    return seen


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_maps_frames_to_actions(name: str) -> None:
    network = make_network(name).eval()
    with torch.inference_mode():
        seen = tracks(0)
        images, geometry = network.preprocess(seen)
        assert images.dtype == torch.uint8
        assert images.shape == (3, network.inputs.channels, *network.inputs.size)
        assert geometry.shape == (3, len(network.geometry_signs))
        actions = network.act(images.float() / 255, geometry, seen)
    assert actions.shape == (3, 7)
    assert np.isfinite(actions).all()
    assert ((actions[:, 6] >= 0) & (actions[:, 6] <= 1)).all()


def test_moving_the_crop_turns_the_answer_with_it() -> None:
    torch.manual_seed(0)
    network = make_network("compact").eval()
    images, geometry = network.preprocess(tracks(4))
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
    seen = tracks(5)
    images, near = network.preprocess(seen)
    network.head[0].weight.data[:, -2:] = 0  # it does not look at the range itself
    _, far = network.preprocess([replace(each, distance_m=2 * each.distance_m) for each in seen])
    with torch.inference_mode():
        moved = network(images.float() / 255, far) - network(images.float() / 255, near)
    torch.testing.assert_close(moved[:, :, :3], torch.zeros(3, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        moved[:, :, 3].norm(dim=1),
        torch.tensor([each.distance_m for each in seen]).float(),
        atol=1e-4,
        rtol=1e-4,
    )


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


INPUTS: list[NetworkInputs] = [
    CropInputs(80, CONFIG),
    CropInputs(48, CONFIG),
    FrameInputs(168, 224),
    FrameInputs(84, 112),
]


@pytest.mark.parametrize("inputs", INPUTS)
def test_the_inputs_of_a_mirrored_frame_are_the_mirrored_inputs(inputs: NetworkInputs) -> None:
    for seen in tracks(2):
        images, numbers = inputs(seen)
        mirror = replace(seen, rgb=seen.rgb[:, ::-1].copy(), masks=seen.masks[:, ::-1].copy())
        mirrored_images, mirrored_numbers = inputs(mirror)
        assert np.abs(mirrored_images.astype(int) - images[..., ::-1]).max() <= 1
        np.testing.assert_allclose(mirrored_numbers, numbers * inputs.signs, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("inputs", INPUTS)
def test_inputs_are_made_again_from_json(inputs: NetworkInputs) -> None:
    assert inputs_from_json(json.loads(json.dumps(inputs_to_json(inputs))), CONFIG) == inputs


def test_inputs_of_an_unknown_kind_are_answered_with_the_known_ones() -> None:
    with pytest.raises(PolicyError, match="crop, frame"):
        inputs_from_json({"kind": "point cloud"}, CONFIG)


def test_a_crop_s_geometry_unpacks_what_it_packs_in_the_order_of_its_fields() -> None:
    numbers = np.arange(19.0)
    geometry = CropGeometry.unpack(numbers)
    assert geometry.pack() == numbers.tolist()
    assert (geometry.x, geometry.object.x, geometry.hand.x, geometry.log_sigma) == (0, 3, 9, 18)
    assert [each.name for each in fields(geometry.hand)] == ["x", "y", "log_size", "xx", "yy", "xy"]
    batch = torch.stack(CropGeometry.unpack(torch.arange(38.0).view(2, 19)).pack(), dim=1)
    torch.testing.assert_close(batch, torch.arange(38.0).view(2, 19))
    with pytest.raises(ValueError, match="19 numbers, not 18"):
        CropGeometry.unpack(numbers[:18])


def test_in_a_mirror_what_points_sideways_changes_sign() -> None:
    signs = CropGeometry.unpack(np.array(SIGNS))
    assert (signs.x, signs.object.x, signs.object.xy, signs.hand.x, signs.hand.xy) == (-1,) * 5
    assert SIGNS.count(-1) == 5


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frame_that_shows_nothing_gives_a_finite_action(name: str) -> None:
    network = make_network(name).eval()
    images, geometry = network.preprocess([Tracker(CONFIG).see(BLACK, BLACK[..., :2].copy(), SE3.identity())])
    assert torch.isfinite(geometry).all()
    assert torch.isfinite(network(images.float(), geometry)).all()


@given(st.floats(-60, 260), st.floats(-60, 200), st.floats(2, 300), st.floats(2, 300), st.integers(0, 2**31))
def test_cells_hold_the_means_of_what_they_cover(
    left: float, top: float, wide: float, high: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (42, 56, 5), np.uint8)
    cells = np.empty((6, 5, 7), np.uint8)
    cell_means(frame[..., :3].copy(), frame[..., 3:].copy(), left, top, wide, high, cells)
    rows, columns = (_shares(*line) for line in ((top, high, 5, 42), (left, wide, 7, 56)))
    expected = np.einsum("ay,bx,yxc->cab", rows, columns, np.dstack([frame, np.full((42, 56, 1), 255)]))
    assert np.abs(cells - expected).max() <= 0.5 + 0.02


def _shares(start: float, length: float, count: int, pixels: int) -> npt.NDArray[np.float64]:
    """The share of each pixel (count, pixels) in each of equal cells along a line."""
    edges = start + length * np.arange(count + 1) / count
    pixel = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(overlap, 0) * count / length


def test_moments_are_those_of_the_pixels() -> None:
    masks = tracks(3, count=1)[0].masks
    area, x, y, xx, yy, xy = mask_moments(masks)[0]
    rows, columns = np.nonzero(masks[..., 0])
    u, v = (columns + 0.5 - 112) / 224, (rows + 0.5 - 84) / 224
    expected = [len(u) / 224**2, u.mean(), v.mean(), u.var(), v.var(), np.mean(u * v) - u.mean() * v.mean()]
    np.testing.assert_allclose([area, x, y, xx, yy, xy], expected, atol=1e-12)
    assert not mask_moments(np.zeros_like(masks)).any()


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=r"compact, .*resnet18"):
        make_network("resnet50")
    with pytest.raises(CheckpointError, match="settings"):
        make_network("compact", {"depth": 3})
