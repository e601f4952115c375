"""AntipodalProposer: grasps on opposite patches of a surface, blind to the hand.

A grasp is a closing axis through two patches that face each other under friction, and an approach direction around
that axis. The fingers reach in until the palm would touch or the tips pass the axis, or a little less deep; a grasp
whose open gripper would hit the object during the final approach is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..core.geometry import SE3, WORLD_UP, Array
from ..core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85, GripperGeometry, upright_half_turn
from .base import GraspCandidate
from .closing import CONE_COS, MIN_OVERLAP_M, MIN_SCORE, MIN_WIDTH_M, OPEN_GAP_M, close_on, least
from .surface import Surface

BATCH_PAIRS = 16
PARTNER_M = 0.006  # how far from the closing axis the facing point may lie
SAME_PATCH_M = 0.006  # facing points less far apart along the axis belong to one patch


@dataclass(frozen=True)
class AntipodalProposer:
    """Samples antipodal grasps on an object's points.

    Attributes:
        gripper: The gripper whose boxes must stay clear of the object.
        seeds: The greatest number of surface points through which closing axes are laid.
        approaches: The number of directions that are tried around each closing axis, evenly spaced.
        overreach_m: How far the fingertips pass the closing axis where the palm allows it, m.
        retreats_m: Reductions of that depth; each of them is tried, m.
    """

    gripper: GripperGeometry = ROBOTIQ_2F85
    seeds: int = 500
    approaches: int = 24
    overreach_m: float = 0.008
    retreats_m: tuple[float, ...] = (0.0, 0.012)

    def propose(
        self, object_points_scene: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> list[GraspCandidate]:
        """Returns grasps on the object given by points (P, 3), m; none where nothing fits between the fingers.

        Raises:
            GraspError: There are fewer than 100 points, or some that are not finite.
        """
        surface = Surface.from_points(object_points_scene)
        seeds = rng.permutation(len(surface.points))[: self.seeds]
        axes, middles = self._pairs(surface, np.sort(seeds))
        candidates: list[GraspCandidate] = []
        for first in range(0, len(axes), BATCH_PAIRS):
            batch = slice(first, first + BATCH_PAIRS)
            candidates += self._fit(surface, axes[batch], middles[batch])
        return candidates

    def _pairs(self, surface: Surface, seeds: npt.NDArray[np.integer]) -> tuple[Array, Array]:
        """Returns closing axes (K, 3) and the points midway between their two contacts (K, 3).

        Each seed is paired with the nearest facing patch on either side, such as a wall's other face, and with the
        farthest, such as the far side of a cup.
        """
        contacts = np.tile(surface.points[seeds], (2, 1))
        axes = np.concatenate([surface.normals[seeds], -surface.normals[seeds]])
        offsets = surface.points[None] - contacts[:, None]  # (S, M, 3)
        along = np.einsum("smi,si->sm", offsets, axes)
        across = np.sqrt(np.maximum(np.einsum("smi,smi->sm", offsets, offsets) - along**2, 0))
        facing = np.abs(axes @ surface.normals.T) > CONE_COS
        widest = self.gripper.max_width_m - 2 * OPEN_GAP_M
        opposite = facing & (across < PARTNER_M) & (along > MIN_WIDTH_M) & (along < widest)
        nearest, farthest = least(along, opposite), -least(-along, opposite)
        paired = np.isfinite(nearest)
        twice = paired & (farthest > nearest + SAME_PATCH_M)
        rows = np.concatenate([np.flatnonzero(twice), np.flatnonzero(paired)])
        widths = np.concatenate([nearest[twice], farthest[paired]])
        return axes[rows], contacts[rows] + 0.5 * widths[:, None] * axes[rows]

    def _fit(self, surface: Surface, axes: Array, middles: Array) -> list[GraspCandidate]:
        """Returns the grasps of K pairs, at A approaches and every depth, that touch only what they close on."""
        gripper, gap = self.gripper, OPEN_GAP_M
        approach, side = self._approaches(axes)  # (K, A, 3) each
        offsets = (surface.points[None] - middles[:, None]).astype(np.float32).transpose(0, 2, 1)  # (K, 3, M)
        x = axes.astype(np.float32)[:, None] @ offsets  # (K, 1, M)
        y, z = side.astype(np.float32) @ offsets, approach.astype(np.float32) @ offsets  # (K, A, M)
        out, breadth = np.abs(x), np.abs(y)
        half_open, half_breadth = gripper.max_width_m / 2, gripper.finger_breadth_m / 2

        at_palm = (out < gripper.palm_size_m[0] / 2 + gap) & (breadth < gripper.palm_size_m[1] / 2 + gap)
        at_fingers = (
            (breadth < half_breadth + gap)
            & (out > half_open - gap)
            & (out < half_open + gripper.finger_thickness_m + gap)
        )
        within = (breadth < half_breadth) & (out < half_open)
        deepest = np.minimum(self.overreach_m, least(z, at_palm) + gripper.finger_length_m - gap)
        obstacle, front = least(z, at_fingers), least(z, within)  # (K, A)

        found: list[GraspCandidate] = []
        for retreat in self.retreats_m:
            tip = deepest - retreat
            k, a = np.nonzero((obstacle > tip + gap) & (tip > front + MIN_OVERLAP_M))
            depth = tip[k, a][:, None] - z[k, a]
            closing = close_on(
                x[k, 0], axes[k] @ surface.normals.T, depth, within[k, a] & (depth > 0), gripper
            )
            tips = middles[k] + closing.middle_m[:, None] * axes[k] + tip[k, a][:, None] * approach[k, a]
            good = closing.score > MIN_SCORE
            k, a = k[good], a[good]
            found += map(
                _candidate, axes[k], approach[k, a], tips[good], closing.width_m[good], closing.score[good]
            )
        return found

    def _approaches(self, axes: Array) -> tuple[Array, Array]:
        """Returns approach directions and the directions across them, (K, A, 3) each, around closing axes (K, 3).

        They are counted from the direction nearest to gravity's, so that like objects get like grasps.
        """
        down = -WORLD_UP - (axes @ -WORLD_UP)[:, None] * axes
        level = np.linalg.norm(down, axis=1, keepdims=True) < 1e-6
        down = np.where(level, np.cross(axes, [0.0, 1.0, 0.0]), down)
        down /= np.linalg.norm(down, axis=1, keepdims=True)
        across = np.cross(down, axes)
        angles = 2 * np.pi * np.arange(self.approaches) / self.approaches
        cos, sin = np.cos(angles)[None, :, None], np.sin(angles)[None, :, None]
        approach = cos * down[:, None] + sin * across[:, None]
        return approach, np.cross(approach, axes[:, None])


def _candidate(axis: Array, approach: Array, tips: Array, width: float, score: float) -> GraspCandidate:
    rotation = np.stack([axis, np.cross(approach, axis), approach], axis=1)
    pose = SE3(rotation, tips - FINGERTIP_DEPTH_M * approach)
    return GraspCandidate(upright_half_turn(pose), float(width), float(score))
