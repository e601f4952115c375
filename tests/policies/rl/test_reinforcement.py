"""Reinforcement learning starts where the checkpoint stands, learns, and its file acts as what was learnt."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from h2rh_env.core.errors import CheckpointError, PolicyError
from h2rh_env.core.spaces import action_space, observation_space
from h2rh_env.envs.handover_vector import H2RHandoverVectorEnv
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.learned import HandoverPolicy
from policies.networks.checkpoints import save_checkpoint
from policies.networks.compact import CompactNetwork
from policies.registry import make_policy
from policies.rl.features import Recent, ResidualFeatures
from policies.rl.reinforcement import ReinforceConfig, reinforce, save_model
from policies.rl.residual import LEARNT, Residual, ResidualConfig
from policies.rl.sb3_env import Sb3VectorEnv


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, "compact", CompactNetwork(window=48, widths=(4, 4, 4, 4), hidden=8))
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, tiny_scene: HandoverScene) -> Path:
    tiny_scene.save(tmp_path_factory.mktemp("scenes") / "tiny")
    return tmp_path_factory.getbasetemp() / "scenes0"


@pytest.fixture(scope="module")
def frames(tiny_scene: HandoverScene) -> dict[str, np.ndarray]:
    observation, _ = H2RHandoverVectorEnv(4, scenes=tiny_scene).reset(seed=0)
    return observation


def cloned_action(checkpoint: Path, frames: dict[str, np.ndarray], row: int) -> np.ndarray:
    return HandoverPolicy.load(checkpoint).act({name: images[row] for name, images in frames.items()})


def sb3_env(scene: HandoverScene, residual: Residual, num_envs: int = 2) -> Sb3VectorEnv:
    return Sb3VectorEnv(H2RHandoverVectorEnv(num_envs, autoreset_mode="SameStep", scenes=scene), residual)


def test_adding_nothing_is_the_cloned_policy(checkpoint: Path, frames: dict[str, np.ndarray]) -> None:
    residual = Residual.load(checkpoint)
    features, base = residual.observe(frames)
    assert residual.observation_space.shape == features.shape[1:]
    expected = [cloned_action(checkpoint, frames, row) for row in range(4)]
    np.testing.assert_allclose(
        residual.combine(base, np.zeros((4, *residual.action_space.shape))), expected, atol=1e-5
    )


def test_what_is_added_is_bounded_and_stays_in_the_action_space(
    checkpoint: Path, frames: dict[str, np.ndarray]
) -> None:
    residual = Residual.load(checkpoint)
    _, base = residual.observe(frames)
    for sign in (1, -1):
        actions = residual.combine(base, np.tile([0, sign], (4, 1)))
        np.testing.assert_array_equal(actions[:, :6], base[:, 0, :6])
        assert (np.abs(actions[:, 6] - base[:, 0, 6]) <= ResidualConfig().most_score + 1e-6).all()
        assert all(action_space().contains(action) for action in actions)


def test_a_share_leads_to_the_action_for_an_object_that_moves(
    checkpoint: Path, frames: dict[str, np.ndarray]
) -> None:
    residual = Residual.load(checkpoint)
    _, base = residual.observe(frames)
    base[:, 1, 3:6] = base[:, 0, 3:6] + 0.01
    whole_way = np.tile([1 / ResidualConfig().most_share, 0], (4, 1))
    np.testing.assert_allclose(residual.combine(base, whole_way), base[:, 1], atol=1e-6)


def test_what_is_seen_of_a_frame_depends_on_the_frames_before_it_until_it_is_forgotten(
    checkpoint: Path, tiny_scene: HandoverScene
) -> None:
    residual = Residual.load(checkpoint)
    env = H2RHandoverVectorEnv(2, scenes=tiny_scene)
    first, _ = env.reset(seed=1)
    before, base = residual.observe(first)
    second, *_ = env.step(residual.combine(base, np.zeros((2, LEARNT))))
    after, _ = residual.observe(second)
    assert residual.observation_space.contains(after[0])
    residual.forget([1])
    again, _ = residual.observe({name: images[1:] for name, images in second.items()}, [1])
    assert np.abs(again[0] - after[1]).max() > 0
    residual.forget()
    np.testing.assert_array_equal(residual.observe(first)[0], before)


def test_from_scratch_the_whole_action_space_is_reached(frames: dict[str, np.ndarray]) -> None:
    residual = Residual()
    seen, base = residual.observe(frames)
    assert residual.observation_space == observation_space()
    np.testing.assert_array_equal(seen["rgb"], frames["rgb"])
    for sign, end in ((1, action_space().high), (-1, action_space().low)):
        np.testing.assert_allclose(residual.combine(base, sign * np.ones((4, 7)))[0], end, atol=1e-7)


def test_episodes_end_as_stable_baselines3_expects(checkpoint: Path, tiny_scene: HandoverScene) -> None:
    env = sb3_env(tiny_scene, Residual.load(checkpoint))
    env.seed(3)
    first = env.reset()
    assert first.shape == (2, *(env.observation_space.shape or ()))
    ended = []
    for _ in range(35):
        _, rewards, dones, infos = env.step(np.full((2, LEARNT), -1, np.float32))
        assert rewards.dtype == np.float32
        ended += [info for done, info in zip(dones, infos, strict=True) if done]
        assert all(not info for done, info in zip(dones, infos, strict=True) if not done)
    assert ended
    for info in ended:
        assert info["terminal_observation"].shape == env.observation_space.shape
        assert info["TimeLimit.truncated"] == (info["episode"]["l"] == 30)
        assert info["is_success"] == (info["episode"]["r"] == 1)
    env.seed(3)
    np.testing.assert_array_equal(env.reset(), first)


def test_stable_baselines3s_normalisation_works(tiny_scene: HandoverScene) -> None:
    env = VecNormalize(sb3_env(tiny_scene, Residual()), norm_obs=False, norm_reward=True)
    env.reset()
    for _ in range(31):
        _, rewards, dones, infos = env.step(np.zeros((2, 7), np.float32))
        assert np.isfinite(rewards).all()
        assert all(("terminal_observation" in info) == done for info, done in zip(infos, dones, strict=True))


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_a_learnt_model_is_a_policy_by_its_file(
    tmp_path: Path, checkpoint: Path, scenes: Path, frames: dict[str, np.ndarray], algo: str
) -> None:
    settings = ReinforceConfig(tmp_path, algo, checkpoint, scenes, "moving", steps=512, num_envs=4)  # type: ignore[arg-type]
    curve = reinforce(settings)
    assert [set(point) for point in curve][:1] == [{"steps", "success", "return"}]
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.zip",
        "curves.png",
        "curves.csv",
        "training.json",
    }
    policy = make_policy(str(tmp_path / "model.zip"))
    policy.reset(0)
    action = policy.act({name: images[0] for name, images in frames.items()})
    assert action_space().contains(action)
    cloned = cloned_action(checkpoint, frames, 0)
    np.testing.assert_allclose(
        action[:6], cloned[:6], atol=1e-5
    )  # at first, nothing tells how far the object is
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        weights = torch.load(io.BytesIO(archive.read("policy.pth")), weights_only=True)
    last = "action_net.bias" if algo == "ppo" else "actor.mu.bias"
    assert weights[last].abs().min() > 0, "nothing was learnt"


def test_the_file_acts_as_the_model(
    tmp_path: Path, checkpoint: Path, tiny_scene: HandoverScene, frames: dict[str, np.ndarray]
) -> None:
    for initial in (checkpoint, None):
        residual = Residual.load(checkpoint) if initial else Residual()
        name = "MlpPolicy" if initial else "MultiInputPolicy"
        model = PPO(
            name,
            sb3_env(tiny_scene, residual),
            seed=1,
            use_sde=bool(initial),
            policy_kwargs={"log_std_init": -1.0},
        )
        save_model(tmp_path / "model.zip", model, residual, initial)
        policy = make_policy(str(tmp_path / "model.zip"))
        seen, base = residual.observe(frames)
        expected = residual.combine(base, model.predict(seen, deterministic=True)[0])
        for i, action in enumerate(expected):
            policy.reset(0)
            acted = policy.act({name: images[i] for name, images in frames.items()})
            np.testing.assert_allclose(acted, action, atol=1e-5)


def test_the_same_seed_learns_the_same(tmp_path: Path, checkpoint: Path, scenes: Path) -> None:
    curves = [
        reinforce(ReinforceConfig(tmp_path / name, "ppo", checkpoint, scenes, steps=256, num_envs=4, seed=2))
        for name in "ab"
    ]
    assert curves[0] == curves[1]


def test_wrong_settings_say_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="--num-envs is 0"):
        ReinforceConfig(num_envs=0)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Residual.load(tmp_path)


def test_features_unpack_what_they_pack_in_the_order_of_their_fields() -> None:
    count = ResidualFeatures.count(earlier_frames=3)
    numbers = np.arange(2 * count, dtype=np.float32).reshape(2, count)
    features = ResidualFeatures.unpack(numbers)
    np.testing.assert_array_equal(features.pack(), numbers)
    np.testing.assert_array_equal(features.still_action[0], np.arange(7))
    assert (count, features.changes.shape) == (48, (2, 21))
    with pytest.raises(ValueError, match="log_distances has 3 numbers; it must have 2"):
        Recent(np.zeros(4), np.zeros(1), np.zeros(3)).pack()
