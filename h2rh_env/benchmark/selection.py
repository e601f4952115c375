"""Selection: which of two checkpoints did better, by figures that do not saturate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..envs.handover_metrics import NEAR_M, NEAR_RAD
from .rollout import Episode


def checkpoint_quality(run: Sequence[Episode]) -> tuple[float, float]:
    """A value that is greater for the better checkpoint: what was handed over, then how near the goal is.

    Success at the pre-grasp pose is left out of it: a network without weights has nearly all of it.

    Args:
        run: episodes of one checkpoint from the initial poses that all checkpoints are given, judged by contact.

    Returns:
        The share that was handed over, and minus the mean distance to the nearest grasp in units of 5 mm and 3
        degrees; minus infinity for both if nothing was judged.
    """
    judged = [e.handover for e in run if e.handover is not None]
    if not judged:
        return -math.inf, -math.inf
    share = sum(h.handed_over for h in judged) / len(judged)
    errors = [h.grasp_distance_m / NEAR_M + h.grasp_angle_rad / NEAR_RAD for h in judged]
    return share, -sum(errors) / len(errors)
