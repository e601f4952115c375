"""Frames of discs, and a network that is small enough to learn from them at once."""

from dataclasses import replace

import numpy as np
import torch

from h2rh_env.core.geometry import SE3
from policies.networks.base import HandoverNetwork
from policies.networks.compact import CompactNetwork
from policies.networks.rotations import looking_along
from policies.tracking.tracker import Tracker
from policies.training.dataset import Frames

SMALL = {"window": 32, "widths": (8, 8, 8, 8), "hidden": 32}


def small_network() -> CompactNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CompactNetwork(**SMALL)


def some_frames(count: int, seed: int = 0) -> Frames:
    """Discs at random places; the goal looks at the disc, and is the further ahead the smaller it is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:42, :56]
    masks = np.zeros((count, 42, 56, 2), np.uint8)
    actions = np.zeros((count, 7), np.float32)
    for i in range(count):
        u, v, radius = rng.uniform(15, 41), rng.uniform(12, 30), rng.uniform(4, 12)
        masks[i, ..., 0][np.hypot(columns - u, rows - v) < radius] = 255
        actions[i] = [(21 - v) / 200, (u - 28) / 200, 0, 0, 0, (12 - radius) / 300, radius > 8]
    rgb = np.repeat(masks[..., :1] // 2, 3, axis=-1)
    network = small_network()
    seen = [Tracker(network.config).see(rgb[i], masks[i], SE3.identity()) for i in range(count)]
    images, geometry = network.preprocess([replace(each, distance_m=0.6, sigma=0.05) for each in seen])
    ahead = torch.eye(4)[:3].repeat(count, 1, 1)
    ahead[:, 2, 3] = torch.from_numpy(actions[:, 5]) * 10
    goals = looking_along(network.sight(geometry)) @ ahead
    return Frames(images, geometry, torch.from_numpy(actions), goals, ("disc",) * count)


def weights(network: HandoverNetwork) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
