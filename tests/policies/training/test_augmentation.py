from dataclasses import replace

import numpy as np
import torch

from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.rendering.masks import observe
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.networks.compact import CompactNetwork
from policies.networks.rotations import rotation_about
from policies.tracking.tracker import Tracker
from policies.training.augmentation import augmented
from policies.training.dataset import Batch

NETWORK = CompactNetwork()


def batch(count: int = 16) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 6, 16, 16, generator=generator)
    images[:, 3:] = (images[:, 3:] > 0.5).float()
    images[:, :3] *= (images[:, 3:5].amax(1, keepdim=True) > 0).float()
    return (
        images,
        torch.randn(count, len(NETWORK.geometry_signs), generator=generator),
        torch.rand(count, 7, generator=generator),
        torch.randn(count, 3, 4, generator=generator),
    )


def test_the_same_seed_gives_the_same_batch() -> None:
    first, second = (augmented(batch(), NETWORK, torch.Generator().manual_seed(5), 1.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_strength_a_frame_is_itself_or_its_mirror_image() -> None:
    images, _, actions, _ = batch()
    changed, _, answers, _ = augmented(batch(), NETWORK, torch.Generator().manual_seed(1), 0.0)
    flipped = (answers[:, 3] != actions[:, 3]).nonzero().flatten().tolist()
    assert 0 < len(flipped) < len(images)
    for i in range(len(images)):
        assert torch.equal(changed[i], images[i].flip(-1) if i in flipped else images[i])


def test_the_removed_background_stays_black() -> None:
    images, *others = batch()
    images[:, :, :12] = 0
    changed, *_ = augmented((images, *others), NETWORK, torch.Generator().manual_seed(2), 1.0)
    assert not changed[:, :3, :3].any()
    assert changed[:, 3:5].min() >= 0
    assert changed[:, 3:5].max() <= 1
    assert changed[:, :3].min() >= 0
    assert changed[:, :3].max() <= 1


def test_the_batch_given_is_left_as_it_was() -> None:
    given = batch()
    augmented(given, NETWORK, torch.Generator().manual_seed(3), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(given, batch(), strict=True))


def test_rolling_a_frame_is_rolling_the_camera(tiny_scene) -> None:
    pose = look_at([0.45, -0.2, 0.5], [0.53, 0.3, 0.33])
    inputs = frame(tiny_scene, pose)
    sight = NETWORK.sight(inputs[1])
    for angle_rad in (-0.3, 0.0, 0.2):
        turn = rotation_about(sight, torch.tensor([angle_rad]))
        rolled_pose = pose @ SE3(turn[0].double().numpy().T, np.zeros(3))
        truth = frame(tiny_scene, rolled_pose)
        images, geometry, goals = NETWORK.rolled(*inputs, torch.tensor([angle_rad]))
        torch.testing.assert_close(goals, truth[2], atol=0.01, rtol=0)
        torch.testing.assert_close(geometry, truth[1], atol=0.06, rtol=0)
        overlap = (images[:, 3] > 0.5) & (truth[0][:, 3] > 0.5)
        union = (images[:, 3] > 0.5) | (truth[0][:, 3] > 0.5)
        assert overlap.sum() > 0.9 * union.sum()


def frame(scene: HandoverScene, pose: SE3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The network's inputs from a view, and the pre-grasp pose seen from there."""
    rgb, masks = observe(make_rasteriser("numba"), [scene.gaussians], HAND_EYE_CAMERA, [pose])
    seen = Tracker(NETWORK.config).see(rgb[0], masks[0], pose)
    images, geometry = NETWORK.preprocess([replace(seen, distance_m=0.6, sigma=0.05)])
    goal = (pose.inverse() @ scene.grasp.pregrasp()).matrix[:3]
    return images.float() / 255, geometry, torch.from_numpy(goal.astype(np.float32))[None]
