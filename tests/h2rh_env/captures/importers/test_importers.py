"""Laws of the importers: a capture written in another tool's layout comes back as it was, and what lacks is said."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.captures.check import check
from h2rh_env.captures.folder import load_folder, problems
from h2rh_env.captures.images import resampled
from h2rh_env.captures.importers.__main__ import ImportConfig, import_capture
from h2rh_env.captures.importers.base import Imported
from h2rh_env.captures.importers.kinds import KINDS, options_of, recognise
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.errors import CaptureError, HandoverError
from h2rh_env.core.labels import Label

from . import layouts


@pytest.fixture(scope="session")
def small(capture: HandoverCapture) -> HandoverCapture:
    """The capture in a quarter of the resolution, which is read and written sixteen times as fast."""
    return retaken(capture, [view.camera.resized(160, 120) for view in capture.views])


@pytest.fixture(scope="session")
def moving(capture: HandoverCapture) -> HandoverCapture:
    """The same views as one camera that moves would have taken them: all with the first one's intrinsics."""
    return retaken(capture, [capture.views[0].camera.resized(160, 120)] * len(capture.views))


def retaken(capture: HandoverCapture, cameras: list[PinholeCamera]) -> HandoverCapture:
    views = [_retaken(view, camera) for view, camera in zip(capture.views, cameras, strict=True)]
    return replace(capture, views=tuple(views))


def _retaken(view: RgbdView, camera: PinholeCamera) -> RgbdView:
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    mine = view.camera
    columns, rows = np.meshgrid(x * mine.fx + mine.cx - 0.5, y * mine.fy + mine.cy - 0.5)
    images = (resampled(image, rows, columns, False) for image in (view.rgb, view.depth_m, view.labels))
    return RgbdView(view.name, camera, view.world_from_camera, *images)  # type: ignore[arg-type]


def imported(source: Path, **options) -> tuple[Imported, HandoverCapture]:
    out = source.parent / "imported"
    made = import_capture(ImportConfig(source, out, **options))
    return made, load_folder(out, needs_masks=False)


def assert_same(read: HandoverCapture, written: HandoverCapture, depth_m=6e-4, rgb=0, labels=True) -> None:
    """Equal within rounding: depth to half a count, colour to what JPEG loses."""
    assert len(read.views) == len(written.views)
    for a, b in zip(read.views, written.views, strict=True):
        assert np.allclose(a.camera.matrix, b.camera.matrix, atol=1e-6)
        assert np.allclose(a.world_from_camera.matrix, b.world_from_camera.matrix, atol=1e-6)
        assert np.abs(a.depth_m - b.depth_m).max() <= depth_m
        assert ((a.depth_m > 0) == (b.depth_m > 0)).all()
        assert np.abs(a.rgb.astype(int) - b.rgb).mean() <= rgb
        assert not labels or np.array_equal(a.labels, b.labels)


@pytest.mark.parametrize("shared", [False, True])
def test_nerfstudio(small, moving, tmp_path, shared):
    written = moving if shared else small
    made, read = imported(layouts.nerfstudio(written, tmp_path / "scan", shared=shared))
    assert_same(read, written)
    assert [view.name for view in read.views] == [view.name for view in written.views]
    assert not made.notes


def test_frames_lack_masks_and_each_is_asked_for(moving, tmp_path):
    made, read = imported(layouts.frames(moving, tmp_path / "seq-01"))
    assert_same(read, moving, labels=False)
    assert any("no masks" in note for note in made.notes)
    found = problems(tmp_path / "imported")
    assert len(found) == len(moving.views)
    assert all("make this mask" in problem for problem in found)


def test_tum_finds_depth_and_pose_by_their_times(moving, tmp_path):
    made, read = imported(layouts.tum(moving, tmp_path / "tum"), intrinsics=opencv(moving))
    assert_same(read, moving, depth_m=1.1e-4, labels=False)
    assert made.unmasked == {view.name for view in made.views}


def opencv(capture: HandoverCapture) -> tuple[float, float, float, float]:
    k = capture.views[0].camera.opencv_matrix
    return k[0, 0], k[1, 1], k[0, 2], k[1, 2]


def test_tum_leaves_out_what_has_no_partner_in_time(moving, tmp_path):
    source = layouts.tum(moving, tmp_path / "tum")
    depth = (source / "depth.txt").read_text().replace("1001.008", "1001.021")
    (source / "depth.txt").write_text(depth.replace("depth/1001.021", "depth/1001.008"))
    poses = (source / "groundtruth.txt").read_text().splitlines()
    (source / "groundtruth.txt").write_text(
        "\n".join(line for line in poses if not line.startswith("1002.005"))
    )
    made, read = imported(source, intrinsics=opencv(moving))
    assert [view.name for view in read.views] == ["1000.000000", "1003.000000", "1004.000000"]
    assert any("2 colour images" in note for note in made.notes)


