"""The chosen grasp closes across and holds in contact; so do the acceptable ones, and all of them spare the hand."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2rh_env.captures.base import TrueShapes
from h2rh_env.captures.synthetic.objects.catalogue import make_object
from h2rh_env.contact.handover import final_approach, simulate_handover
from h2rh_env.contact.shapes import true_shape
from h2rh_env.contact.verified_grasps import (
    HARDEST,
    Verification,
    VerifiedGrasps,
    choose_grasps,
    first_failure,
)
from h2rh_env.core.clearance import between_fingers, swept_hits
from h2rh_env.core.geometry import SE3, uniform_directions
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.scenes.contact_shape import ContactShape

Distance = Callable[[np.ndarray], np.ndarray]
CENTRE = np.array([0.5, 0.3, 0.4])
FEW = Verification((HARDEST,), draws=2, spread=5)


@dataclass(frozen=True)
class Held:
    """An object in the air, standing as it was made, with a ball for a hand below it."""

    points: np.ndarray
    hand: np.ndarray
    shape: ContactShape
    candidates: list[GraspCandidate]
    normals: Callable[[np.ndarray], np.ndarray]

    def chosen(self, verification: Verification | None) -> VerifiedGrasps:
        return choose_grasps(self.candidates, self.points, self.hand, self.shape, verification)


def surface_points(distance: Distance, bounds: np.ndarray, count: int = 8000) -> np.ndarray:
    """Points spread evenly over a surface: those of a box that lie near it, moved onto it."""
    rng = np.random.default_rng(0)
    points = rng.uniform(bounds[0] - 0.001, bounds[1] + 0.001, (400_000, 3))
    apart = distance(points)
    points = points[np.abs(apart) < 0.001][:count]
    return points - distance(points)[:, None] * gradients(distance, points)


def gradients(distance: Distance, points: np.ndarray) -> np.ndarray:
    """Outward normals (P, 3) near a surface."""
    gradient = np.stack([distance(points + e) - distance(points - e) for e in 1e-5 * np.eye(3)], axis=1)
    return gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)


def held(
    distance: Distance, bounds: np.ndarray, hand_offset: tuple[float, float, float], mass_kg: float
) -> Held:
    middle = bounds.mean(axis=0)
    normals = uniform_directions(np.random.default_rng(0), 2000)
    hand = CENTRE + np.array(hand_offset) + 0.02 * normals
    scene_from_object = SE3(np.eye(3), CENTRE - middle)
    truth = TrueShapes(
        scene_from_object, bounds, distance, mass_kg, hand, normals, np.zeros((0, 3), np.int64)
    )
    points = scene_from_object.apply(surface_points(distance, bounds))
    candidates = AntipodalProposer(seeds=150).propose(points.astype(np.float32), np.random.default_rng(0))

    def normals_scene(scene_points: np.ndarray) -> np.ndarray:
        return gradients(distance, scene_from_object.inverse().apply(scene_points))

    return Held(points, hand, true_shape(truth), candidates, normals_scene)


def box(*size: float) -> tuple[Distance, np.ndarray]:
    half = np.array(size) / 2
    return lambda p: (np.abs(p) - half).max(axis=1), np.stack([-half, half])


def thing(name: str) -> tuple[Distance, np.ndarray]:
    made = make_object(name, np.random.default_rng(0))
    return made.distance, made.bounds


def ball(radius: float) -> tuple[Distance, np.ndarray]:
    return lambda p: np.linalg.norm(p, axis=1) - radius, np.array([[-radius] * 3, [radius] * 3])


MAKERS = {
    "box": lambda: held(*box(0.06, 0.14, 0.18), (0, 0, -0.11), 0.4),
    "thin plate": lambda: held(*box(0.12, 0.006, 0.16), (0, 0, -0.1), 0.1),
    "bowl": lambda: held(*thing("red_bowl"), (0, 0.0, -0.06), 0.1),
    "scissors": lambda: held(*thing("scissors"), (0, 0, -0.12), 0.06),
    "sphere": lambda: held(*ball(0.03), (0, 0, -0.05), 0.1),
}
_made: dict[str, tuple[Held, VerifiedGrasps]] = {}


@pytest.fixture(params=MAKERS)
def found(request: pytest.FixtureRequest) -> tuple[str, Held, VerifiedGrasps]:
    """A kind of object, and what was chosen; each is made once."""
    name = request.param
    if name not in _made:
        made = MAKERS[name]()
        _made[name] = made, made.chosen(FEW)
    return name, *_made[name]


WIDEST_M = {"box": 0.06, "thin plate": 0.006, "bowl": 0.02, "scissors": 0.03, "sphere": 0.06}


def test_the_chosen_grasp_exists_and_closes_across_not_along(found):
    name, made, result = found
    grasp = result.grasp
    assert grasp.graspable, result.failures
    assert grasp.width_m < WIDEST_M[name] + 0.004
    axis = grasp.scene_from_grasp.rotation[:, 0]
    for side in (-1, 1):
        pad = grasp.contact_scene + side * (0.5 * grasp.width_m - 0.0005) * axis
        patch = made.points[np.linalg.norm(made.points - pad, axis=1) < 0.02]
        between = patch[between_fingers(grasp.scene_from_grasp.inverse().apply(patch))]
        outermost = between[np.argsort(-side * (between @ axis))[:10]]
        normals = made.normals(outermost)
        assert np.median(side * (normals @ axis)) > np.cos(np.radians(35))


def test_the_chosen_grasp_holds_under_the_hardest_conditions_and_is_acceptable(found):
    _, made, result = found
    assert result.acceptable[0] is result.grasp
    assert first_failure(made.shape, result.grasp, FEW.draws, [HARDEST]) is None


def test_acceptable_grasps_spare_the_hand_and_hold(found):
    _, made, result = found
    assert len(result.acceptable) > 1
    for grasp in result.acceptable:
        assert np.linalg.norm(made.hand - grasp.scene_from_grasp.translation, axis=1).min() > 0.1
        assert not swept_hits(made.hand, grasp.pregrasp(), 0.3).any()
        assert first_failure(made.shape, grasp, FEW.acceptable_draws, [HARDEST]) is None


def test_acceptable_grasps_differ(found):
    _, _, result = found
    for i, one in enumerate(result.acceptable):
        for other in result.acceptable[:i]:
            apart = np.linalg.norm(one.contact_scene - other.contact_scene)
            turn = Rotation.from_matrix(one.scene_from_grasp.rotation.T @ other.scene_from_grasp.rotation)
            assert apart > 0.003 or turn.magnitude() > np.radians(5)


def test_without_verification_a_heavy_bar_is_taken_where_it_slips():
    bar = held(*box(0.3, 0.05, 0.05), (-0.1, 0, -0.045), 0.8)
    by_geometry, verified = bar.chosen(None), bar.chosen(FEW)
    assert by_geometry.grasp.graspable
    assert by_geometry.acceptable == ()
    assert first_failure(bar.shape, by_geometry.grasp, 2, [HARDEST]) == "slipped or dropped"
    assert not verified.grasp.graspable or first_failure(bar.shape, verified.grasp, 2, [HARDEST]) is None
    assert verified.failures.get("slipped or dropped", 0) > 0


def test_the_same_scene_gets_the_same_grasps():
    made = MAKERS["sphere"]()
    one, other = (made.chosen(Verification((HARDEST,), draws=1, spread=2)).acceptable for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.scene_from_grasp.matrix, b.scene_from_grasp.matrix)


def test_a_ball_too_wide_is_not_graspable_and_the_provenance_says_why():
    made = held(*ball(0.05), (0, 0, -0.07), 0.3)
    result = made.chosen(FEW)
    assert not result.grasp.graspable
    assert result.acceptable == ()
    assert set(result.provenance()) == {"grasp_failures", "grasp_faults"}


def test_the_benchmarks_conditions_lie_within_what_was_verified():
    made, result = _made.setdefault("box", (m := MAKERS["box"](), m.chosen(FEW)))
    path = final_approach(result.grasp.pregrasp(), 0.3)
    assert all(simulate_handover(made.shape, path, seed).handed_over for seed in range(3))
