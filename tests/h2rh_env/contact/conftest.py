"""A box held out in the air, grasps across it, a hand where a test wants one, and a judge of approaches to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from h2rh_env.captures.base import TrueShapes
from h2rh_env.contact.conditions import ContactConditions
from h2rh_env.contact.handover import HandoverOutcome, simulate_handover
from h2rh_env.contact.shapes import true_shape
from h2rh_env.core.geometry import SE3, uniform_directions
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M
from h2rh_env.scenes.contact_shape import ContactShape
from h2rh_env.scenes.handover_scene import HandoverScene

CENTRE = np.array([0.5, 0.3, 0.4])
BOX_M = (0.04, 0.06, 0.12)  # closed on along x, approached along y, upright along z
ROTATION = np.stack([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]], axis=1)  # the gripper looks along +y
HAND_RADIUS_M = 0.02
UPRIGHT = np.eye(3)


@pytest.fixture(scope="session")
def box_truth() -> Callable[..., TrueShapes]:
    """A box of a size and mass, turned and set about CENTRE, and a ball for a hand at an offset from there."""

    def make(
        size_m: tuple[float, float, float] = BOX_M,
        mass_kg: float | None = 0.3,
        hand_offset_m: tuple[float, float, float] | None = None,
        rotation: np.ndarray = UPRIGHT,
    ) -> TrueShapes:
        half = np.array(size_m) / 2
        normals = uniform_directions(np.random.default_rng(0), 0 if hand_offset_m is None else 300)
        hand = CENTRE + (hand_offset_m or (0, 0, 0)) + HAND_RADIUS_M * normals
        return TrueShapes(
            SE3(rotation, CENTRE),
            np.stack([-half, half]),
            lambda points: (np.abs(points) - half).max(axis=1),
            mass_kg,
            hand,
            normals,
            np.zeros((0, 3), np.int64),
        )

    return make


@pytest.fixture(scope="session")
def box(box_truth: Callable[..., TrueShapes]) -> Callable[..., ContactShape]:
    """The contact shape of a box."""
    return lambda *args, **options: true_shape(box_truth(*args, **options))


@pytest.fixture(scope="session")
def approach() -> Callable[..., list[SE3]]:
    """A straight path along +y over 0.3 m, to fingertips that overlap the box so far, aside and above its middle."""

    def path(
        overlap_m: float = 0.03, aside_m: float = 0.0, up_m: float = 0.0, length_m: float = 0.3
    ) -> list[SE3]:
        tips = CENTRE + [aside_m, -BOX_M[1] / 2 + overlap_m, up_m]
        end = tips - FINGERTIP_DEPTH_M * ROTATION[:, 2]
        return [SE3(ROTATION, end - length_m * ROTATION[:, 2]), SE3(ROTATION, end)]

    return path


@pytest.fixture(scope="session")
def judge(tiny_scene: HandoverScene) -> Callable[..., HandoverOutcome]:
    """What becomes of a shape and a path, exactly at a friction."""

    def outcome(
        shape: ContactShape, path: list[SE3], friction: float = 0.5, seed: int = 0, **options: Any
    ) -> HandoverOutcome:
        scene = replace(tiny_scene, contact_shape=shape)
        return simulate_handover(
            scene, path, seed, **{"conditions": ContactConditions.exact(friction)} | options
        )

    return outcome
