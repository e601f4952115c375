from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.collect import CollectConfig, collect, collect_shards, jobs_of
from experts.demonstrate import demonstrate
from experts.labels import Labeller
from experts.trajectory import remaining
from h2rh_env.core.action import decode_action
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3, angle_between
from h2rh_env.core.task import CLEARANCE_M, EPISODE_STEPS, GRASP_SCORE_THRESHOLD, MAX_EPISODE_STEPS, Task
from h2rh_env.datasets.manifest import MANIFEST
from h2rh_env.datasets.read import datasets_of, describe, read_demonstrations, read_views
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.scenes.handover_scene import HandoverScene


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, tiny_scene: HandoverScene) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    tiny_scene.save(folder / "tiny")
    return folder


def settings(scenes: Path, out: Path, **changes: Any) -> CollectConfig:
    return CollectConfig(
        scenes, out, **({"initial_poses": 3, "noise": 0.5, "workers": 1, "views": 4} | changes)
    )


def start(scene: HandoverScene, seed: int = 0) -> SE3:
    return sample_initial_poses(scene, np.random.default_rng(seed), 1)[0]


def test_without_noise_each_pose_is_where_the_label_before_it_led(tiny_scene: HandoverScene) -> None:
    labeller = Labeller()
    poses = demonstrate(tiny_scene, labeller, start(tiny_scene), np.random.default_rng(0), hold=0)
    assert poses is not None
    for pose, after in pairwise(poses):
        reached = pose @ decode_action(labeller(tiny_scene, pose)[0])[0]
        distance, angle = remaining(reached, after)
        assert distance < 1e-6
        assert angle < 1e-5
    assert remaining(poses[-1], tiny_scene.grasp.pregrasp())[0] < 2e-3


def test_with_noise_the_labels_lead_back_to_the_pregrasp_pose(tiny_scene: HandoverScene) -> None:
    labeller = Labeller()
    poses = demonstrate(tiny_scene, labeller, start(tiny_scene), np.random.default_rng(0), hold=5, noise=1.0)
    assert poses is not None
    assert len(poses) <= MAX_EPISODE_STEPS + 1 + 5
    left = [remaining(pose, labeller.expert.goal(tiny_scene, pose))[0] for pose in poses]
    assert left[-1] < 0.1 * left[0]
    assert (tiny_scene.clearance.distance([pose.translation for pose in poses]) > CLEARANCE_M).all()


def test_cls_is_one_exactly_within_the_tolerance(tiny_scene: HandoverScene) -> None:
    labeller = Labeller(arrived_m=0.02, arrived_rad=0.07)
    pregrasp = tiny_scene.grasp.pregrasp()
    for offset_m, expected in ((0.0, 1), (0.019, 1), (0.021, 0)):
        pose = pregrasp @ SE3(np.eye(3), np.array([0, offset_m, 0]))
        action, camera_from_goal = labeller(tiny_scene, pose)
        assert action[6] == expected
        reached = pose @ decode_action(action)[0]
        assert remaining(reached, pregrasp)[0] < 1e-6
        assert remaining(pose @ camera_from_goal, pregrasp)[0] < 1e-9


def test_a_trajectory_that_breaks_the_clearance_is_rejected_whole(tiny_scene: HandoverScene) -> None:
    inside = SE3(np.eye(3), tiny_scene.object_centre)
    assert demonstrate(tiny_scene, Labeller(), inside, np.random.default_rng(0)) is None


def test_what_is_collected_is_what_was_asked_for(
    tmp_path: Path, scenes: Path, tiny_scene: HandoverScene
) -> None:
    writer = collect(settings(scenes, tmp_path / "data"))
    assert writer.episodes + writer.dropped == 3
    for demonstration in read_demonstrations(tmp_path / "data"):
        assert demonstration.scene == "tiny"
        assert demonstration.masks[..., 0].any(axis=(1, 2)).all()
        assert (demonstration.clearance_m > CLEARANCE_M).all()
        assert demonstration.actions[:, 6].max() >= GRASP_SCORE_THRESHOLD
    provenance = describe(tmp_path / "data").provenance
    assert list(provenance["scenes"]) == ["tiny"]
    assert provenance["seed"] == 0


def _contents(folder: Path) -> list[bytes]:
    frames = [*read_demonstrations(folder), *read_views(folder)]
    return [each.actions.tobytes() + each.rgb.tobytes() for each in frames]


