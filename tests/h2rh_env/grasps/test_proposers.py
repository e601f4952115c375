"""A scene is built with whichever grasps are named: a file's, in its frame, or a proposer's of the user's own."""

import json
from pathlib import Path

import numpy as np
import pytest

from h2rh_env import build
from h2rh_env.build import BuildConfig, build_scene
from h2rh_env.captures.base import HandoverCapture
from h2rh_env.core.errors import GraspError
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.grasps.proposers import GraspSource, propose
from h2rh_env.grasps.readers import CONTACT_GRASPNET_DEPTH_M, GraspFile
from h2rh_env.scenes.handover_scene import HandoverScene

PLUGIN = '''
from h2rh_env.grasps.antipodal import AntipodalProposer

class FewSeeds:
    """A proposer of one's own."""

    def propose(self, object_points_scene, rng):
        return AntipodalProposer(seeds=200).propose(object_points_scene, rng)

class Idle:
    pass

class Demanding(FewSeeds):
    def __init__(self, path):
        pass
'''


@pytest.fixture(scope="module")
def scene(capture: HandoverCapture) -> HandoverScene:
    return build_scene(capture, voxel_m=0.004)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_grasps.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    return "own_grasps"


def sampled(scene: HandoverScene) -> list[GraspCandidate]:
    return AntipodalProposer().propose(scene.object_points, np.random.default_rng(0))


def write_contact_graspnet(path: Path, candidates: list[GraspCandidate], source_from_scene: SE3) -> Path:
    """As Contact-GraspNet would have seen them from a frame: its origin lies its own depth behind the contact."""
    poses = []
    for candidate in candidates:
        rotation = candidate.scene_from_grasp.rotation
        origin = candidate.contact_scene - CONTACT_GRASPNET_DEPTH_M * rotation[:, 2]
        poses.append((source_from_scene @ SE3(rotation, origin)).matrix)
    np.savez(
        path,
        pred_grasps_cam=poses,
        scores=[c.score for c in candidates],
        gripper_openings=[c.width_m for c in candidates],
    )
    return path


def built(folder: Path, out: Path, source: GraspSource) -> HandoverScene:
    build.main(BuildConfig(folder, out, steps=0, voxel_m=0.004, grasp_source=source))
    return HandoverScene.load(out)


def check_same_grasp(one: HandoverScene, other: HandoverScene) -> None:
    a, b = one.grasp.scene_from_grasp, other.grasp.scene_from_grasp
    np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-3)
    np.testing.assert_allclose(a.translation, b.translation, atol=1e-3)


def test_a_cameras_grasps_give_the_scene_that_the_same_grasps_in_the_world_give(
    capture, folder, scene, tmp_path
):
    camera = capture.views[1]
    path = write_contact_graspnet(tmp_path / "seen.npz", sampled(scene), camera.world_from_camera.inverse())
    source = GraspSource(str(path), "contact_graspnet", grasp_camera=camera.name)
    made = built(folder, tmp_path / "scene", source)
    check_same_grasp(made, scene)
    assert made.grasp.graspable
    told = made.provenance["grasps"]
    assert (told["file"], told["format"], told["camera"]) == ("seen.npz", "contact_graspnet", camera.name)
    assert len(told["sha256"]) == 64


def test_a_matrix_on_disk_tells_any_other_frame(folder, scene, tmp_path):
    scene_from_mesh = SE3(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([0.3, -0.2, 0.9]))
    path = write_contact_graspnet(tmp_path / "mesh.npz", sampled(scene), scene_from_mesh.inverse())
    (tmp_path / "frame.json").write_text(json.dumps(scene_from_mesh.matrix.tolist()))
    source = GraspSource(str(path), "contact_graspnet", grasp_frame=tmp_path / "frame.json")
    made = built(folder, tmp_path / "scene", source)
    check_same_grasp(made, scene)
    np.testing.assert_allclose(made.provenance["grasps"]["scene_from_source"], scene_from_mesh.matrix)


def test_about_the_mean_only_the_cameras_axes_count(capture, scene, tmp_path):
    """What 6-DOF GraspNet sees: the object in the camera's axes, its mean taken away."""
    view = capture.views[2].world_from_camera
    mean = scene.object_points.mean(axis=0, dtype=np.float64)
    some = sampled(scene)[:20]
    centred_from_scene = SE3(view.rotation, mean).inverse()
    path = tmp_path / "grasps.npz"
    poses = [(centred_from_scene @ grasp.scene_from_grasp).matrix for grasp in some]
    np.savez(path, grasps=poses, scores=[grasp.score for grasp in some])
    found = GraspFile(path, "graspnet", view, about_mean=True).propose(
        scene.object_points, np.random.default_rng(0)
    )
    for grasp, expected in zip(found, some, strict=True):
        np.testing.assert_allclose(grasp.scene_from_grasp.matrix, expected.scene_from_grasp.matrix, atol=1e-6)


