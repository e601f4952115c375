"""Laws of what is drawn at random: shapes of household size with a true surface, hands, and where a hand ends."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2rh_env.captures.synthetic.objects.catalogue import make_object
from h2rh_env.captures.synthetic.objects.household import FAMILIES
from h2rh_env.captures.synthetic.objects.parts import ObjectModel, turned
from h2rh_env.captures.synthetic.person.giver import random_clothes
from h2rh_env.captures.synthetic.person.hand import FOREARM_M, Hand, Posture, random_hand
from h2rh_env.captures.synthetic.person.skin import Skin
from h2rh_env.captures.synthetic.sheet import HEIGHT, WIDTH, SheetConfig, main
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import SE3


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_has_household_sizes_and_true_surfaces(
    family: Callable[[np.random.Generator], ObjectModel],
) -> None:
    for seed in range(3):
        model = family(np.random.default_rng(seed))
        size = np.sort(model.bounds[1] - model.bounds[0])
        assert size[0] > 0.01
        assert 0.03 < size[2] < 0.34
        for part, mesh in zip(model.parts, model.meshes, strict=True):
            assert np.abs(part.placed.distance(mesh.vertices)).max() < 0.002
            colours = part.paint(mesh.vertices[::50], mesh.normals[::50])
            assert colours.min() >= 0
            assert colours.max() <= 1


def test_a_turned_thing_is_the_same_thing_elsewhere() -> None:
    model = make_object("scissors", np.random.default_rng(0))
    new_from_old = SE3(np.diag([1.0, -1, -1]), np.array([0.0, 0.1, 0.3]))
    points = np.random.default_rng(1).uniform(-0.1, 0.2, (300, 3))
    there = turned(model, new_from_old)
    assert np.allclose(there.distance(new_from_old.apply(points)), model.distance(points))
    assert there.bounds[1, 2] == pytest.approx(0.3 - model.bounds[0, 2], abs=1e-6)


def test_hands_differ_in_every_ratio_and_repeat() -> None:
    hands = [random_hand(np.random.default_rng(seed)) for seed in range(60)]
    assert hands[3] == random_hand(np.random.default_rng(3))
    assert {hand.side for hand in hands} == {1.0, -1.0}
    lengths = [hand.length_m for hand in hands]
    assert min(lengths) < 0.17
    assert max(lengths) > 0.2
    for name in ("girth", "finger_girth", "finger_stretch", "breadth", "spread"):
        assert np.ptp([getattr(hand, name) for hand in hands]) > 0.12


def test_finger_ratios_change_fingers_alone() -> None:
    posture = Posture(np.zeros((1, 4, 3)), np.ones((1, 3)))
    usual, other = Hand(), Hand(finger_girth=0.8, finger_stretch=1.1)
    assert np.allclose(other.fingers(posture).radii, 0.8 * usual.fingers(posture).radii)
    assert np.allclose(other.palm.radii, usual.palm.radii)
    reach = [np.ptp(hand.fingers(posture).ends[0, :3, 2]) for hand in (usual, other)]
    assert reach[1] == pytest.approx(1.1 * reach[0])


@pytest.mark.parametrize("bend", [(0.0, 0.0), (0.7, 0.2), (-0.7, -0.3)])
def test_up_the_arm_is_measured_from_the_wrist_to_the_elbow(bend: tuple[float, float]) -> None:
    skin = Skin(Hand(), Posture(np.full((1, 4, 3), 0.6), np.ones((1, 3))), bend)
    assert skin.up_the_arm(skin.elbow[None])[0] == pytest.approx(FOREARM_M, abs=0.05)
    fingers = skin.hand.fingers(skin.posture).ends[0]
    assert (skin.up_the_arm(fingers) < 0).all()


def test_labels_end_at_the_wrist_along_the_forearm_or_up_the_sleeve() -> None:
    ends = np.array([random_clothes(np.random.default_rng(seed)).labelled_m for seed in range(200)])
    shares = [(ends < 0.012).mean(), ((ends >= 0.012) & (ends < 0.07)).mean(), (ends >= 0.07).mean()]
    assert min(shares) > 0.15


def test_the_sheet_shows_every_capture_and_hides_the_last_background(tmp_path: Path) -> None:
    main(SheetConfig(("foam_brick",), tmp_path / "sheet.png", each=1, seed=4))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (HEIGHT, 4 * WIDTH, 3)
    masked = sheet[:, 3 * WIDTH :].sum(axis=2)
    assert 0.005 < (masked > 0).mean() < 0.6


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(CaptureError, match="each is 0"):
        SheetConfig(each=0)
