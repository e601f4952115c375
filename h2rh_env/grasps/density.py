"""Density: where good grasps are many, so that one grasp more or less does not decide.

The density at a grasp is the sum of exp(-cost) over all safe grasps, blurred by their distance to it in contact,
approach and closing axis. Its modes move little when a cloud is measured again; the cheapest single grasp jumps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.geometry import SE3, Array
from ..core.gripper import FINGERTIP_DEPTH_M

MAX_GRASPS = 1500  # only the cheapest ones count
BLUR_M = 0.02
BLUR_RAD = 0.45
SHIFTS = 4  # steps of mean shift
APART = float(np.exp(-4.5))  # modes are less near to each other than three blurs
SPREADS = (2.0, 1.0, 0.5)  # blurs between grasps that cover all, pass by pass


@dataclass(frozen=True, eq=False)
class Density:
    """The density of N grasps, which are ordered by cost, cheapest first.

    Attributes:
        rotations: Rotations (N, 3, 3), scene from grasp frame.
        contacts: Midpoints of the fingertips, (N, 3), m.
        weights: The weight exp(-cost) of each grasp, (N,).
    """

    rotations: Array
    contacts: Array
    weights: Array

    @classmethod
    def of(cls, rotations: Array, contacts: Array, costs: Array) -> Density:
        """Orders grasps by their costs (N,)."""
        order = np.lexsort((*contacts.T, costs))[:MAX_GRASPS]
        least = costs[order[0]] if len(order) else 0.0
        return cls(rotations[order], contacts[order], np.exp(least - costs[order]))

    def spread(self, apart_from: SE3 | None = None) -> Iterator[SE3]:
        """Yields grasps that cover all of them, coarsely first, then finer.

        At each fineness the cheapest grasp comes first, and none is nearer to an earlier one, or to `apart_from`.
        """
        near = np.zeros(len(self.weights)) if apart_from is None else self._nearness_to(apart_from)
        for least_distance in SPREADS:
            limit = np.exp(-0.5 * least_distance**2)
            while (near < limit).any():
                k = int(np.argmax(near < limit))  # the cheapest of those that are far enough away
                pose = _pose(self.rotations[k], self.contacts[k])
                near = np.maximum(near, self._nearness_to(pose))
                yield pose

    def modes(self, count: int) -> Iterator[SE3]:
        """Yields at most `count` modes, the densest first, each well apart from those before."""
        density = nearness(self.rotations, self.contacts, self.rotations, self.contacts) @ self.weights
        for _ in range(count):
            if not density.any():
                return
            densest = int(density.argmax())
            rotation, contact = self.rotations[densest], self.contacts[densest]
            for _ in range(SHIFTS):
                rotation, contact = self._mean_about(rotation, contact)
            mode = _pose(rotation, contact)
            yield mode
            density = np.where(self._nearness_to(mode) > APART, 0.0, density)
            density[densest] = 0.0

    def _nearness_to(self, pose: SE3) -> Array:
        """Returns the nearness (N,) of all grasps to a pose."""
        contact = pose.apply([0.0, 0.0, FINGERTIP_DEPTH_M])
        near: Array = nearness(pose.rotation[None], contact[None], self.rotations, self.contacts)[0]
        return near

    def _mean_about(self, rotation: Array, contact: Array) -> tuple[Array, Array]:
        """Returns the pose after one step of mean shift."""
        near = self._nearness_to(_pose(rotation, contact)) * self.weights
        near /= near.sum()
        same = np.sign(self.rotations[:, :, 0] @ rotation[:, 0])
        z = near @ self.rotations[:, :, 2]
        x = (near * same) @ self.rotations[:, :, 0]
        z /= np.linalg.norm(z)
        x -= (x @ z) * z
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z], axis=1), near @ self.contacts


def nearness(rotations: Array, contacts: Array, other_rotations: Array, other_contacts: Array) -> Array:
    """Returns values (K, N) in (0, 1]: 1 for the same grasp or its half turn, less the more two grasps differ.

    Args:
        rotations: Rotations (K, 3, 3), scene from grasp frame.
        contacts: Midpoints of the fingertips, (K, 3), m.
        other_rotations: Rotations (N, 3, 3).
        other_contacts: Midpoints (N, 3), m.
    """
    x, z = rotations[:, :, 0], rotations[:, :, 2]
    apart = (contacts**2).sum(axis=1)[:, None] + (other_contacts**2).sum(axis=1)
    apart = np.maximum(apart - 2 * contacts @ other_contacts.T, 0) / BLUR_M**2
    apart += 2 * (1 - z @ other_rotations[:, :, 2].T) / BLUR_RAD**2
    apart += (1 - (x @ other_rotations[:, :, 0].T) ** 2) / BLUR_RAD**2
    return np.asarray(np.exp(-0.5 * apart))


def _pose(rotation: Array, contact: Array) -> SE3:
    return SE3(rotation, contact - FINGERTIP_DEPTH_M * rotation[:, 2])