def test_grasps_in_the_wrong_frame_are_told_and_not_taken_for_a_bad_object(folder, scene, tmp_path):
    away = SE3(np.eye(3), np.array([0.0, 0.0, 3.0]))
    path = write_contact_graspnet(tmp_path / "seen.npz", sampled(scene), away)
    with pytest.raises(
        GraspError, match=r"nearest of the \d+ grasps .* would close 2\.\d\d m beside .*--grasp-camera"
    ):
        built(folder, tmp_path / "scene", GraspSource(str(path), "contact_graspnet"))
    assert not (tmp_path / "scene").exists()


def test_a_proposer_of_ones_own_is_found_in_the_working_directory(folder, plugin, tmp_path):
    made = built(folder, tmp_path / "scene", GraspSource(f"{plugin}:FewSeeds"))
    assert made.grasp.graspable
    assert made.provenance["grasps"] == {"proposer": f"{plugin}:FewSeeds"}


def test_where_no_proposed_grasp_is_safe_the_scene_counts_why(capture, scene):
    class IntoTheHand:
        def propose(self, object_points_scene, rng):
            hand = scene.hand_centre
            return [GraspCandidate(SE3(np.eye(3), hand), 0.05, 1.0) for _ in range(7)]

    made = build_scene(capture, voxel_m=0.004, proposer=IntoTheHand())
    assert not made.grasp.graspable
    assert made.provenance["grasp_faults"] == {"have the hand within the safety distance": 7}
    assert "of 7 grasps, 7 have the hand within" in build._line(made, Path("x"))


def test_what_is_wrong_with_a_source_is_said_at_once(capture, plugin, tmp_path):
    (tmp_path / "short.json").write_text("[[1, 0], [0, 1]]")
    np.save(tmp_path / "group.npy", np.zeros((3, 17)))
    file = str(tmp_path / "group.npy")
    for message, arguments in {
        "which method wrote": {"grasps": file},
        "name it with --grasps FILE": {"grasp_format": "acronym"},
        "give one": {
            "grasps": file, "grasp_format": "graspnet_1b", "grasp_camera": "a", "grasp_frame": tmp_path,
        },
    }.items():  # fmt: skip
        with pytest.raises(GraspError, match=message):
            GraspSource(**arguments)
    with pytest.raises(GraspError, match="belongs to one capture"):
        build.main(BuildConfig(synthetic=2, out=tmp_path, grasp_source=GraspSource(file, "graspnet_1b")))
    for message, source in {
        "no camera 'left'; it has": GraspSource(file, "graspnet_1b", "left"),
        "short.json is no frame": GraspSource(file, "graspnet_1b", grasp_frame=tmp_path / "short.json"),
        "grasp 0 is not a rotation": GraspSource(file, "graspnet_1b"),
        "No such file": GraspSource(str(tmp_path / "none.npz"), "graspnet"),
        "'none_such' of proposer of grasps": GraspSource("none_such:Class"),
        f"'{plugin}' has no 'Clas'": GraspSource(f"{plugin}:Clas"),
        "cannot be made without arguments": GraspSource(f"{plugin}:Demanding"),
        "it lacks propose": GraspSource(f"{plugin}:Idle"),
    }.items():
        with pytest.raises(GraspError, match=message):
            source.proposer(capture)


@pytest.mark.parametrize(
    ("proposed", "message"),
    [
        ([np.eye(4)], "proposes a ndarray as grasp 0; expected a GraspCandidate"),
        ([GraspCandidate(SE3.identity(), 0.05, 7.0)], r"score 7\.0 .*expected a score in \[0, 1\]"),
        ([GraspCandidate(SE3(np.eye(3), np.full(3, np.nan)), 0.05, 0.5)], "a finite pose"),
    ],
)
def test_what_a_proposer_may_not_propose_is_said(proposed, message):
    class Wrong:
        def propose(self, object_points_scene, rng):
            return proposed

    with pytest.raises(GraspError, match=f"Wrong.*{message}"):
        propose(Wrong(), np.zeros((100, 3), np.float32), 0)
