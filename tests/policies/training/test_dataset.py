from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experts.collect import CollectConfig, collect
from h2rh_env.core.action import decode_action, encode_action
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3
from h2rh_env.datasets.minari import read_demonstrations
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.networks.factory import make_network
from policies.training.dataset import (
    MIRRORED_ACTION_SIGNS,
    Frames,
    concatenate,
    held_out_scenes,
    load_frames,
    mirrored,
    read_frames,
    save_frames,
    split_by_scene,
)

component = st.floats(-1, 1)


def some_frames(count: int = 12) -> Frames:
    generator = torch.Generator().manual_seed(0)
    return Frames(
        torch.randint(0, 256, (count, 6, 8, 8), dtype=torch.uint8, generator=generator),
        torch.randn(count, 5, generator=generator),
        torch.rand(count, 7, generator=generator),
        torch.randn(count, 3, 4, generator=generator),
        tuple(f"scene-{i // 3}" for i in range(count)),
    )


@given(st.lists(component, min_size=6, max_size=6))
def test_the_mirrored_action_is_the_action_of_the_mirrored_motion(units: list[float]) -> None:
    action = np.array([*(0.25 * np.array(units[:3])), *(0.06 * np.array(units[3:])), 0.5], np.float32)
    motion, _ = decode_action(action)
    reflection = np.diag([-1.0, 1.0, 1.0])
    reflected = SE3(reflection @ motion.rotation @ reflection, reflection @ motion.translation)
    np.testing.assert_allclose(
        encode_action(reflected, 0.5), action * np.float32(MIRRORED_ACTION_SIGNS), atol=1e-6
    )


def test_the_mirrored_goal_is_the_goal_of_the_mirrored_scene() -> None:
    motion, _ = decode_action(np.float32([0.2, -0.1, 0.15, 0.01, 0.02, -0.03, 0]))
    goals = torch.from_numpy(motion.matrix[None, :3])
    *_, mirrored_goals = mirrored((torch.zeros(1, 1, 1, 1), torch.zeros(1, 0), torch.zeros(1, 7), goals), ())
    reflection = np.diag([-1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(mirrored_goals[0], (reflection @ motion.matrix @ reflection)[:3])


def test_mirroring_twice_changes_nothing() -> None:
    frames = some_frames()
    signs = (1, -1, 1, -1, 1)
    batch = frames.images.float(), frames.geometry, frames.actions, frames.goals
    for before, after in zip(batch, mirrored(mirrored(batch, signs), signs), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_no_scene_is_on_both_sides_of_the_split() -> None:
    frames = some_frames()
    held_out = held_out_scenes(frames.scenes, 0.5, seed=3)
    train, validation = split_by_scene(frames, held_out)
    assert len(held_out) == 2
    assert not set(train.scenes) & set(validation.scenes)
    assert len(train) + len(validation) == len(frames)


def test_a_selection_of_a_selection_shares_the_images_and_is_what_it_says() -> None:
    frames = some_frames()
    chosen = frames.select([1, 4, 7, 9]).select([3, 0])
    rows = torch.tensor([9, 1])
    assert chosen.images is frames.images
    assert chosen.scenes == (frames.scenes[9], frames.scenes[1])
    for joined in (chosen, concatenate([chosen.select([0]), chosen.select([1])])):
        for ours, theirs in zip(joined.at(torch.arange(2)), frames.at(rows), strict=True):
            assert torch.equal(ours, theirs)


def test_one_scene_is_never_held_out() -> None:
    assert held_out_scenes(("only",) * 5, 0.9, seed=0) == set()


def test_frames_are_read_as_saved(tmp_path: Path) -> None:
    frames = some_frames()
    save_frames(tmp_path / "frames", frames)
    again = read_frames(tmp_path / "frames")
    for name in ("images", "geometry", "actions", "goals"):
        assert torch.equal(getattr(frames, name), getattr(again, name))
    assert again.scenes == frames.scenes


def test_damaged_frames_are_told(tmp_path: Path) -> None:
    (tmp_path / "frames").write_bytes(b"not tensors")
    with pytest.raises(DatasetError, match="delete it"):
        read_frames(tmp_path / "frames")


@pytest.fixture(scope="module")
def dataset(tiny_scene: HandoverScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    tiny_scene.save(folder / "scenes" / "tiny")
    collect(CollectConfig(folder / "scenes", folder / "data", initial_poses=2, workers=1))
    return folder / "data"


def test_frames_are_read_in_order_with_the_expert_s_answers(dataset: Path) -> None:
    network = make_network("compact", {"window": 32, "hidden": 16})
    frames = load_frames(dataset, network)
    demonstrations = list(read_demonstrations(dataset))
    assert len(frames) == sum(map(len, demonstrations))
    np.testing.assert_array_equal(frames.actions, np.concatenate([d.actions for d in demonstrations]))


def test_disturbed_frames_depend_on_the_seed_alone(dataset: Path) -> None:
    network = make_network("compact", {"window": 32, "hidden": 16})
    plain, first, again, other = (
        load_frames(dataset, network, corruption=strength, seed=seed)
        for strength, seed in ((0.0, 0), (0.7, 0), (0.7, 0), (0.7, 1))
    )
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.geometry, again.geometry)
    assert not torch.equal(first.images, plain.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(first.goals, again.goals)
    torch.testing.assert_close(
        first.goals[:, :, 3].norm(dim=1), plain.goals[:, :, 3].norm(dim=1), atol=0.1, rtol=0
    )
