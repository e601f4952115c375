import torch

from policies.augmentation import augmented
from policies.batches import Batch
from policies.network import CompactNetwork

SIGNS = CompactNetwork().geometry_signs


def batch(count: int = 16) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 6, 16, 16, generator=generator)
    images[:, 3:] = (images[:, 3:] > 0.5).float()
    images[:, :3] *= (images[:, 3:5].amax(1, keepdim=True) > 0).float()
    return (
        images,
        torch.randn(count, len(SIGNS), generator=generator),
        torch.rand(count, 7, generator=generator),
        torch.randn(count, 3, 4, generator=generator),
    )


def test_the_same_seed_gives_the_same_batch() -> None:
    first, second = (augmented(batch(), SIGNS, torch.Generator().manual_seed(5), 1.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_strength_a_frame_is_itself_or_its_mirror_image() -> None:
    images, _, actions, _ = batch()
    changed, _, answers, _ = augmented(batch(), SIGNS, torch.Generator().manual_seed(1), 0.0)
    flipped = (answers[:, 3] != actions[:, 3]).nonzero().flatten().tolist()
    assert 0 < len(flipped) < len(images)
    for i in range(len(images)):
        assert torch.equal(changed[i], images[i].flip(-1) if i in flipped else images[i])


def test_the_removed_background_stays_black_and_masks_stay_binary() -> None:
    images, *others = batch()
    images[:, :, :4] = 0
    changed, *_ = augmented((images, *others), SIGNS, torch.Generator().manual_seed(2), 1.0)
    assert not changed[:, :3, :4].any()
    assert set(changed[:, 3:5].unique().tolist()) <= {0.0, 1.0}
    assert changed[:, :3].min() >= 0
    assert changed[:, :3].max() <= 1


def test_the_batch_given_is_left_as_it_was() -> None:
    given = batch()
    augmented(given, SIGNS, torch.Generator().manual_seed(3), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(given, batch(), strict=True))
