from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from experts.collect import CollectConfig, collect, demonstrate
from experts.labels import Labeller
from experts.trajectory import remaining
from h2rh_env.core.action import decode_action
from h2rh_env.core.errors import DatasetError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.task import CLEARANCE_M, GRASP_SCORE_THRESHOLD, MAX_EPISODE_STEPS
from h2rh_env.datasets.minari import describe, read_demonstrations
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.scenes.handover_scene import HandoverScene


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, tiny_scene: HandoverScene) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    tiny_scene.save(folder / "tiny")
    return folder


def settings(scenes: Path, out: Path, **changes: int | float) -> CollectConfig:
    return CollectConfig(scenes, out, **({"initial_poses": 3, "noise": 0.5, "workers": 1} | changes))


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
    return [
        demonstration.actions.tobytes() + demonstration.rgb.tobytes()
        for demonstration in read_demonstrations(folder)
    ]


def test_workers_and_interruptions_do_not_change_the_result(
    tmp_path: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(settings(scenes, tmp_path / "one"))
    collect(settings(scenes, tmp_path / "two", workers=2))
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")

    from experts import collect as module

    whole = module._collect_one
    calls = []

    def interrupted(task: object) -> object:
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(task)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_collect_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        collect(settings(scenes, tmp_path / "cut"))
    monkeypatch.undo()
    collect(settings(scenes, tmp_path / "cut"))
    assert _contents(tmp_path / "one") == _contents(tmp_path / "cut")


def test_settings_that_mean_nothing_are_told(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--initial-poses is 0"):
        settings(scenes, tmp_path, initial_poses=0)
