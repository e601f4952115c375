"""A checkpoint is chosen by what does not saturate."""

import math
from dataclasses import replace

from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.benchmark.selection import checkpoint_quality

from .test_evaluation import Declares


def test_handed_over_comes_first_and_then_the_goals_error(tiny_scene):
    (episode,) = evaluate({"p": Declares()}, [tiny_scene], 1, 0)["p"]

    def quality(failure, distance_m):
        handover = replace(episode.handover, first_failure=failure, grasp_distance_m=distance_m)
        return checkpoint_quality([replace(episode, handover=handover)])

    assert quality(None, 0.09) > quality("closed on nothing", 0.01)
    assert quality("closed on nothing", 0.01) > quality("closed on nothing", 0.02)


def test_success_at_the_pregrasp_pose_counts_for_nothing(tiny_scene):
    (episode,) = evaluate({"p": Declares()}, [tiny_scene], 1, 0)["p"]
    lucky = replace(episode, score=replace(episode.score, first_failure=None))
    assert checkpoint_quality([lucky]) == checkpoint_quality([episode])


def test_nothing_judged_is_the_worst():
    assert checkpoint_quality([]) == (-math.inf, -math.inf)
