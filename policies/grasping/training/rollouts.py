"""Rollouts: a learner's own way in scenes to train on, labelled with the grasps that would do there (DAgger)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from h2rh_env.benchmark.rollout import run_episode
from h2rh_env.core.geometry import SE3
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.scenes.handover_scene import HandoverScene

from ..policy import GraspingPolicy
from .dataset import save_samples
from .samples import Sample, Sampling, sample_at

VISITED = 20  # samples of each episode, at most


@dataclass(frozen=True)
class RolloutJob:
    """Episodes of a checkpoint in one scene; all that a worker needs."""

    scene: Path
    checkpoint: Path
    out: Path
    episodes: int
    seed: int
    sampling: Sampling


def write_rollouts(job: RolloutJob) -> int:
    """Rolls out and writes samples of what was visited, unless that was done before; returns how many."""
    if job.out.exists():
        return 0
    torch.set_num_threads(1)
    scene, policy = HandoverScene.load(job.scene), GraspingPolicy.load(job.checkpoint)
    if not scene.acceptable_grasps:
        save_samples(job.out, [])
        return 0
    env = H2RHandoverEnv([scene], task="grasp")
    rng = np.random.default_rng(job.seed)
    found: list[Sample] = []
    for number in range(job.episodes):
        found += visited(scene, env, policy, job.seed + number, rng, job.sampling)
    save_samples(job.out, found)
    return len(found)


def visited(
    scene: HandoverScene, env: H2RHandoverEnv, policy: GraspingPolicy, seed: int, rng: np.random.Generator,
    sampling: Sampling,
) -> list[Sample]:  # fmt: skip
    """Samples at moments of one episode, with the frame before that the policy chose there."""
    record = run_episode(env, policy, "learner", scene, seed)
    poses = [SE3.from_matrix(pose) for pose in record.scene_from_gripper]
    places = {id(frame): i for i, frame in enumerate(policy.frames)}
    moments = rng.permutation(len(policy.frames))[:VISITED]
    found = []
    for now in sorted(moments):
        before = policy.earlier[now]
        earlier = None if before is None else poses[places[id(before)]]
        found.append(sample_at(scene, poses[now], earlier, rng, policy.network.inputs, sampling))
    return [sample for sample in found if sample is not None]