def test_bop_by_the_poses_of_cameras(small, tmp_path):
    made, read = imported(layouts.bop(small, tmp_path / "000001"), object_id="5")
    assert_same(read, with_object_alone(small), depth_m=6e-5)
    assert any("no masks of hands" in note for note in made.notes)


def test_bop_by_the_poses_of_the_object(small, tmp_path):
    made, read = imported(layouts.bop(small, tmp_path / "000001", by_camera=False), object_id="5")
    views = zip(read.views, small.views, strict=True)
    object_from_world = [a.world_from_camera @ b.world_from_camera.inverse() for a, b in views]
    assert all(np.allclose(pose.matrix, object_from_world[0].matrix, atol=1e-9) for pose in object_from_world)
    assert any("whose frame is the world" in note for note in made.notes)


def with_object_alone(small: HandoverCapture) -> HandoverCapture:
    alone = (np.where(view.labels == Label.OBJECT, 1, 0).astype(np.uint8) for view in small.views)
    views = (replace(view, labels=labels) for view, labels in zip(small.views, alone, strict=True))
    return replace(small, views=tuple(views))


def test_ho_cap(small, tmp_path):
    made, read = imported(layouts.ho_cap(small, tmp_path), object_id="G01_2")
    assert_same(read, small, rgb=2)
    assert read.object_name == "G01_2"
    assert any("frame 1 of 2" in note for note in made.notes)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["nerfstudio", "frames", "tum", "ho-cap"])
def test_a_sound_capture_raises_no_doubt_after_its_import(capture, tmp_path, kind):
    whole = retaken(capture, [capture.views[0].camera] * 5) if kind in {"frames", "tum"} else capture
    options = {"tum": {"intrinsics": opencv(whole)}, "ho-cap": {"object_id": "G01_2"}}
    source = WRITERS[kind](whole, tmp_path / "source")
    made, read = imported(source, **options.get(kind, {}))
    out = source.parent / "imported"
    for view, name in zip(whole.views, (v.name for v in read.views), strict=True):
        if name in made.unmasked:
            layouts.save(view.labels, out / f"{name}_mask.png")
    assert check(out) == []


def test_ho_cap_without_labels_has_no_masks(small, tmp_path):
    made, read = imported(layouts.ho_cap(small, tmp_path), object_id="G01_2", frame=0)
    assert_same(read, small, rgb=2, labels=False)
    assert made.unmasked == {view.name for view in small.views}
    assert any("make their masks" in note for note in made.notes)


def test_a_lens_is_straightened(small, tmp_path):
    source = layouts.nerfstudio(replace(small, views=small.views[:1]), tmp_path / "scan")
    change(source, lambda frame: frame | {"k1": 0.12, "k2": -0.05, "p1": 0.001, "k3": 0.0})
    _, straight = imported(source)
    view, sound = straight.views[0], small.views[0]
    # A point that the distorting lens showed at (u, v) is where the pinhole has it.
    rows, columns = np.nonzero(view.labels == Label.OBJECT)
    c = sound.camera
    x, y = (columns.mean() + 0.5 - c.cx) / c.fx, (rows.mean() + 0.5 - c.cy) / c.fy
    r2 = x * x + y * y
    radial = 1 + 0.12 * r2 - 0.05 * r2**2
    seen = np.array([x * radial + 0.002 * x * y, y * radial + 0.001 * (r2 + 2 * y * y)])
    there = np.argwhere(sound.labels == Label.OBJECT)[:, ::-1].mean(0)
    assert np.allclose(seen * [c.fx, c.fy] + [c.cx - 0.5, c.cy - 0.5], there, atol=0.6)


def change(source: Path, of_frame) -> None:
    path = source / "transforms.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"frames": [of_frame(frame) for frame in meta["frames"]]}))


def test_nerfstudio_units_scale_and_npy(small, tmp_path):
    two = replace(small, views=small.views[:2])
    source = layouts.nerfstudio(two, tmp_path / "scan")
    for view in two.views:
        np.save(source / "depths" / f"{view.name}.npy", view.depth_m)

    def scaled(frame):
        frame["depth_file_path"] = frame["depth_file_path"].replace(".png", ".npy")
        for row in frame["transform_matrix"][:3]:
            row[3] *= 0.25
        return frame

    change(source, scaled)
    meta = json.loads((source / "transforms.json").read_text())
    meta |= {"applied_scale": 0.25, "depth_unit_scale_factor": 1.0}
    (source / "transforms.json").write_text(json.dumps(meta))
    _, read = imported(source)
    assert_same(read, two, depth_m=6e-5)


