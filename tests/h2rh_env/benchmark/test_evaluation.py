"""Every policy meets the same starts; an episode depends on its own seed alone."""

import numpy as np
import pytest

from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.benchmark.rollout import Episode, episode_seed, replay, run_episode
from h2rh_env.core.errors import ActionError
from h2rh_env.core.task import MAX_EPISODE_STEPS
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.envs.metrics import score
from h2rh_env.perturbations.conditions import AS_RENDERED, Condition
from h2rh_env.report.save import as_json, differences


class Declares:
    """Declares at once."""

    def reset(self, seed):
        pass

    def act(self, observation):
        return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


class Stands(Declares):
    """Never moves, never declares."""

    def act(self, observation):
        return np.zeros(7, np.float32)


class SixNumbers(Declares):
    """Forgets the score."""

    def act(self, observation):
        return np.zeros(6, np.float32)


class Remembers(Declares):
    """Moves faster the longer it has gone on, by what it saw, and declares in the end."""

    def reset(self, seed):
        self.steps = 0

    def act(self, observation):
        self.steps += 1
        seen = observation["masks"][..., 0].mean() / 255
        return np.array([0, 0, seen, 0, 0, 0.002 * self.steps, self.steps > 8], np.float32)


class Privileged(Declares):
    """Counts how often it was shown the scene."""

    shown = 0

    def observe_state(self, scene, scene_from_camera):
        self.shown += 1


@pytest.fixture(scope="module")
def episodes(tiny_scene):
    return evaluate({"declares": Declares(), "stands": Stands()}, [tiny_scene], initial_poses=3, seed=4)


def test_policies_get_the_same_starts_and_different_ones_differ(episodes):
    first, second = ([e.record.scene_from_gripper[0] for e in episodes[p]] for p in ("declares", "stands"))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_seeds_depend_on_scene_and_start_alone():
    assert episode_seed(1, 2, 3) == episode_seed(1, 2, 3)
    seeds = {episode_seed(s, i, j) for s in range(3) for i in range(4) for j in range(5)}
    assert len(seeds) == 60


def test_an_episode_ends_by_declaring_or_after_thirty_steps(episodes):
    assert all(e.record.declared and len(e.record.actions) == 1 for e in episodes["declares"])
    assert all(not e.record.declared and e.score.steps == MAX_EPISODE_STEPS for e in episodes["stands"])


def test_only_a_privileged_policy_is_shown_the_scene(tiny_scene):
    policy = Privileged()
    evaluate({"privileged": policy}, [tiny_scene], initial_poses=2, seed=0)
    assert policy.shown == 2


def test_several_processes_give_the_figures_of_one(tiny_scene):
    policies = {"remembers": Remembers(), "declares": Declares()}
    conditions = (AS_RENDERED, Condition("noise", 0.5), Condition("hand_eye", 1.0), Condition("latency", 0.5))
    one, two = (
        evaluate(policies, [tiny_scene], 2, 0, seeds=2, conditions=conditions, workers=workers)
        for workers in (1, 2)
    )
    assert differences(as_json(one, {}), as_json(two, {})) == []
    assert [len(run) for run in one.values()] == [16, 16]


def test_an_episode_does_not_depend_on_those_before_it(tiny_scene):
    env, policy = H2RHandoverEnv(tiny_scene), Remembers()
    seeds = [episode_seed(0, 0, i) for i in range(3)]
    forth = {s: run_episode(env, policy, "p", "tiny", s, Condition("hand_eye", 1.0)) for s in seeds}
    back = {s: run_episode(env, policy, "p", "tiny", s, Condition("hand_eye", 1.0)) for s in reversed(seeds)}
    for seed in seeds:
        np.testing.assert_array_equal(forth[seed].scene_from_gripper, back[seed].scene_from_gripper)


def test_more_starts_or_seeds_keep_the_ones_there_were(tiny_scene):
    policies = {"declares": Declares()}
    few = evaluate(policies, [tiny_scene], 1, 5)["declares"]
    many = evaluate(policies, [tiny_scene], 2, 4, seeds=2)["declares"]
    assert [e.seed for e in many] == [4, 4, 5, 5]
    np.testing.assert_array_equal(many[2].record.scene_from_gripper, few[0].record.scene_from_gripper)


@pytest.mark.parametrize("condition", [AS_RENDERED, Condition("hand_eye", 1.0), Condition("blobs", 0.6)])
def test_a_replay_shows_what_the_policy_saw(tiny_scene, condition):
    class Keeps(Remembers):
        def reset(self, seed):
            super().reset(seed)
            self.seen = []

        def act(self, observation):
            self.seen.append(observation)
            return super().act(observation)

    env, policy = H2RHandoverEnv(tiny_scene), Keeps()
    record = run_episode(env, policy, "keeps", "tiny", 7, condition)
    shown = list(replay(env, Episode(record, score(record, tiny_scene), "tiny", 0, condition)))
    assert len(shown) == len(policy.seen) == len(record.scene_from_gripper)
    for a, b in zip(shown, policy.seen, strict=True):
        np.testing.assert_array_equal(a["rgb"], b["rgb"])


def test_of_several_policies_the_one_with_a_wrong_action_is_named(tiny_scene):
    with pytest.raises(ActionError, match=r"policy 'six': an action has shape \(7,\)"):
        evaluate({"stands": Stands(), "six": SixNumbers()}, [tiny_scene], 1, 0)
