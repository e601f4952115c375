"""The viewer shows a scene and steps through a report's episodes; what it serves is a page."""

import re
import socket
import sys
import urllib.request
from typing import Any

import numpy as np
import pytest

from h2rh_env import report
from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.core.camera import HAND_EYE_CAMERA
from h2rh_env.core.errors import HandoverError, MissingPackageError, install_line
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.scenes.handover_scene import HandoverScene
from h2rh_env.viewer.__main__ import ViewerConfig, serve
from h2rh_env.viewer.shapes import by_score, covariances, field_of_view, gripper_lines, placed


class Acts:
    def __init__(self, *action):
        self.action = np.array(action, np.float32)

    def reset(self, seed):
        pass

    def act(self, observation):
        return self.action


@pytest.fixture(scope="module")
def folders(tiny_scene, tmp_path_factory):
    """A scene's folder, and a report's of two policies in it."""
    root = tmp_path_factory.mktemp("viewer")
    tiny_scene.save(root / "scene")
    scene = HandoverScene.load(root / "scene")
    policies = {"declares": Acts(0, 0, 0, 0, 0, 0, 1), "ahead": Acts(0, 0, 0, 0, 0, 0.01, 0)}
    settings = {"scenes": str(root / "scene"), "suite": "scenes", "policy": list(policies)}
    report.save(root / "report", evaluate(policies, [scene], 2, 0), settings, H2RHandoverEnv(scene))
    return root / "scene", root / "report"


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def tree(server):
    return set(server.scene._handle_from_node_name)


def test_a_scene_is_served_with_splat_grasp_and_camera(folders, port):
    pytest.importorskip("viser")
    server = serve(ViewerConfig(folders[0], port=port))
    try:
        assert {"/splat", "/grasp", "/eye", "/eye/frustum"} <= tree(server)
        with urllib.request.urlopen(f"http://localhost:{server.get_port()}", timeout=10) as answer:
            assert b"<html" in answer.read().lower()
    finally:
        server.stop()


def test_layers_come_when_asked_for_and_an_episode_is_stepped_through(folders, port):
    pytest.importorskip("viser")
    from threading import RLock

    import viser

    from h2rh_env.rendering.select import make_rasteriser
    from h2rh_env.report.records import read_episodes
    from h2rh_env.viewer.episodes import EpisodePanel
    from h2rh_env.viewer.scene_view import LAYERS, SceneView

    scenes, episodes = [HandoverScene.load(folders[0])], read_episodes(folders[1])
    server = viser.ViserServer("localhost", port, verbose=False)
    try:
        lock = RLock()
        view = SceneView(server, scenes, make_rasteriser(), lock)
        for layer in LAYERS:
            box: Any = view._layers[layer]
            box.value = True
            view._toggle(layer)
        assert {"/points/object", "/points/hand", "/candidates/0", "/initial_poses/0"} <= tree(server)

        panel = EpisodePanel(server, view, H2RHandoverEnv(scenes), episodes, lock)
        panel.show(2)
        assert episodes[2].record.policy == "ahead"
        assert panel._step.max == 30
        panel._other.value = "declares"
        panel._draw()
        assert {"/episode/0/camera", "/episode/1/camera"} <= tree(server)
        names = {handle.name: handle.text for handle in panel._drawn if hasattr(handle, "text")}
        assert names == {"/episode/0/camera/policy": "ahead", "/episode/1/camera/policy": "declares"}
        panel._step.value = 7
        panel._move()
        np.testing.assert_allclose(panel._frusta[0].position, episodes[2].record.scene_from_gripper[7, :3, 3])
        np.testing.assert_allclose(panel._frusta[1].position, episodes[0].record.scene_from_gripper[0, :3, 3])
    finally:
        server.stop()


def test_an_episode_or_a_scene_that_is_not_there_is_named(folders, tiny_scene, tmp_path):
    with pytest.raises(HandoverError, match="has 0 to 3"):
        serve(ViewerConfig(report=folders[1], episode=4))
    tiny_scene.save(tmp_path)
    (tmp_path / "scene.json").write_text((tmp_path / "scene.json").read_text() + " ")
    with pytest.raises(HandoverError, match="was made in scene 'tiny'"):
        serve(ViewerConfig(tmp_path, report=folders[1]))


def test_without_viser_the_line_to_type_is_named(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingPackageError, match=re.escape(install_line("view"))):
        serve(ViewerConfig(folders[0]))


def test_a_covariance_has_the_squares_of_the_scales_along_its_axes(tiny_scene):
    found = covariances(tiny_scene.gaussians)
    variances = np.sort(np.exp(2 * tiny_scene.gaussians.log_scales.astype(np.float64)), axis=1)
    np.testing.assert_allclose(np.linalg.eigvalsh(found), variances, rtol=1e-6)
    np.testing.assert_allclose(found, found.transpose(0, 2, 1))


def test_a_pose_a_field_of_view_and_a_gripper_are_where_they_should_be(tiny_scene):
    from h2rh_env.core.geometry import rotation_from_wxyz

    pose = look_at([0.3, -0.2, 0.5], [0, 0, 0])
    np.testing.assert_allclose(rotation_from_wxyz(placed(pose)["wxyz"]), pose.rotation, atol=1e-12)
    field = field_of_view(HAND_EYE_CAMERA)
    top = HAND_EYE_CAMERA.project([0, -np.tan(field["fov"] / 2), 1.0])
    assert top[1] == pytest.approx(0, abs=1e-9)
    grasp = tiny_scene.grasp
    tips = gripper_lines(grasp.scene_from_grasp, grasp.width_m)[:2, 1]
    np.testing.assert_allclose(tips.mean(axis=0), grasp.contact_scene, atol=1e-12)
    assert np.linalg.norm(tips[1] - tips[0]) == pytest.approx(grasp.width_m)
    assert gripper_lines(SE3.identity(), 0.0).shape == (4, 2, 3)


def test_the_best_is_yellow_and_equals_are_alike():
    worst, best = by_score([0.1, 0.9])
    assert best[0] > 200 > worst[0]
    assert (by_score([0.5, 0.5])[0] == by_score([0.5, 0.5])[1]).all()
    assert len(by_score([])) == 0
