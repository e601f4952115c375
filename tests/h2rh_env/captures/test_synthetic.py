"""Laws of the capture generator: same seed same capture, hands that hold and never enter, truthful images."""

from pathlib import Path

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture
from h2rh_env.captures.dexycb import load_dexycb
from h2rh_env.captures.synthetic import solids
from h2rh_env.captures.synthetic.generate import generate_capture, stage
from h2rh_env.captures.synthetic.objects import household
from h2rh_env.captures.synthetic.objects.catalogue import ALL_NAMES, make_object
from h2rh_env.captures.synthetic.person.grip import close_on
from h2rh_env.captures.synthetic.person.hand import Hand, Posture
from h2rh_env.captures.synthetic.person.skin import Skin, pressed_out
from h2rh_env.captures.synthetic.solids import Lathe, Mesh, RoundedBox, Sculpture, filleted
from h2rh_env.captures.write_dexycb import write_dexycb
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.labels import Label

REAL_SIZES_M = {  # height, and the two others in descending order; YCB's data sheet
    "mustard_bottle": (0.190, 0.096, 0.058),
    "tomato_soup_can": (0.101, 0.066, 0.066),
    "potted_meat_can": (0.082, 0.097, 0.050),
    "gelatin_box": (0.073, 0.085, 0.028),
    "red_bowl": (0.053, 0.159, 0.159),
    "scissors": (0.200, 0.087, 0.014),
    "banana": (0.190, 0.060, 0.036),
    "power_drill": (0.184, 0.187, 0.057),
    "master_chef_can": (0.139, 0.102, 0.102),
    "cracker_box": (0.213, 0.160, 0.060),
    "screwdriver": (0.215, 0.031, 0.031),
}


@pytest.fixture(scope="module")
def capture() -> HandoverCapture:
    return generate_capture(7, "tomato_soup_can")


@pytest.fixture(
    scope="module", params=[(1, "mustard_bottle"), (2, "scissors"), (3, "random"), (4, "red_bowl")]
)
def scene(request: pytest.FixtureRequest):
    return stage(*request.param)


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum()) / 6


def test_same_seed_same_capture_other_seed_another(capture: HandoverCapture) -> None:
    again, other = generate_capture(7, "tomato_soup_can"), generate_capture(8, "tomato_soup_can")
    for a, b in zip(capture.views, again.views, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.depth_m, b.depth_m)
        assert np.array_equal(a.labels, b.labels)
    assert capture.provenance == again.provenance
    assert not np.array_equal(capture.views[0].rgb, other.views[0].rgb)


def test_every_camera_sees_the_workspace_and_most_see_object_and_hand(capture: HandoverCapture) -> None:
    assert len(capture.views) == 8
    assert capture.object_name == "tomato_soup_can"
    for label in (Label.OBJECT, Label.HAND):
        assert sum(int((view.labels == label).sum() > 300) for view in capture.views) >= 6
    assert all(0.5 < (view.depth_m > 0).mean() < 1 for view in capture.views)
    assert all(25 < view.rgb.mean() < 225 for view in capture.views)


def test_depth_agrees_with_the_object_where_it_is_labelled(capture: HandoverCapture) -> None:
    truth = stage(7, "tomato_soup_can")
    off = []
    for view in capture.views:
        on = (view.labels == Label.OBJECT) & (view.depth_m > 0)
        points = view.world_from_camera.apply(view.camera.unproject(view.depth_m)[on])
        off.append(truth.model.distance(truth.world_from_object.inverse().apply(points)))
    assert np.median(np.abs(np.concatenate(off))) < 0.003


def test_a_capture_survives_the_dexycb_layout(capture: HandoverCapture, tmp_path: Path) -> None:
    read = load_dexycb(write_dexycb(capture, tmp_path))
    assert read.object_name == capture.object_name
    for a, b in zip(capture.views, read.views, strict=True):
        assert np.array_equal(a.labels, b.labels)
        assert np.allclose(a.depth_m, b.depth_m, atol=1e-6)


def test_the_hand_touches_the_object_and_never_enters_it(scene) -> None:
    in_object = scene.world_from_object.inverse().apply(scene.hand_mesh.vertices)
    distance = scene.model.distance(in_object)
    assert distance.min() > -0.0005
    assert (distance < 0.004).sum() > 20