def test_masks_that_say_which_pixels_count_are_not_taken_for_labels(small, tmp_path):
    source = layouts.nerfstudio(small, tmp_path / "scan")
    for view in small.views:
        layouts.save(
            np.where(view.labels > 0, 255, 0).astype(np.uint8), source / "masks" / f"{view.name}.png"
        )
    made, read = imported(source)
    assert made.unmasked == {view.name for view in small.views}
    assert any("which pixels count" in note for note in made.notes)
    assert not any(view.labels.any() for view in read.views)


WRITERS = {
    "nerfstudio": layouts.nerfstudio,
    "frames": layouts.frames,
    "tum": layouts.tum,
    "bop": layouts.bop,
    "ho-cap": layouts.ho_cap,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_kind_is_recognised(small, tmp_path, kind):
    folder = tmp_path / "source"
    folder.mkdir()
    one = replace(small, views=small.views[:1])
    assert recognise(WRITERS[kind](one, folder)) == kind


def in_frames(damage):
    return lambda source: change(source, damage)


def in_file(name, damage):
    """Changes the values of a JSON or YAML file."""

    def spoil(source):
        path = next(path for path in (source / name, source.parent.parent / name) if path.is_file())
        write = json.dumps if path.suffix == ".json" else yaml.safe_dump
        path.write_text(write(damage(yaml.safe_load(path.read_text()))))

    return spoil


def in_first(name, **values):
    """Changes the first image's entry of a JSON file of BOP."""

    def damage(table):
        first = table["0"]
        return table | {"0": first | values if isinstance(first, dict) else [e | values for e in first]}

    return lambda source: (source / name).write_text(
        json.dumps(damage(json.loads((source / name).read_text())))
    )


def line(name, text):
    return lambda source: (source / name).write_text((source / name).read_text() + text + "\n")


FAULTS = {
    "fisheye": (
        "nerfstudio",
        in_frames(lambda f: f | {"camera_model": "OPENCV_FISHEYE"}),
        "undistort the images",
    ),
    "k4": ("nerfstudio", in_frames(lambda f: f | {"k4": 0.1}), "with k4"),
    "other size": ("nerfstudio", in_frames(lambda f: f | {"w": 1280, "h": 960}), "1280x960"),
    "no depth": (
        "nerfstudio",
        in_frames(lambda f: {k: v for k, v in f.items() if k[:5] != "depth"}),
        "no depth_fi",
    ),
    "outside": (
        "nerfstudio",
        in_frames(lambda f: f | {"file_path": "../../secret.png"}),
        "must lie in the folder",
    ),
    "no name": ("nerfstudio", in_frames(lambda f: f | {"file_path": None}), "must lie in the folder"),
    "mirror": (
        "nerfstudio",
        in_frames(lambda f: f | {"transform_matrix": np.diag([-1, 1, 1, 1]).tolist()}),
        "mirr",
    ),
    "word": ("nerfstudio", in_frames(lambda f: f | {"fl_x": "long"}), "fl_x is 'long'"),
    "metres a count": (
        "nerfstudio",
        in_file("transforms.json", lambda meta: meta | {"depth_unit_scale_factor": 1.0}),
        "give --depth-scale-m",
    ),
    "no frames": ("nerfstudio", in_file("transforms.json", lambda meta: meta | {"frames": []}), "no image"),
    "bop K": ("bop", in_first("scene_camera.json", cam_K=["a"] * 9), "K is"),
    "bop scale": ("bop", in_first("scene_camera.json", depth_scale=0), "depth_scale is 0"),
    "bop pose": ("bop", in_first("scene_camera.json", cam_t_w2c=[1]), "expected 9 and 3"),
    "bop turn": ("bop", in_first("scene_camera.json", cam_R_w2c=[2.0] * 9), "no rigid motion"),
    "bop object": (
        "bop",
        in_file("scene_gt.json", lambda _: {"0": [{"obj_id": "5"}]}),
        "annotates no object",
    ),
    "bop image": ("bop", in_file("scene_camera.json", lambda t: {"one": t["0"]}), "names the image 'one'"),
    "ho-cap matrix": (
        "ho-cap",
        in_file("calibration/extrinsics/extrinsics_20231014.yaml", lambda t: {"extrinsics": {"tag_1": [1]}}),
        "has no extrinsics of",
    ),
    "ho-cap cameras": ("ho-cap", in_file("meta.yaml", lambda m: m | {"realsense": 3}), "expected serials"),
    "ho-cap serial": (
        "ho-cap",
        in_file("meta.yaml", lambda m: m | {"realsense": m["realsense"] | {"serials": ["../x"]}}),
        "no extrinsics of ../x",
    ),
    "ho-cap frames": ("ho-cap", in_file("meta.yaml", lambda m: m | {"num_frames": "two"}), "num_frames"),
    "tum line": ("tum", line("rgb.txt", "1 2 3"), "expected: timestamp file"),
    "tum outside": ("tum", line("depth.txt", "1000.0 ../x.png"), "must lie in the folder"),
    "tum pose": ("tum", line("groundtruth.txt", "1000.1 0 0 0 0 0 0 0"), "expected: timestamp tx"),
    "frames pose": ("frames", line("frame-000000.pose.txt", "1 2 3"), "4x4"),
    "frames words": ("frames", line("frame-000000.pose.txt", "one"), "holds no pose"),
    "frames K": ("frames", lambda source: (source / "camera-intrinsics.txt").write_text("1 2"), "K is"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_source_is_refused_in_one_sentence_and_nothing_is_written(small, moving, tmp_path, fault):
    kind, damage, words = FAULTS[fault]
    written = replace(small, views=(moving if kind in {"tum", "frames"} else small).views[:2])
    folder = tmp_path / "source"
    folder.mkdir()
    source = WRITERS[kind](written, folder)
    damage(source)
    options = {
        "tum": {"intrinsics": opencv(written)},
        "ho-cap": {"object_id": "G01_2"},
        "bop": {"object_id": "5"},
    }
    with pytest.raises(CaptureError, match=words) as caught:
        imported(source, **options.get(kind, {}))
    assert "\n" not in str(caught.value)
    assert not (source.parent / "imported").exists()


def test_what_a_source_does_not_say_is_asked_for(small, moving, tmp_path):
    with pytest.raises(CaptureError, match=r"--object-id, one of 2, 5"):
        imported(layouts.bop(small, tmp_path / "bop"))
    with pytest.raises(CaptureError, match=r"has no object '7'.*one of 2, 5"):
        imported(tmp_path / "bop", object_id="7")
    with pytest.raises(CaptureError, match=r"--object-id, one of G01_1, G01_2"):
        imported(layouts.ho_cap(small, tmp_path))
    with pytest.raises(CaptureError, match="--intrinsics FX FY CX CY"):
        imported(layouts.tum(moving, tmp_path / "tum"))
    with pytest.raises(CaptureError, match=r"transforms\.json.*\.bag"):
        imported(tmp_path / "bop" / "rgb")
    with pytest.raises(CaptureError, match="there is no"):
        imported(tmp_path / "nowhere")


def test_an_option_that_a_kind_does_not_have_is_refused(small, tmp_path):
    source = layouts.nerfstudio(replace(small, views=small.views[:1]), tmp_path / "scan")
    with pytest.raises(HandoverError, match="--object-id has no effect on a source of kind nerfstudio"):
        imported(source, object_id="5")


def test_each_option_of_a_kind_is_one_of_the_command():
    names = set(ImportConfig.__dataclass_fields__)
    assert all(options_of(kind) <= names for kind in KINDS)


def test_some_of_many_images_are_taken_evenly(moving, tmp_path):
    made, read = imported(layouts.frames(moving, tmp_path / "seq"), views=3)
    assert [view.name for view in read.views] == ["frame-000000", "frame-000002", "frame-000004"]
    assert any("3 of 5 images" in note for note in made.notes)


def test_frames_without_a_pose_are_left_out(moving, tmp_path):
    source = layouts.frames(moving, tmp_path / "seq")
    np.savetxt(source / "frame-000001.pose.txt", np.full((4, 4), -np.inf))
    made, read = imported(source)
    assert len(read.views) == 4
    assert any("1 frames have no pose" in note for note in made.notes)


def test_the_command_says_what_lacks_and_overwrites_nothing(moving, tmp_path, monkeypatch, capsys):
    source = layouts.frames(replace(moving, views=moving.views[:1]), tmp_path / "seq")
    monkeypatch.setattr("sys.argv", ["import", str(source), "--out", str(tmp_path / "out")])
    runpy.run_module("h2rh_env.captures.importers", run_name="__main__", alter_sys=True)
    printed = capsys.readouterr().out
    assert "note: the source has no masks" in printed
    assert "1 views" in printed
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("h2rh_env.captures.importers", run_name="__main__", alter_sys=True)
    assert "exists and is not overwritten" in capsys.readouterr().err
