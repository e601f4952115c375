"""The judge's data are its own: order, processes, and what policies do to what they are shown change no bit."""

from dataclasses import fields, replace

import numpy as np
import pytest

from h2rh_env.benchmark.evaluation import BENCHMARK_HANDOVER, evaluate
from h2rh_env.report.save import as_json, differences

from .test_evaluation import Remembers


class Fills(Remembers):
    """Acts as `Remembers` does, and then fills everything that it was ever shown, and its own actions."""

    def __init__(self, value):
        self.value = value

    def reset(self, seed):
        super().reset(seed)
        self.kept = []

    def act(self, observation):
        action = super().act(observation)
        self.kept += [*observation.values()]
        for array in self.kept:
            array[:] = self.value
        observation.clear()
        answer = action.copy()
        self.kept.append(answer)
        return answer


class Vandal(Fills):
    """Is shown the scene, and ruins it."""

    def observe_state(self, scene, scene_from_camera):
        scene_from_camera.translation[:] = self.value
        for item in fields(scene.gaussians):
            array = getattr(scene.gaussians, item.name)
            if isinstance(array, np.ndarray):
                array.flags.writeable = True
                array[:] = self.value
        scene.object_points[:] = scene.hand_points[:] = self.value
        scene.object_centre[:] = scene.hand_centre[:] = self.value
        scene.grasp.scene_from_grasp.translation[:] = self.value
        scene.clearance._points[:] = self.value
        object.__setattr__(scene, "name", "ruined")


def policies():
    return {
        "remembers": Remembers(), "ones": Fills(255), "noughts": Fills(0), "vandal": Vandal(1), "last": Remembers(),
    }  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tiny_scene):
    return [tiny_scene, replace(tiny_scene, name="other", hand_points=tiny_scene.hand_points[::2])]


def figures(episodes, policy):
    """All of a policy's figures, under a name that all share."""
    return as_json(
        {"policy": [replace(e, record=replace(e.record, policy="")) for e in episodes[policy]]}, {}
    )


def assert_equal_bits(drawn, scenes, wanted, handover):
    names = list(drawn.permutation(list(policies())))
    chosen = [name for name in names if drawn.random() < 0.7] or names[:1]
    run = evaluate({name: policies()[name] for name in chosen}, scenes, 1, 0, handover=handover)
    for name in chosen:
        assert differences(wanted, figures(run, name)) == [], (chosen, name)


@pytest.fixture(scope="module")
def wanted(scenes):
    """What an honest policy does alone, judged by contact too; the others act as it does."""
    return figures(evaluate({"remembers": Remembers()}, scenes, 1, 0), "remembers")


@pytest.fixture(scope="module")
def wanted_without_contact(scenes):
    return figures(evaluate({"remembers": Remembers()}, scenes, 1, 0, handover=None), "remembers")


def test_no_order_and_no_tampering_changes_a_bit(scenes, wanted):
    drawn = np.random.default_rng(0)
    for _ in range(4):
        assert_equal_bits(drawn, scenes, wanted, BENCHMARK_HANDOVER)


def test_several_processes_change_no_bit_under_tampering(scenes, wanted):
    run = evaluate(policies(), scenes, 1, 0, workers=2)
    for name in policies():
        assert differences(wanted, figures(run, name)) == [], name


@pytest.mark.nightly
def test_a_thousand_orders_with_tampering_change_no_bit(scenes, wanted, wanted_without_contact):
    drawn = np.random.default_rng(1)
    for i in range(1000):
        if i % 10:
            assert_equal_bits(drawn, scenes, wanted_without_contact, None)
        else:
            assert_equal_bits(drawn, scenes, wanted, BENCHMARK_HANDOVER)