def calls_until_cut(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Interrupts the second trajectory; returns what was and will be asked for."""
    from experts import jobs as module

    whole = module._collect_one
    calls: list[object] = []

    def interrupted(task: object) -> object:
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(task)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_collect_one", interrupted)
    return calls


def test_workers_and_interruptions_do_not_change_the_result(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(settings(scenes, tmp_path / "one"))
    collect(settings(scenes, tmp_path / "two", workers=2))
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")

    calls_until_cut(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        collect(settings(scenes, tmp_path / "cut"))
    monkeypatch.undo()
    collect(settings(scenes, tmp_path / "cut"))
    assert _contents(tmp_path / "one") == _contents(tmp_path / "cut")


def test_shards_hold_the_same_however_often_it_was_interrupted(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(settings(scenes, tmp_path / "one"))
    collect_shards(settings(scenes, tmp_path / "shards", trajectories_per_shard=2))
    assert _contents(tmp_path / "one") == _contents(tmp_path / "shards")
    assert [describe(shard).episodes for shard in datasets_of(tmp_path / "shards")] == [2, 1]
    assert [describe(shard).view_files for shard in datasets_of(tmp_path / "shards")] == [1, 0]

    calls = calls_until_cut(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        collect_shards(settings(scenes, tmp_path / "cut", trajectories_per_shard=2))
    collect_shards(settings(scenes, tmp_path / "cut", trajectories_per_shard=2))
    assert len(calls) == 4  # the first trajectory was kept, the second is made again
    assert (tmp_path / "cut" / MANIFEST).read_bytes() == (tmp_path / "shards" / MANIFEST).read_bytes()


@pytest.mark.nightly
def test_shards_of_two_workers_are_those_of_one(tmp_path: Path, scenes: Path) -> None:
    for workers in (1, 2):
        collect_shards(settings(scenes, tmp_path / f"{workers}", workers=workers, trajectories_per_shard=2))
    assert (tmp_path / "1" / MANIFEST).read_bytes() == (tmp_path / "2" / MANIFEST).read_bytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_each_trajectory_and_each_scene_s_views_are_in_one_shard(
    tmp_path: Path, scenes: Path, size: int
) -> None:
    from experts.collect import _shard_jobs

    folders = [scenes / name for name in "abc"]
    config = settings(scenes, tmp_path, initial_poses=3, trajectories_per_shard=size)
    shards = _shard_jobs(config, folders, {})
    trajectories, views = jobs_of(config, folders)
    assert [job for shard in shards for job in shard.trajectories] == trajectories
    assert [job for shard in shards for job in shard.views] == views
    assert {len(shard.trajectories) for shard in shards[:-1]} <= {size}


@pytest.mark.parametrize("task", ["reach", "grasp"])
def test_who_takes_the_actions_in_the_environment_sees_and_earns_the_same(
    tmp_path: Path, scenes: Path, task: Task
) -> None:
    collect(settings(scenes, tmp_path / "data", task=task))
    scene = HandoverScene.load(scenes / "tiny")
    demonstrations = list(read_demonstrations(tmp_path / "data"))
    assert demonstrations
    assert describe(tmp_path / "data").task == task
    for demonstration in demonstrations:
        env = H2RHandoverEnv(scene, rasteriser="numba", task=task)
        options = {"scene_from_camera": demonstration.scene_from_camera[0]}
        observation, _ = env.reset(seed=0, options=options)
        if task == "grasp":
            env._state.contact_seed = demonstration.seed
        for t, action in enumerate(demonstration.executed):
            assert np.abs(observation["rgb"].astype(int) - demonstration.rgb[t]).mean() < 0.05
            np.testing.assert_allclose(
                env.scene_from_camera.matrix, demonstration.scene_from_camera[t], atol=1e-5
            )
            space = env.action_space
            np.testing.assert_allclose(action, np.clip(action, space.low, space.high), atol=1e-6)
            observation, reward, terminated, _, _ = env.step(action)
        assert terminated
        assert reward == demonstration.reward
        assert len(demonstration) <= EPISODE_STEPS[task]
    assert demonstrations[0].reward == 1


def test_views_come_from_all_around_with_the_experts_answers(
    tmp_path: Path, scenes: Path, tiny_scene: HandoverScene
) -> None:
    collect(settings(scenes, tmp_path / "data", initial_poses=1, views=40))
    (views,) = read_views(tmp_path / "data")
    assert len(views) == 40
    grasp = tiny_scene.grasp
    from_contact = views.scene_from_camera[:, :3, 3] - grasp.contact_scene
    away = np.linalg.norm(from_contact, axis=1)
    assert (away.min(), away.max()) == (pytest.approx(0.14, abs=0.03), pytest.approx(0.75, abs=0.06))
    off = angle_between(from_contact, -grasp.scene_from_grasp.rotation[:, 2])
    assert off.max() <= np.radians(90) + 1e-6
    assert off.max() > np.radians(75)
    assert off.min() < np.radians(15)
    labeller = Labeller()
    for pose, action, goal in zip(
        views.scene_from_camera, views.actions, views.camera_from_goal, strict=True
    ):
        expected, camera_from_goal = labeller(tiny_scene, SE3.from_matrix(pose))
        np.testing.assert_array_equal(action, expected)
        np.testing.assert_array_equal(goal, camera_from_goal.matrix)
    assert (views.masks[..., 0].any(axis=(1, 2))).mean() > 0.9


def test_settings_that_mean_nothing_are_told(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--initial-poses is 0"):
        settings(scenes, tmp_path, initial_poses=0)
    with pytest.raises(DatasetError, match="--trajectories-per-shard is 0"):
        settings(scenes, tmp_path, trajectories_per_shard=0)
    with pytest.raises(DatasetError, match="--hold is of --task reach"):
        settings(scenes, tmp_path, task="grasp", hold=3)
