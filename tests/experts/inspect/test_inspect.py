"""Statistics, preview and figure tell what the demonstrations are."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from experts.collect import CollectConfig, collect
from experts.inspect import figure, preview
from experts.inspect.initial_poses import InitialPoseConfig
from experts.inspect.initial_poses import main as count_tries
from experts.inspect.statistics import StatisticsConfig, phases_of, statistics
from experts.inspect.statistics import main as print_statistics
from experts.three_phase import Phase
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import DatasetError, SceneError
from h2rh_env.core.geometry import SE3
from h2rh_env.datasets.minari import DemonstrationWriter, describe, read_demonstrations
from h2rh_env.scenes.handover_scene import HandoverScene, load_scenes


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory, tiny_scene: HandoverScene) -> Path:
    folder = tmp_path_factory.mktemp("looking")
    tiny_scene.save(folder / "scenes" / "tiny")
    collect(CollectConfig(folder / "scenes", folder / "data", initial_poses=4, workers=1))
    return folder


def test_statistics_are_those_of_the_episodes(collected):
    found = statistics(collected / "data", load_scenes(collected / "scenes"))
    episodes = list(read_demonstrations(collected / "data"))
    assert found.frames.tolist() == [len(episode) for episode in episodes]
    assert found.positives == sum(int(episode.actions[:, 6].sum()) for episode in episodes)
    assert sum(found.phases.values()) == found.frames.sum()
    assert found.phases[Phase.AVOID] == 0
    for i, episode in enumerate(episodes):
        arrived = int(np.argmax(episode.actions[:, 6]))
        assert found.steps[i] == arrived
        assert found.clearance_m[i] == episode.clearance_m.min() > 0.1
        ends = episode.scene_from_camera[[0, arrived], :3, 3]
        assert found.length_m[i] >= np.linalg.norm(ends[1] - ends[0]) - 1e-9
        assert found.turn_rad[i] <= 0.12 * arrived + 1e-6
        assert found.object_share[i] == pytest.approx((episode.masks[..., 0] > 0).mean())


def test_the_command_prints_balance_and_phases(collected, capsys):
    print_statistics(StatisticsConfig(collected / "data", collected / "scenes"))
    output = capsys.readouterr().out
    assert f"{describe(collected / 'data').steps} frames" in output
    assert "Cls = 1 in" in output
    assert "settle" in output


def test_phases_need_the_scenes_that_the_data_come_from(collected, tmp_path, tiny_scene):
    with pytest.raises(DatasetError, match="'tiny' was changed since"):
        statistics(collected / "data", [tiny_scene])
    other = HandoverScene.load(collected / "scenes" / "tiny")
    object.__setattr__(other, "name", "other")
    with pytest.raises(DatasetError, match="'tiny' is not among them"):
        statistics(collected / "data", [other])
    DemonstrationWriter(tmp_path / "empty", HAND_EYE_CAMERA, {})
    with pytest.raises(DatasetError, match="holds no episode"):
        statistics(tmp_path / "empty")


def test_the_preview_shows_every_frame_of_the_episodes_picked(collected):
    settings = preview.PreviewConfig(
        collected / "data", collected / "scenes", collected / "preview.mp4", episodes=2
    )
    preview.main(settings)
    video = iio.imread(settings.out, plugin="FFMPEG")
    lengths = [len(episode) for episode in read_demonstrations(collected / "data")]
    assert video.shape == (lengths[0] + lengths[2], 3 * 168, 3 * 224, 3)


def test_the_axes_meet_where_the_fingers_will_close(collected):
    """The white dot lies where the contact is seen from the camera, and the phase has its colour."""
    (scene,) = load_scenes(collected / "scenes")
    episode = next(read_demonstrations(collected / "data"))
    phases = phases_of(episode, scene)
    for step in (0, len(episode) // 2):
        picture = np.asarray(preview.draw(episode, step, phases[step], HAND_EYE_CAMERA)).astype(int)
        contact = SE3.from_matrix(episode.scene_from_camera[step]).inverse().apply(scene.grasp.contact_scene)
        u = preview.SCALE * (HAND_EYE_CAMERA.fx * contact[0] / contact[2] + HAND_EYE_CAMERA.cx)
        v = preview.SCALE * (HAND_EYE_CAMERA.fy * contact[1] / contact[2] + HAND_EYE_CAMERA.cy)
        assert np.abs(picture[round(v), round(u)] - preview.INK).max() < 5
        caption = picture[-34:, :200].reshape(-1, 3)
        assert np.abs(caption - preview.PHASE_COLOURS[phases[step]]).max(axis=1).min() < 5


def test_the_figure_has_a_way_from_dark_red_to_yellow_for_every_start(collected, tmp_path):
    settings = figure.FigureConfig(collected / "scenes" / "tiny", tmp_path / "ways.png", initial_poses=3)
    figure.main(settings)
    picture = iio.imread(settings.out)[..., :3].astype(int)
    for colour in (figure.PATH(0.0), figure.PATH(1.0)):
        wanted = np.array([255 * c for c in colour[:3]])
        assert (np.abs(picture - wanted).max(axis=2) < 40).sum() > 20
    assert picture.shape[0] > 1000
    with pytest.raises(SceneError, match="--initial-poses is 0"):
        figure.FigureConfig(settings.scene, initial_poses=0)
    with pytest.raises(DatasetError, match="--fps is 0"):
        preview.PreviewConfig(settings.scene, settings.scene, fps=0)


def test_tries_for_initial_poses_are_counted_for_each_scene_and_in_all(tiny_scene, tmp_path, capsys):
    for name in ("a", "b"):
        replace(tiny_scene, name=name).save(tmp_path / name)
    count_tries(InitialPoseConfig(tmp_path, initial_poses=5))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    tried = {row[1]: int(row[3]) for row in rows}
    assert set(tried) == {"a", "b", "all"}
    assert tried["all"] == tried["a"] + tried["b"]
    with pytest.raises(SceneError, match="--initial-poses is 0"):
        InitialPoseConfig(tmp_path, initial_poses=0)