def test_room_is_left_for_a_gripper_and_nothing_touches_the_table(scene) -> None:
    hand = scene.hand_mesh.vertices[::5]
    surface = scene.object_mesh.vertices[:: max(1, len(scene.object_mesh.vertices) // 400)]
    free = np.linalg.norm(surface[:, None] - hand, axis=2).min(axis=1) > 0.02
    assert free.mean() > 0.3
    assert min(scene.object_mesh.vertices[:, 2].min(), hand[:, 2].min()) > 0.02


@pytest.mark.parametrize("name", ALL_NAMES)
def test_objects_have_their_real_size_and_closed_outsides(name: str) -> None:
    model = make_object(name, np.random.default_rng(0))
    size = model.bounds[1] - model.bounds[0]
    assert 0.02 < size.max() < 0.26
    if name in REAL_SIZES_M:
        met = np.array([size[2], *sorted(size[:2], reverse=True)])
        assert np.abs(met - REAL_SIZES_M[name]).max() < 0.03
    for part, mesh in zip(model.parts, model.meshes, strict=True):
        assert volume(mesh) > 0
        assert np.abs(part.placed.distance(mesh.vertices)).max() < 0.002
        outside = mesh.vertices + 0.002 * mesh.normals
        assert (part.placed.distance(outside) > 0).mean() > 0.97


def test_random_objects_differ_and_repeat() -> None:
    def sizes(start: int) -> list[tuple[float, ...]]:
        models = [household.random_object(np.random.default_rng(start + k)) for k in range(12)]
        return [tuple((t.bounds[1] - t.bounds[0]).round(6)) for t in models]

    assert sizes(0) == sizes(0)
    assert len(set(sizes(0))) == 12


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("name", ["tomato_soup_can", "gelatin_box", "screwdriver"])
def test_either_hand_can_hold(name: str, side: float) -> None:
    model, rng = make_object(name, np.random.default_rng(3)), np.random.default_rng(3)
    hand = Hand(side)
    grip = close_on(model, hand, rng)
    centres, radii = hand.fingers(grip.posture).spheres()
    reach = model.distance(grip.object_from_hand.apply(centres[0].reshape(-1, 3))) - radii.ravel()
    assert reach.min() > -0.0005
    assert reach.min() < 0.006


def test_a_left_hand_mirrors_a_right_one() -> None:
    posture = Posture(np.full((1, 4, 3), 0.4), np.array([[1.2, 0.9, 0.6]]))
    right, left = (Hand(side).fingers(posture).ends[0] for side in (1.0, -1.0))
    assert np.allclose(right * [-1, 1, 1], left)


def test_flexing_moves_fingertips_towards_the_palm() -> None:
    hand = Hand()
    tips = [
        hand.fingers(Posture(np.full((1, 4, 3), a), np.ones((1, 3)))).ends[0, 2::3] for a in (0.0, 0.5, 1.0)
    ]
    assert (tips[1][:, 1] < tips[0][:, 1]).all()
    assert (tips[2][:, 2] < tips[1][:, 2]).all()


def test_flesh_gives_way() -> None:
    box = RoundedBox((0.1, 0.1, 0.1), 0.005)
    points = np.random.default_rng(0).uniform(-0.06, 0.06, (400, 3))
    shallow = points[(box.distance(points) > -0.01)]
    assert box.distance(pressed_out(shallow, box.distance)).min() > -1e-4


def test_skin_is_one_closed_outside() -> None:
    posture = Posture(np.full((1, 4, 3), 0.3), np.array([[1.2, 0.9, 0.6]]))
    mesh = Skin(Hand(), posture, (0.1, 0.0)).mesh(0.1)
    assert volume(mesh) > 2e-4
    assert len(mesh.vertices) > 5000


@pytest.mark.parametrize(
    "solid",
    [
        RoundedBox((0.04, 0.06, 0.1), 0.004),
        Lathe(filleted([(0, 0), (0.03, 0), (0.02, 0.1), (0, 0.1)], 0.004)),
        Lathe(filleted([(0, 0), (0.04, 0), (0.04, 0.1), (0, 0.1)], 0.004), (1.0, 0.6)),
        Sculpture(lambda p: np.linalg.norm(p, axis=1) - 0.04, np.array([[-0.045] * 3, [0.045] * 3])),
    ],
)
def test_distance_and_mesh_describe_one_surface(solid: solids.Solid) -> None:
    mesh = solid.mesh()
    assert np.abs(solid.distance(mesh.vertices)).max() < 0.001
    for shift in (-0.004, 0.004):
        assert np.abs(np.median(solid.distance(mesh.vertices + shift * mesh.normals)) - shift) < 0.001
    far = np.random.default_rng(0).uniform(-0.3, 0.3, (200, 3))
    nearest = np.linalg.norm(far[:, None] - mesh.vertices, axis=2).min(axis=1)
    assert (solid.distance(far) < nearest + 0.001).all()


@pytest.mark.parametrize(
    ("seed", "name", "words"), [(0, "unicorn", "no object is called"), (-1, None, "at least 0")]
)
def test_what_cannot_be_made_is_refused(seed: int, name: str | None, words: str) -> None:
    with pytest.raises(CaptureError, match=words):
        generate_capture(seed, name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [*ALL_NAMES, "random"])
def test_many_people_can_hold_everything(name: str) -> None:
    for seed in range(20):
        made = stage(1000 + seed, name)
        distance = made.model.distance(made.world_from_object.inverse().apply(made.hand_mesh.vertices))
        assert -0.0005 < distance.min() < 0.004
