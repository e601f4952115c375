"""Grasps of other methods arrive with their fingertips and axes where those methods put them."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.errors import GraspError
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.grasps.readers import GraspFile, read_grasps

COUNT = 5
RNG = np.random.default_rng(0)
POSES = np.tile(np.eye(4), (COUNT, 1, 1))
POSES[:, :3, :3] = Rotation.random(COUNT, rng=RNG).as_matrix()
POSES[:, :3, 3] = RNG.normal(size=(COUNT, 3))
SCORES = np.array([0.9, 0.1, 0.5, 1.0, 0.0])


def write_acronym(path: Path) -> Path:
    if path.suffix == ".json":
        content = {"object": "mug.obj", "object_scale": 0.01, "transforms": POSES.tolist()}
        path.write_text(json.dumps(content | {"quality_flex_object_in_gripper": SCORES.tolist()}))
        return path
    with h5py.File(path, "w") as file:
        file["object/file"], file["object/scale"] = "mug.obj", 0.01
        file["grasps/transforms"] = POSES
        file["grasps/qualities/flex/object_in_gripper"] = SCORES
    return path


def write_contact_graspnet(path: Path, pickled: bool = False) -> Path:
    arrays = {"pred_grasps_cam": POSES, "scores": SCORES, "contact_pts": POSES[:, :3, 3]}
    if pickled:
        arrays = {name: np.array({-1: values}, object) for name, values in arrays.items()}
    np.savez(path, **arrays)
    return path


def write_graspnet_1b(path: Path) -> Path:
    """Score, width, height, depth, rotation, translation, object."""
    table = np.zeros((COUNT, 17))
    table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 16] = SCORES, 0.04, 0.02, 0.03, -1
    table[:, 4:13], table[:, 13:16] = POSES[:, :3, :3].reshape(COUNT, 9), POSES[:, :3, 3]
    np.save(path, table)
    return path


def check(candidates: list[GraspCandidate], closing: int, approach: int, depth_m: float) -> None:
    """That fingertips lie `depth_m` ahead of the origin along the approach, and the axes where they should."""
    assert len(candidates) == COUNT
    for candidate, pose, score in zip(candidates, POSES, SCORES, strict=True):
        axes = candidate.scene_from_grasp.rotation
        np.testing.assert_allclose(
            candidate.contact_scene, pose[:3, 3] + depth_m * pose[:3, approach], atol=1e-9
        )
        np.testing.assert_allclose(axes[:, 2], pose[:3, approach], atol=1e-9)
        assert abs(axes[:, 0] @ pose[:3, closing]) == pytest.approx(1)
        assert np.linalg.det(axes) == pytest.approx(1)
        assert axes[2, 1] <= 0, "the camera sees up as up"
        assert candidate.score == score


@pytest.mark.parametrize("suffix", [".h5", ".json"])
def test_acronym_and_6dof_graspnet_share_a_layout_but_not_the_fingers_length(tmp_path, suffix):
    path = write_acronym(tmp_path / f"Mug_0_0.01{suffix}")
    check(read_grasps(path, "acronym"), closing=0, approach=2, depth_m=0.11217)
    check(read_grasps(path, "graspnet"), closing=0, approach=2, depth_m=0.105)


def test_6dof_graspnets_frame_is_this_projects(tmp_path):
    np.savez(tmp_path / "grasps.npz", grasps=POSES, scores=SCORES)
    for candidate, pose in zip(read_grasps(tmp_path / "grasps.npz", "graspnet"), POSES, strict=True):
        np.testing.assert_allclose(candidate.scene_from_grasp.translation, pose[:3, 3], atol=1e-12)


def test_contact_graspnet(tmp_path):
    path = write_contact_graspnet(tmp_path / "predictions_7.npz")
    check(read_grasps(path, "contact_graspnet"), closing=0, approach=2, depth_m=0.1034)


def test_graspnet_1billion_approaches_along_x_and_closes_along_y(tmp_path):
    path = write_graspnet_1b(tmp_path / "0000.npy")
    candidates = read_grasps(path, "graspnet_1b")
    check(candidates, closing=1, approach=0, depth_m=0.03)
    assert {candidate.width_m for candidate in candidates} == {0.04}


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_grasps_move_with_the_frame_they_are_given_in(tmp_path_factory, seed):
    path = write_graspnet_1b(tmp_path_factory.mktemp("grasps") / "0000.npy")
    rng = np.random.default_rng(seed)
    scene_from_camera = SE3(Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))
    for here, there in zip(
        read_grasps(path, "graspnet_1b"), read_grasps(path, "graspnet_1b", scene_from_camera), strict=True
    ):
        np.testing.assert_allclose(
            there.contact_scene, scene_from_camera.apply(here.contact_scene), atol=1e-9
        )


def test_a_file_is_a_proposer_that_leaves_bad_grasps_out(tmp_path):
    proposer = GraspFile(write_graspnet_1b(tmp_path / "0000.npy"), "graspnet_1b", min_score=0.5)
    proposed = proposer.propose(POSES[:, :3, 3].astype(np.float32), np.random.default_rng(0))
    assert [candidate.score for candidate in proposed] == [0.9, 0.5, 1.0]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_eq_2_adds_the_mean_of_the_objects_points(tmp_path_factory, seed):
    path = write_contact_graspnet(tmp_path_factory.mktemp("grasps") / "centred.npz")
    rng = np.random.default_rng(seed)
    contacts = np.array([grasp.contact_scene for grasp in read_grasps(path, "contact_graspnet")])
    points = np.concatenate([contacts, -contacts]) + rng.normal(size=3)
    centred = GraspFile(path, "contact_graspnet", about_mean=True).propose(points, rng)
    for grasp, given_grasp in zip(centred, read_grasps(path, "contact_graspnet"), strict=True):
        shift = grasp.scene_from_grasp.translation - given_grasp.scene_from_grasp.translation
        np.testing.assert_allclose(shift, points.mean(axis=0), atol=1e-9)
        np.testing.assert_array_equal(grasp.scene_from_grasp.rotation, given_grasp.scene_from_grasp.rotation)


def test_a_pickled_file_is_not_opened_and_the_error_tells_how_to_convert_it(tmp_path):
    path = write_contact_graspnet(tmp_path / "predictions_7.npz", pickled=True)
    with pytest.raises(GraspError, match=r"is pickled.*convert it: python -c"):
        read_grasps(path, "contact_graspnet")
    archive = np.load(path, allow_pickle=True)
    np.savez(
        tmp_path / "converted.npz",
        **{k: np.concatenate(list(archive[k].item().values())) for k in ("pred_grasps_cam", "scores")},
    )
    assert len(read_grasps(tmp_path / "converted.npz", "contact_graspnet")) == COUNT


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(
        GraspError, match=r"no grasp format 'obman'; there are graspnet, acronym, contact_graspnet"
    ):
        read_grasps(tmp_path / "x", "obman")  # type: ignore[arg-type]
    with pytest.raises(GraspError, match="No such file"):
        read_grasps(tmp_path / "x.npy", "graspnet_1b")
    np.save(tmp_path / "wrong.npy", np.zeros((3, 7)))
    with pytest.raises(GraspError, match=r"\(N, 17\).*got \(3, 7\)"):
        read_grasps(tmp_path / "wrong.npy", "graspnet_1b")
    np.savez(tmp_path / "flat.npz", grasps=np.zeros((3, 4)), scores=np.zeros(3))
    with pytest.raises(GraspError, match=r"grasps are \(N, 4, 4\); got \(3, 4\)"):
        read_grasps(tmp_path / "flat.npz", "graspnet")
    np.savez(tmp_path / "zero.npz", grasps=np.zeros((3, 4, 4)), scores=np.zeros(3))
    with pytest.raises(GraspError, match="grasp 0 is not a rotation"):
        read_grasps(tmp_path / "zero.npz", "graspnet")
    np.savez(tmp_path / "short.npz", grasps=POSES, scores=np.zeros(2))
    with pytest.raises(GraspError, match="5 grasps but 2 scores"):
        read_grasps(tmp_path / "short.npz", "graspnet")
    (tmp_path / "cut.h5").write_bytes(write_acronym(tmp_path / "whole.h5").read_bytes()[:700])
    with pytest.raises(GraspError, match="cannot be read as acronym grasps"):
        read_grasps(tmp_path / "cut.h5", "acronym")
