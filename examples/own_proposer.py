"""Your own grasp proposer, here a simple one: it grasps the object across its longest axis, from all sides.

    python -m h2rh_env.build my_capture --out scenes/mine --grasps examples.own_proposer:AcrossTheLongAxis

A proposer does not see the hand. Which grasps are safe for it is decided afterwards, in the same way for every
proposer.
"""

import numpy as np

from h2rh_env import ROBOTIQ_2F85, SE3, GraspCandidate
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M

HEIGHTS, TURNS = 24, 36  # places along the axis, and directions to come from at each
SLICE_M = 0.01


class AcrossTheLongAxis:
    """One method makes a proposer. Yours might call a network in it."""

    def propose(self, object_points_scene, rng):
        """Returns candidates for points (P, 3), m, each with the width to close on (m) and a score in [0, 1]."""
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
        """Returns a grasp: x is the closing direction, z approaches, the origin is 0.105 m behind the fingertips."""
        approach = np.cross(closing, axis)
        spread = (ring - ring.mean(axis=0)) @ closing
        contact = ring.mean(axis=0) + (spread.max() + spread.min()) / 2 * closing
        rotation = np.stack([closing, np.cross(approach, closing), approach], axis=1)
        pose = SE3(rotation, contact - FINGERTIP_DEPTH_M * approach)
        return GraspCandidate(pose, float(np.ptp(spread)), float(1 - abs(off_middle)))
