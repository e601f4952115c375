"""The judge drives a declaration on, and leaves out what no gripper can hold."""

from dataclasses import replace

import numpy as np
import pytest

from experts.three_phase import ThreePhaseExpert
from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.benchmark.judge import HandoverConfig, Judge
from h2rh_env.contact.conditions import ContactConditions
from h2rh_env.core.episode import EpisodeRecord
from h2rh_env.core.errors import PolicyError
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.envs.drive_on import OVERLAP_M
from h2rh_env.perturbations.conditions import AS_RENDERED, Condition

from .test_evaluation import Declares, Stands


def judged(policy, scene, **options):
    return evaluate({"p": policy}, [scene], 1, 0, handover=HandoverConfig(**options))["p"][0].handover


def test_who_declares_is_driven_on_and_closed_and_who_does_not_is_not(tiny_scene):
    assert judged(Declares(), tiny_scene).advance_m == STANDOFF_M
    stands = judged(Stands(), tiny_scene)
    assert (stands.advance_m, stands.closed) == (None, False)
    assert stands.first_failure == "not closed in time"


def test_a_measured_advance_follows_what_is_seen_and_the_hand_eye_error(tiny_scene):
    pregrasp = tiny_scene.grasp.pregrasp().matrix[None]
    action, mask = np.zeros((1, 7), np.float32), np.zeros((2, 2), bool)
    record = EpisodeRecord("tiny", "", "p", 0, pregrasp, action, True, mask)
    judge = Judge(HandoverConfig("measured"), {})
    seen, again, misled = (
        judge(record, tiny_scene, condition).advance_m
        for condition in (AS_RENDERED, AS_RENDERED, Condition("hand_eye", 1.0))
    )
    surface_m = tiny_scene.object_clearance.distance(pregrasp[0, :3, 3])
    assert seen == again == pytest.approx(surface_m + OVERLAP_M - FINGERTIP_DEPTH_M, abs=0.005)
    assert misled != seen


def test_the_conditions_are_drawn_from_the_episodes_seed(tiny_scene):
    run = evaluate({"p": Declares(), "q": Declares()}, [tiny_scene], 2, 0)
    first, second = ([e.handover.friction for e in run[name]] for name in ("p", "q"))
    assert first == second
    assert first[0] != first[1]
    assert judged(Declares(), tiny_scene, conditions=ContactConditions.exact(0.4)).friction == 0.4


def test_a_scene_that_no_gripper_can_hold_is_not_judged(tiny_scene):
    wide = replace(tiny_scene, grasp=replace(tiny_scene.grasp, graspable=False))
    assert judged(Declares(), wide) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_contact_does_not_depend_on_the_number_of_processes(tiny_scene, workers):
    scenes = [tiny_scene, replace(tiny_scene, name="other")]
    run = evaluate({"p": Declares()}, scenes, 2, 0, workers=workers)["p"]
    assert [e.handover for e in run] == [e.handover for e in evaluate({"p": Declares()}, scenes, 2, 0)["p"]]


class Closes(Declares):
    """Closes the fingers where they are."""

    task = "grasp"


def test_who_closes_itself_is_not_driven_on_and_declares_no_pregrasp_pose(tiny_scene):
    (episode,) = evaluate({"p": Closes()}, [tiny_scene], 1, 0)["p"]
    assert (episode.task, episode.record.declared, episode.score.declared) == ("grasp", True, False)
    assert (episode.handover.closed, episode.handover.advance_m) == (True, None)
    assert episode.handover.first_failure == "closed on nothing"


def test_a_policy_of_an_unknown_task_is_told_the_known_ones(tiny_scene):
    class Throws(Declares):
        task = "throw"

    with pytest.raises(PolicyError, match="'throw'; known are reach, grasp"):
        evaluate({"p": Throws()}, [tiny_scene], 1, 0)


def test_the_expert_that_closes_itself_hands_over(tiny_scene):
    (episode,) = evaluate({"p": ThreePhaseExpert(task="grasp")}, [tiny_scene], 1, 0)["p"]
    assert episode.handover.advance_m is None
    assert episode.handover.grasp_distance_m < 0.002
    assert episode.handover.closed
