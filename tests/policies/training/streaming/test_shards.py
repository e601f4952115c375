import json
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from h2rh_env.core.errors import DatasetError, MissingPackageError
from policies.training.streaming.shards import INDEX, Store
from policies.training.streaming.stream import StreamConfig, open_frames

from .frames import frames_of_scenes, write

FRAMES = frames_of_scenes(23)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write(tmp_path / "frames", FRAMES, 2)


def content(address: str | Path, settings: StreamConfig | None = None) -> list[torch.Tensor]:
    batches = list(open_frames(address, settings or StreamConfig()).in_order())
    return [torch.cat(column) for column in zip(*batches, strict=True)]


@pytest.mark.parametrize("address", ["{folder}/frames", "memory://bucket/frames", "file://{folder}/frames"])
def test_frames_are_read_as_written_wherever_they_lie(tmp_path: Path, address: str) -> None:
    address = address.format(folder=tmp_path)
    write(address, FRAMES, 3)
    for ours, theirs in zip(content(address), FRAMES.at(torch.arange(len(FRAMES))), strict=True):
        assert torch.equal(ours, theirs)
    opened = open_frames(address, StreamConfig())
    assert opened.scenes == set(FRAMES.scenes)
    assert len(opened.of_scenes({"scene-4", "scene-0"})) == 8


def test_equal_frames_are_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name, FRAMES, 2).tidy()
    written = sorted((tmp_path / "a").iterdir())
    assert [path.name for path in written] == ["00000.json", "00000.tar", "00001.json", "00001.tar", INDEX]
    for path in written:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_webdataset_reads_a_shard_without_this_project(store: Store, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    samples = list(webdataset.WebDataset(str(tmp_path / "frames" / "00000.tar"), shardshuffle=False).decode())
    assert [sample["json"]["scene"] for sample in samples] == ["scene-0", "scene-1", "scene-2"]
    images = torch.cat([torch.from_numpy(sample["images.npy.gz"]) for sample in samples])
    assert torch.equal(images, FRAMES.images[: len(images)])
    with tarfile.open(tmp_path / "frames" / "00000.tar") as tar:
        assert len(tar.getnames()) == 5 * len(samples)


@pytest.mark.parametrize("name", ["images", "geometry", "actions", "goals"])
@pytest.mark.parametrize("part", ["header", "content", "checksum"])
def test_damage_is_told(store: Store, tmp_path: Path, name: str, part: str) -> None:
    tar = tmp_path / "frames" / "00000.tar"
    with tarfile.open(tar) as opened:
        member = opened.getmember(f"000001.{name}.npy.gz")
    place = {
        "header": member.offset, "content": member.offset_data + 40, "checksum": member.offset_data + member.size - 8
    }[part]  # fmt: skip
    damaged = bytearray(tar.read_bytes())
    damaged[place : place + 4] = bytes(byte ^ 0x5A for byte in damaged[place : place + 4])
    tar.write_bytes(damaged)
    with pytest.raises(DatasetError, match=r"00000.tar, frames from byte \d+, cannot be read"):
        content(store.address)
    tar.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"00000.tar.*prepare the frames again"):
        content(store.address)
    tar.unlink()
    with pytest.raises(DatasetError, match=r"00000.tar.*prepare the frames again"):
        content(store.address)


def test_no_more_is_unpacked_than_the_shard_says(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "frames" / "00000.json"
    said = json.loads(path.read_text())
    said["blocks"][0]["frames"] -= 1
    path.write_text(json.dumps(said))
    with pytest.raises(DatasetError, match=r"are not .* bytes, or cut off"):
        content(store.address)
    said["blocks"][0]["frames"] = 10**12
    path.write_text(json.dumps(said))
    with pytest.raises(DatasetError, match="more than 65536 frames"):
        content(store.address)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("h2rh-frames-1", "h2rh-frames-9", "schema"),
        ('"planned": 2', '"planned": 3', "2 of 3 shards"),
        ('"shapes"', '"shape"', "malformed"),
        ("{", "", "cannot be read"),
    ],
)
def test_frames_that_are_not_whole_are_told(
    store: Store, tmp_path: Path, before: str, after: str, told: str
) -> None:
    path = tmp_path / "frames" / INDEX
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(DatasetError, match=told):
        open_frames(store.address, StreamConfig())


def test_an_address_that_nothing_serves_is_told() -> None:
    with pytest.raises(DatasetError, match="no address of frames"):
        Store("nowhere://bucket/frames")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackageError, match=r"h2rh-env\[storage\]"):
        Store("s3://bucket/frames")
