"""A grasp proposer of one's own, here a simple one: take the object across its longest axis, from all sides.

    python -m h2rh_env.build my_capture --out scenes/mine --grasps examples.own_proposer:AcrossTheLongAxis

It is blind to the hand: which grasps would harm it is decided afterwards, for everyone's grasps alike.
"""

import numpy as np

from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85
from h2rh_env.grasps.base import GraspCandidate

HEIGHTS, TURNS = 24, 36  # places along the axis, and directions to come from at each
SLICE_M = 0.01


class AcrossTheLongAxis:
    """One method makes a proposer. A network of yours would be called in it."""

    def propose(self, object_points_scene, rng):
        """Points (P, 3), m, to candidates, each with the width to close on (m) and a score in [0, 1]."""
        points = object_points_scene.astype(np.float64)
        centre = points.mean(axis=0)
        axis, across, _ = np.linalg.svd(points - centre, full_matrices=False)[2]
        across = np.array([across, np.cross(axis, across)])
        along = (points - centre) @ axis
        candidates = []
        for height in np.linspace(along.min(), along.max(), HEIGHTS):
            ring = points[np.abs(along - height) < SLICE_M]
            if len(ring) < 10:
                continue
            for angle in 2 * np.pi * np.arange(TURNS) / TURNS:
                closing = np.cos(angle) * across[0] + np.sin(angle) * across[1]
                candidates.append(self._grasp(ring, closing, axis, height / np.ptp(along)))
        return [candidate for candidate in candidates if candidate.width_m < ROBOTIQ_2F85.max_width_m]

    @staticmethod
    def _grasp(ring, closing, axis, off_middle):
        """The grasp frame: x closes, z approaches, its origin 0.105 m behind the fingertips' middle."""
        approach = np.cross(closing, axis)
        spread = (ring - ring.mean(axis=0)) @ closing
        contact = ring.mean(axis=0) + (spread.max() + spread.min()) / 2 * closing
        rotation = np.stack([closing, np.cross(approach, closing), approach], axis=1)
        pose = SE3(rotation, contact - FINGERTIP_DEPTH_M * approach)
        return GraspCandidate(pose, float(np.ptp(spread)), float(1 - abs(off_middle)))
