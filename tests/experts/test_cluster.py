"""Collecting and preparing on a Ray cluster of two nodes, which one of them leaves."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from experts.collect import CollectConfig, collect_shards
from h2rh_env.datasets.manifest import MANIFEST
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.training.streaming.prepare import PrepareConfig, prepare


@pytest.mark.nightly
def test_two_nodes_of_which_one_is_lost_make_the_same_shards(
    tmp_path: Path, tiny_scene: HandoverScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    tiny_scene.save(tmp_path / "scenes" / "tiny")
    config = CollectConfig(
        tmp_path / "scenes", tmp_path / "here", initial_poses=8, views=2, workers=1, trajectories_per_shard=1
    )
    expected = collect_shards(config)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)

        def lose() -> None:
            while len(list((tmp_path / "there").glob("shard-*"))) < 3:
                time.sleep(0.05)
            cluster.remove_node(second, allow_graceful=False)

        loser = threading.Thread(target=lose)
        loser.start()
        collect_shards(replace(config, out=tmp_path / "there", workers=2, cluster="ray"))
        loser.join()
        assert len(expected.shards) == 8
        assert (tmp_path / "here" / MANIFEST).read_bytes() == (tmp_path / "there" / MANIFEST).read_bytes()
        frames = PrepareConfig(tmp_path / "there", str(tmp_path / "frames"), workers=2, cluster="ray")
        local = replace(frames, out=str(tmp_path / "local"), workers=1, cluster=None)
        assert prepare(frames) == prepare(local)
    finally:
        ray.shutdown()
        cluster.shutdown()
