"""Laws of the build command: what it writes, that it can be repeated, and what it says to a broken capture."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from h2rh_env import build
from h2rh_env.build import BuildConfig
from h2rh_env.captures.base import HandoverCapture
from h2rh_env.captures.folder import write_folder
from h2rh_env.captures.write_dexycb import write_dexycb
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.labels import Label
from h2rh_env.reconstruction import holdout
from h2rh_env.scenes.handover_scene import HandoverScene


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "mine"
    build.main(quick(folder, out))
    return out


def quick(folder: Path, out: Path) -> BuildConfig:
    """A build without contact, which takes most of the time and has laws of its own."""
    return BuildConfig(folder, out, steps=12, voxel_m=0.004, verify_grasps=False)


def test_a_scene_tells_how_it_was_made_and_can_be_made_again(folder: Path, tmp_path: Path) -> None:
    for out in ("a", "b"):
        build.main(quick(folder, tmp_path / out))
    a, b = (HandoverScene.load(tmp_path / out) for out in ("a", "b"))
    assert a.scene_hash == b.scene_hash
    assert a.provenance["settings"]["optimise"]["steps"] == 12
    assert {"capture", "settings", "version", "corrections"} <= set(a.provenance)
    assert not (tmp_path / "a" / build.CHECKPOINT).exists()


def test_a_build_names_what_is_doubtful(
    capture: HandoverCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = [replace(view, labels=(view.labels == Label.OBJECT).astype(np.uint8)) for view in capture.views]
    session = write_dexycb(replace(capture, views=tuple(bare)), tmp_path)
    build.main(replace(quick(session, tmp_path / "scene"), steps=0))
    assert "doubtful: no camera's labels mark a hand" in capsys.readouterr().out
    write_folder(capture, tmp_path / "sound")
    build.main(replace(quick(tmp_path / "sound", tmp_path / "other"), steps=0))
    assert "doubtful" not in capsys.readouterr().out


def test_points_are_those_of_the_gaussians(folder: Path, tmp_path: Path) -> None:
    build.main(quick(folder, tmp_path / "scene"))
    scene = HandoverScene.load(tmp_path / "scene")
    for points, label in ((scene.object_points, Label.OBJECT), (scene.hand_points, Label.HAND)):
        means = scene.gaussians.means[scene.gaussians.labels == label]
        gap = np.linalg.norm(points[::20, None] - means, axis=2).min(axis=1)
        assert len(points) > 0.8 * len(means)
        assert gap.max() < 0.001


def test_an_interrupted_build_continues(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h2rh_env.reconstruction.optimisation.optimise.SAVE_EVERY", 5)
    from h2rh_env.reconstruction.optimisation.optimise import Optimisation

    step = Optimisation.step
    done: list[int] = []

    def killed(self: Optimisation, k: int) -> tuple[float, float]:
        if k == 8 and 8 not in done:
            done.append(k)
            raise KeyboardInterrupt
        done.append(k)
        return step(self, k)

    monkeypatch.setattr(Optimisation, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        build.main(quick(folder, tmp_path / "broken"))
    build.main(quick(folder, tmp_path / "broken"))
    assert done == [*range(9), *range(5, 12)]
    build.main(quick(folder, tmp_path / "whole"))
    broken, whole = (HandoverScene.load(tmp_path / name) for name in ("broken", "whole"))
    assert broken.scene_hash == whole.scene_hash


def test_holding_out_writes_a_report_and_the_scene_carries_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(holdout, "COUNTS", (4,))
    build.main(replace(quick(folder, tmp_path / "scene"), holdout=True))
    report = json.loads((tmp_path / "scene" / "quality.json").read_text())
    assert [row["method"] for row in report["rows"]] == ["metric", "3dgs"]
    assert HandoverScene.load(tmp_path / "scene").provenance["held_out_quality"] == report["rows"]
    assert "| 4 | 1 | metric |" in capsys.readouterr().out
    assert (tmp_path / "scene" / "quality.png").is_file()


def test_invented_scenes_are_named_by_seed_and_not_optimised(tmp_path: Path) -> None:
    build.main(BuildConfig(out=tmp_path, synthetic=1, seed=3, objects=("mustard_bottle",), voxel_m=0.004))
    scene = HandoverScene.load(tmp_path / "mustard_bottle-00003")
    assert scene.name == "mustard_bottle-00003"
    assert "optimise" not in scene.provenance["settings"]


def test_nothing_to_build_from_is_refused() -> None:
    with pytest.raises(HandoverError, match="--synthetic"):
        build.main(BuildConfig())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without_pose(folder: Path) -> None:
    cameras = json.loads((folder / "cameras.json").read_text())["cameras"]
    cameras[0]["world_from_camera"][0][3] = float("nan")
    change_json(folder / "cameras.json", cameras=cameras)


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


PLAIN_FAULTS: dict[str, Callable[[Path], object]] = {
    "no folder": shutil.rmtree,
    "nothing inside": empty,
    "truncated colour": lambda f: truncate(next(f.glob("*rgb*"))),
    "truncated depth": lambda f: truncate(next(f.glob("*depth*"))),
    "truncated mask": lambda f: truncate(next(f.glob("*mask*"))),
    "missing depth": lambda f: os.unlink(next(f.glob("*depth*"))),
    "empty image": lambda f: next(f.glob("*rgb*")).write_bytes(b""),
    "colour as depth": lambda f: shutil.copy(next(f.glob("*rgb*")), next(f.glob("*depth*"))),
    "truncated cameras": lambda f: truncate(f / "cameras.json"),
    "no cameras": lambda f: change_json(f / "cameras.json", cameras=[]),
    "cameras of another kind": lambda f: change_json(f / "cameras.json", cameras="left"),
    "no depth scale": lambda f: change_json(f / "cameras.json", depth_scale_m=0),
    "another format": lambda f: change_json(f / "cameras.json", format="x"),
    "pose not finite": without_pose,
}


@pytest.mark.parametrize("fault", PLAIN_FAULTS)
def test_a_broken_folder_is_refused_in_one_sentence(folder: Path, tmp_path: Path, fault: str) -> None:
    broken = tmp_path / "capture"
    shutil.copytree(folder, broken)
    PLAIN_FAULTS[fault](broken)
    refused(broken, tmp_path / "scene")


DEXYCB_FAULTS: dict[str, Callable[[Path], object]] = {
    "truncated meta": lambda s: (s / "meta.yml").write_text("serials: ["),
    "missing meta": lambda s: (s / "meta.yml").unlink(),
    "truncated colour": lambda s: truncate(next(s.glob("*/color_*"))),
    "truncated depth": lambda s: truncate(next(s.glob("*/aligned_*"))),
    "truncated labels": lambda s: truncate(next(s.glob("*/labels_*"))),
    "missing labels": lambda s: next(s.glob("*/labels_*")).unlink(),
    "missing calibration": lambda s: shutil.rmtree(s.parent.parent / "calibration"),
    "broken extrinsics": lambda s: next(s.parent.parent.glob("calibration/ext*/*")).write_text("{}"),
    "extrinsics not finite": lambda s: next(s.parent.parent.glob("calibration/ext*/*")).write_text(
        f"extrinsics: {{apriltag: {[float('nan')] * 12}}}".replace("nan", ".nan")
    ),
    "depth of another size": lambda s: Image.fromarray(np.ones((48, 64), np.uint16)).save(
        next(s.glob("*/aligned_*"))
    ),
    "labels of another size": lambda s: np.savez(next(s.glob("*/labels_*")), seg=np.ones((48, 64), np.uint8)),
    "broken intrinsics": lambda s: next(s.parent.parent.glob("calibration/int*/*")).write_text("a: 1"),
}


@pytest.mark.parametrize("fault", DEXYCB_FAULTS)
def test_a_broken_session_is_refused_in_one_sentence(
    capture: HandoverCapture, tmp_path: Path, fault: str
) -> None:
    session = write_dexycb(replace(capture, views=capture.views[:1]), tmp_path / "root")
    DEXYCB_FAULTS[fault](session)
    refused(session, tmp_path / "scene")


@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
def test_a_mesh_cut_short_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"can.{kind}"
    trimesh.creation.icosphere(3, 0.04).export(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(HandoverError, match=file.name) as error:
        build.main(BuildConfig(out=tmp_path / "scenes", synthetic=1, objects=(str(file),)))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "scenes").exists()


@pytest.mark.parametrize("name", ["gaussians.ply", "points.npz", "scene.json"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_scene_cut_short_is_refused_in_one_sentence(
    built: Path, tmp_path: Path, name: str, keep: float
) -> None:
    broken = tmp_path / "scene"
    shutil.copytree(built, broken)
    content = (broken / name).read_bytes()
    (broken / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(HandoverError, match=name.replace(".", r"\.")) as error:
        HandoverScene.load(broken)
    assert "\n" not in str(error.value)


def test_depth_and_masks_that_say_nothing_are_refused(capture: HandoverCapture, tmp_path: Path) -> None:
    for name, change in (
        ("depth", lambda v: replace(v, depth_m=np.zeros_like(v.depth_m))),
        ("masks", lambda v: replace(v, labels=np.zeros_like(v.labels))),
    ):
        write_folder(replace(capture, views=tuple(map(change, capture.views))), tmp_path / name)
        refused(tmp_path / name, tmp_path / "scene")


def refused(capture: Path, out: Path) -> None:
    with pytest.raises(HandoverError) as error:
        build.main(quick(capture, out))
    assert "\n" not in str(error.value)
    assert 20 < len(str(error.value)) < 400
    assert not (out / "scene.json").exists()


def test_the_spacing_of_gaussians_has_one_default():
    from h2rh_env.reconstruction.initialisation.initialise import VOXEL_M
    from h2rh_env.reconstruction.optimisation.config import OPTIMISED_VOXEL_M, OptimiseConfig

    assert build.default_voxel_m(None) == build.default_voxel_m(OptimiseConfig(steps=0)) == VOXEL_M
    assert build.default_voxel_m(OptimiseConfig(steps=1)) == OPTIMISED_VOXEL_M < VOXEL_M
    assert build.BuildConfig().optimise_config().steps == 800
    assert build.BuildConfig(synthetic=1).optimise_config().steps == 0
