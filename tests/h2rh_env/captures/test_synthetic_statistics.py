"""What synthetic givers have in common: room to take the object, skin outside it, hands of all sizes and extents."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from h2rh_env.captures.synthetic.generate import Stage, stage
from h2rh_env.captures.synthetic.person.reach_directions import FAMILIES
from h2rh_env.captures.synthetic.solids import Mesh
from h2rh_env.core.errors import GraspError
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.selection import select_grasp

FREE_M = 0.02
OPENING_M = 0.085
SPACING_M = 0.0025


def spread(mesh: Mesh, rng: np.random.Generator, count: int = 8000) -> np.ndarray:
    """Points (P, 3) about evenly over a mesh, as a reconstruction gives them."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), count, p=area / area.sum())
    u, v = np.sort(rng.random((2, count)), axis=0)
    points = u[:, None] * a[face] + (v - u)[:, None] * b[face] + (1 - v)[:, None] * c[face]
    return points[np.unique((points / SPACING_M).round(), axis=0, return_index=True)[1]].astype(np.float32)


def measured(scene: Stage, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    surface, skin = spread(scene.object_mesh, rng), spread(scene.hand_mesh, rng)
    gap = cKDTree(skin).query(surface)[0]
    in_object = scene.world_from_object.inverse().apply(scene.hand_mesh.vertices)
    size = np.sort(scene.model.bounds[1] - scene.model.bounds[0])
    try:
        candidates = AntipodalProposer().propose(surface[gap > 0.004], rng)
        graspable = select_grasp(candidates, surface[gap > 0.004], skin).graspable
    except GraspError:
        graspable = False
    return {
        "free": (gap > FREE_M).mean(),
        "least_m": scene.model.distance(in_object).min(),
        "graspable": graspable,
        "narrow": size[1] < OPENING_M,
        "hand_m": np.ptp(skin, axis=0).max(),
        **scene.giver,
    }


@pytest.mark.nightly
def test_most_of_what_is_held_out_can_be_taken() -> None:
    rows = [measured(stage(5000 + k), k) for k in range(80)]
    free = np.array([row["free"] for row in rows])
    assert np.median(free) > 0.5
    assert (free > 0.35).mean() > 0.9
    assert min(row["least_m"] for row in rows) > -0.0005
    assert np.mean([row["graspable"] for row in rows if row["narrow"]]) >= 0.85
    assert set(Counter(row["grip"] for row in rows)) == set(FAMILIES)
    lengths = np.array([row["hand_length_m"] for row in rows])
    assert lengths.min() < 0.17
    assert lengths.max() > 0.2
    assert np.ptp([row["hand_m"] for row in rows]) > 0.1


def test_a_few_givers_leave_room_and_stay_outside() -> None:
    scenes = [stage(seed) for seed in range(4)]
    rows = [measured(scene, k) for k, scene in enumerate(scenes)]
    assert all(row["free"] > 0.2 and row["least_m"] > -0.0005 for row in rows)
    assert sum(row["graspable"] for row in rows) >= 2
