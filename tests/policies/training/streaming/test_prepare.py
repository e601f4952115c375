import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experts.collect import CollectConfig, collect, collect_shards
from h2rh_env.core.errors import DatasetError
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.networks.factory import make_network
from policies.training.dataset import load_frames
from policies.training.streaming import prepare as module
from policies.training.streaming.prepare import PrepareConfig, prepare
from policies.training.streaming.stream import StreamConfig, open_frames


@pytest.fixture(scope="module")
def data(tiny_scene: HandoverScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepare")
    tiny_scene.save(folder / "scenes" / "tiny")
    config = CollectConfig(folder / "scenes", folder / "one", initial_poses=3, views=0, workers=1)
    collect(config)
    collect_shards(replace(config, out=folder / "shards", trajectories_per_shard=2))
    return folder


@pytest.mark.parametrize(("name", "corruption"), [("one", 0.0), ("shards", 0.7)])
def test_frames_are_prepared_as_they_are_read_into_memory(
    data: Path, tmp_path: Path, name: str, corruption: float
) -> None:
    config = PrepareConfig(data / name, str(tmp_path), corruption=corruption, seed=3, workers=1)
    index = prepare(config)
    expected = load_frames(data / "one", make_network("compact"), corruption=corruption, seed=3)
    streamed = open_frames(tmp_path, StreamConfig())
    columns = zip(*streamed.in_order(), strict=True)
    for ours, theirs in zip(map(torch.cat, columns), expected.at(torch.arange(len(expected))), strict=True):
        assert torch.equal(ours, theirs)
    assert sum(said["frames"] for said in index.shards.values()) == len(expected) == len(streamed)
    assert len(index.shards) == (2 if name == "shards" else 1)


def test_an_interrupted_preparation_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PrepareConfig(data / "shards", str(tmp_path / "whole"), workers=1)
    prepare(config)
    cut, whole, calls = replace(config, out=str(tmp_path / "cut")), module.prepare_shard, []

    def interrupted(job: module.PrepareJob) -> object:
        calls.append(job.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(job)

    monkeypatch.setattr(module, "prepare_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(cut)
    with pytest.raises(DatasetError, match="1 of 2 shards"):
        open_frames(tmp_path / "cut", StreamConfig())
    prepare(cut)
    assert calls == ["00000", "00001", "00001"]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()


def test_what_cannot_be_prepared_is_told(data: Path, tmp_path: Path) -> None:
    config = PrepareConfig(data / "shards", str(tmp_path / "frames"), workers=1)
    prepare(config)
    with pytest.raises(DatasetError, match="other demonstrations, or for another network"):
        prepare(replace(config, corruption=0.5))
    shutil.copytree(data / "shards", tmp_path / "part")
    manifest = tmp_path / "part" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"planned": 2', '"planned": 3'))
    with pytest.raises(DatasetError, match="lacks 1 shards"):
        prepare(replace(config, dataset=tmp_path / "part", out=str(tmp_path / "other")))


@pytest.mark.nightly
def test_frames_are_prepared_into_and_streamed_from_object_storage(data: Path, tmp_path: Path) -> None:
    """On a server of its own that speaks S3."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        import fsspec

        fsspec.config.conf["s3"] = {
            "key": "test", "secret": "test", "endpoint_url": f"http://{host}:{port}"
        }  # fmt: skip
        s3fs.S3FileSystem(**fsspec.config.conf["s3"]).mkdir("bucket")
        prepare(PrepareConfig(data / "shards", "s3://bucket/frames", workers=1))
        prepare(PrepareConfig(data / "shards", str(tmp_path / "local"), workers=1))
        there, here = (open_frames(a, StreamConfig()) for a in ("s3://bucket/frames", tmp_path / "local"))
        for ours, theirs in zip(there.batches(8, 0, 0, 0), here.batches(8, 0, 0, 0), strict=True):
            assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    finally:
        server.stop()
