"""Acceptable grasps come back from disk as they were, and a damaged file is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2rh_env.core.errors import SceneError
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.scenes.acceptable_grasps import read_grasps, write_grasps
from h2rh_env.scenes.handover_scene import GRASPS_FILE, HandoverScene


def drawn(count: int, seed: int = 0) -> tuple[GraspCandidate, ...]:
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(count, rng=rng).as_matrix().reshape(-1, 3, 3)
    return tuple(
        GraspCandidate(SE3(rotation, rng.normal(size=3)), float(rng.uniform(0, 0.08)), float(rng.uniform()))
        for rotation in rotations
    )


@given(count=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
def test_what_was_written_is_read(tmp_path_factory, count, seed):
    path, grasps = tmp_path_factory.mktemp("grasps") / "grasps.npz", drawn(count, seed)
    write_grasps(path, grasps)
    for before, after in zip(grasps, read_grasps(path), strict=True):
        np.testing.assert_array_equal(before.scene_from_grasp.matrix, after.scene_from_grasp.matrix)
        assert (before.width_m, before.score, after.graspable) == (after.width_m, after.score, True)


def test_a_scene_keeps_its_acceptable_grasps_and_its_hash_covers_them(tiny_scene, tmp_path):
    scene = replace(tiny_scene, acceptable_grasps=(tiny_scene.grasp, *drawn(3)))
    scene.save(tmp_path / "many")
    replace(scene, acceptable_grasps=()).save(tmp_path / "none")
    many, none = HandoverScene.load(tmp_path / "many"), HandoverScene.load(tmp_path / "none")
    assert len(many.acceptable_grasps) == 4
    assert none.acceptable_grasps == ()
    assert len({many.scene_hash, none.scene_hash}) == len({many.content_hash, none.content_hash}) == 2
    chosen, first = many.grasp.scene_from_grasp, many.acceptable_grasps[0].scene_from_grasp
    np.testing.assert_array_equal(chosen.matrix, first.matrix)


def test_saving_grasps_alone_leaves_splat_and_points_untouched(tiny_scene, tmp_path):
    tiny_scene.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace(tiny_scene, acceptable_grasps=drawn(5)).save_grasps(tmp_path)
    assert len(HandoverScene.load(tmp_path).acceptable_grasps) == 5
    for name in ("gaussians.ply", "points.npz"):
        assert (tmp_path / name).read_bytes() == before[name]
    tiny_scene.save_grasps(tmp_path)
    assert not (tmp_path / GRASPS_FILE).exists()


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "grasps.npz"
    write_grasps(path, drawn(8))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(SceneError, match=r"grasps\.npz"):
        read_grasps(path)


def test_arrays_that_do_not_fit_together_and_poses_that_are_none_are_refused(tmp_path: Path):
    path = tmp_path / "grasps.npz"
    eye = np.tile(np.eye(3, 4), (2, 1, 1))
    np.savez(path, scene_from_grasp=eye, width_m=np.zeros(3), score=np.zeros(2))
    with pytest.raises(SceneError, match=r"width_m is \(3,\); expected \(2,\)"):
        read_grasps(path)
    np.savez(path, scene_from_grasp=2 * eye, width_m=np.zeros(2), score=np.zeros(2))
    with pytest.raises(SceneError, match="a grasp is"):
        read_grasps(path)


def test_a_scene_whose_file_of_grasps_is_gone_is_refused(tiny_scene, tmp_path):
    replace(tiny_scene, acceptable_grasps=drawn(2)).save(tmp_path)
    (tmp_path / GRASPS_FILE).unlink()
    with pytest.raises(SceneError, match=GRASPS_FILE):
        HandoverScene.load(tmp_path)
