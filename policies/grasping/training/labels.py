"""Labels: all grasps of a scene that would do, as near to each other as contact can tell them apart.

A scene stores some dozens of grasps that contact said would hold, spread over a thousand that are as safe. A network
that is told of those dozens alone is told that the grasps between them are wrong. Here those between count too, where
those around them that were tried held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.grasps.closing import MIN_SCORE, closing_of
from h2rh_env.grasps.density import nearness
from h2rh_env.grasps.safety import judge
from h2rh_env.grasps.selection import SafeGrasps, safe_grasps
from h2rh_env.scenes.handover_scene import HandoverScene

MOST_TRIED = 200  # grasps of a scene that its build tried, at most
SAME_M = 1e-6  # between the contacts of a grasp that is stored and the one that was tried


class Grasps(NamedTuple):
    """Grasps in the scene's frame.

    Attributes:
        contact: (N, 3), m, midpoints of the fingertips. approach, closing: (N, 3) unit vectors; closing without sign.
    """

    contact: Array
    approach: Array
    closing: Array


@dataclass(frozen=True)
class Between:
    """Which grasps between those that were tried count.

    Attributes:
        nearness: least nearness to one that held, see `density.nearness`; the default is one and a half blurs.
        share: how much of those around must have held, each weighed by its nearness.
    """

    nearness: float = float(np.exp(-0.5 * 1.5**2))
    share: float = 0.75


def grasps_that_do(scene: HandoverScene, between: Between | None = Between()) -> Grasps:
    """The acceptable grasps of a scene, and those between them.

    Args:
        between: None for the acceptable ones alone.
    """
    held = scene.acceptable_grasps
    found = _rows(held)
    if between is None or not held or not len(scene.object_points):
        return found
    seed = int(scene.provenance.get("settings", {}).get("seed", 0))
    proposed = AntipodalProposer().propose(scene.object_points, np.random.default_rng(seed))
    safe = safe_grasps(proposed, scene.object_points, scene.hand_points)
    tried, holds = _tried(safe, held)
    near = nearness(safe.density.rotations, safe.density.contacts, *_poses(tried))
    share = (near @ holds) / np.maximum(near.sum(axis=1), 1e-12)
    counts = ((near * holds).max(axis=1) > between.nearness) & (share >= between.share)
    more = _closing(safe, safe.density.rotations[counts], safe.density.contacts[counts])
    return Grasps(*(np.concatenate(pair) for pair in zip(found, more, strict=True)))


def _tried(safe: SafeGrasps, held: tuple[GraspCandidate, ...]) -> tuple[list[GraspCandidate], Array]:
    """The grasps that the build tried up to the last one that held, in its order, and which of them held (T,).

    The first of `held` was chosen before any other was tried. In a scene whose grasps came from elsewhere, none of
    the others is found again, and only what held is known.
    """
    contacts = np.array([grasp.contact_scene for grasp in held])
    tried, holds, last = [held[0]], [True], 1
    for grasp in safe.others(held[0], MOST_TRIED):
        apart = np.linalg.norm(contacts - grasp.contact_scene, axis=1)
        alike = np.array(
            [g.scene_from_grasp.rotation[:, 2] @ grasp.scene_from_grasp.rotation[:, 2] for g in held]
        )
        tried.append(grasp)
        holds.append(bool(((apart < SAME_M) & (alike > 1 - SAME_M)).any()))
        if holds[-1]:
            last = len(tried)
        if sum(holds) == len(held):
            break
    return tried[:last], np.array(holds[:last], float)


def _closing(safe: SafeGrasps, rotations: Array, contacts: Array) -> Grasps:
    """Grasps with the fingers centred on what they close on, without those that close on little or are not safe."""
    objective = safe.objective
    situation, gripper = objective.situation, objective.gripper
    origins = contacts - FINGERTIP_DEPTH_M * rotations[:, :, 2]
    closing = closing_of(rotations, origins, situation.surface, gripper)
    shift = closing.middle_m[:, None] * rotations[:, :, 0]
    whole = situation.object_points, situation.hand_points
    faults = judge(rotations, origins + shift, *whole, objective.limits, objective.closes, gripper).faults
    good = (closing.score > MIN_SCORE) & (faults == 0)
    return Grasps((contacts + shift)[good], rotations[good, :, 2], rotations[good, :, 0])


def _rows(grasps: tuple[GraspCandidate, ...]) -> Grasps:
    rotations, contacts = _poses(grasps)
    return Grasps(contacts, rotations[:, :, 2], rotations[:, :, 0])


def _poses(grasps: tuple[GraspCandidate, ...] | list[GraspCandidate]) -> tuple[Array, Array]:
    """Rotations (N, 3, 3) and contacts (N, 3), m."""
    rotations = np.array([g.scene_from_grasp.rotation for g in grasps]).reshape(-1, 3, 3)
    return rotations, np.array([g.contact_scene for g in grasps]).reshape(-1, 3)


def in_frame(grasps: Grasps, frame_from_scene: SE3) -> Array:
    """(N, 9): contact, approach and closing in another frame."""
    turn = frame_from_scene.rotation.T
    return np.concatenate(
        [frame_from_scene.apply(grasps.contact), grasps.approach @ turn, grasps.closing @ turn], axis=1
    )
