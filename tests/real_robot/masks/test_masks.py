"""Laws of the masks: views agree about one hand, depth gives what it holds, and what is lacking is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.captures.folder import load_folder, write_folder
from h2rh_env.captures.load import load_capture
from h2rh_env.captures.synthetic.objects.parts import Mesh
from h2rh_env.captures.synthetic.rendering.shading import Body, Lights, Studio
from h2rh_env.captures.synthetic.solids import merged
from h2rh_env.core.camera import HAND_EYE_CAMERA, PIXEL_CENTRE_PX
from h2rh_env.core.errors import CaptureError, RobotError, install_line
from h2rh_env.core.geometry import look_at
from h2rh_env.core.labels import Label
from real_robot.masks import __main__ as command
from real_robot.masks import estimate
from real_robot.masks.hand_3d import BONES, Hand3d, hand_in_3d
from real_robot.masks.hand_model import Hand, HandModel
from real_robot.masks.held import held_by
from real_robot.masks.outline import outlined

CAPTURES = Path(__file__).parents[3] / "../shared/captures/dexycb_like"
CENTRE = np.array([0.5, 0.2, 0.3])
FINGER_Y_M = np.array([-0.035, -0.012, 0.01, 0.03, 0.05])


def landmarks() -> np.ndarray:
    """An open hand along -x that lies on the face y-z of a box; the wrist at +x."""
    points = [np.array([0.09, 0.0, 0.0])]
    for y in FINGER_Y_M:
        points += [np.array([x, y, 0.0]) for x in (0.0, -0.03, -0.05, -0.07)]
    return np.array(points) + CENTRE


def box(low: np.ndarray, high: np.ndarray, side_m: float = 0.02) -> Mesh:
    import trimesh

    solid = trimesh.creation.box(bounds=np.array([low, high])).subdivide_to_size(side_m)
    normals = np.array(solid.vertex_normals)
    return Mesh(np.array(solid.vertices), normals, np.array(solid.faces))


def coloured(mesh: Mesh, srgb: tuple[float, float, float], label: int) -> Body:
    return Body(mesh, np.tile(srgb, (len(mesh.vertices), 1)), label=label)


@pytest.fixture(scope="module")
def capture() -> HandoverCapture:
    """A hand of sticks before a green box, an arm behind its wrist and a wall, seen by four cameras."""
    points, thick = landmarks(), 0.009
    sticks = [
        box(np.minimum(points[a], points[b]) - thick, np.maximum(points[a], points[b]) + thick)
        for a, b in BONES
    ]
    skin = (0.85, 0.6, 0.5)
    bodies = [
        coloured(
            box(np.array([-2.0, -2, -0.1]), np.array([3.0, 3, 0]), 2.0),
            (0.4, 0.4, 0.5),
            Label.BACKGROUND,
        ),
        coloured(merged(sticks), skin, Label.HAND),
        coloured(
            box(CENTRE + [-0.12, -0.03, -0.09], CENTRE + [-0.02, 0.045, -thick]),
            (0.1, 0.6, 0.2),
            Label.OBJECT,
        ),
        coloured(box(CENTRE + [0.13, -0.02, -0.02], CENTRE + [0.4, 0.02, 0.02]), skin, Label.BACKGROUND),
    ]
    lights = Lights(np.array([0.5, 0.0, 2.0]), 0.5, np.ones(3), 0.5 * np.ones(3))
    studio = Studio(bodies, lights, np.random.default_rng(0))
    views = []
    for k, away in enumerate(([-0.5, 0.1, 0.5], [-0.2, -0.6, 0.3], [-0.1, 0.6, 0.35], [0.2, -0.2, 0.7])):
        pose = look_at(CENTRE + np.array(away), CENTRE)
        picture = studio.picture(HAND_EYE_CAMERA, pose)
        rgb = (255 * np.clip(picture.linear, 0, 1) ** 0.45).astype(np.uint8)
        views.append(RgbdView(f"v{k}", HAND_EYE_CAMERA, pose, rgb, picture.depth_m, picture.labels))
    return HandoverCapture("sticks", tuple(views))


def seen(view: RgbdView, points: np.ndarray, noise_px: float = 0.0, seed: int = 0) -> Hand:
    pixels = view.camera.project(view.world_from_camera.inverse().apply(points)) - PIXEL_CENTRE_PX
    return Hand(pixels + np.random.default_rng(seed).normal(0, noise_px, pixels.shape), 1.0)


def test_views_agree_about_a_hand_in_spite_of_noise_and_false_ones(capture: HandoverCapture) -> None:
    false = Hand(np.random.default_rng(3).uniform(20, 150, (21, 2)), 1.0)
    found = [[false, seen(view, landmarks(), 1.0, k)] for k, view in enumerate(capture.views[:3])] + [[false]]
    hand = hand_in_3d(capture.views, found)
    assert hand is not None
    assert hand.views == ("v0", "v1", "v2")
    assert np.linalg.norm(hand.landmarks_world - landmarks(), axis=1).mean() < 0.006


def test_one_view_or_hands_that_disagree_make_none(capture: HandoverCapture) -> None:
    one = [[seen(capture.views[0], landmarks())], [], [], []]
    assert hand_in_3d(capture.views, one) is None
    elsewhere = [[seen(v, landmarks() + [0.15 * k, 0, 0])] for k, v in enumerate(capture.views)]
    assert hand_in_3d(capture.views, elsewhere) is None


def test_depth_and_colour_tell_hand_object_and_arm_apart(capture: HandoverCapture) -> None:
    pytest.importorskip("cv2", reason=install_line("masks"))
    held = held_by(Hand3d(landmarks(), ()), capture.views)
    assert held is not None
    labels = [outlined(view, held) for view in capture.views]
    true = [view.labels for view in capture.views]
    assert estimate.iou(labels, true, Label.OBJECT) > 0.85
    assert estimate.iou(labels, true, Label.HAND) > 0.8


def test_a_hand_elsewhere_holds_nothing(capture: HandoverCapture) -> None:
    far = Hand3d(landmarks() + [0, 0, 1.0], ())
    held = held_by(far, capture.views)
    assert held is None or not held.labels.any()


class Stub:
    def __init__(self, hands: list[list[Hand]]) -> None:
        self._left = list(hands)

    def hands(self, rgb: np.ndarray) -> list[Hand]:
        return self._left.pop(0)


def test_the_command_makes_missing_masks_and_keeps_those_that_are_there(
    capture: HandoverCapture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2", reason=install_line("masks"))
    folder = tmp_path / "capture"
    write_folder(capture, folder, unmasked=("v1", "v2", "v3"))
    kept = (folder / "v0_mask.png").read_bytes()
    monkeypatch.setattr(
        estimate, "HandModel", lambda _: Stub([[seen(v, landmarks())] for v in capture.views])
    )
    config = command.MasksConfig(folder, hand_model=tmp_path / "any.whl")
    made = command.make_masks(config)
    assert "4 of 4 views" in made.made_by
    assert (folder / "v0_mask.png").read_bytes() == kept
    for view, labels in zip(load_folder(folder).views[1:], made.labels[1:], strict=True):
        assert np.array_equal(view.labels, labels)
    with pytest.raises(CaptureError, match="--overwrite"):
        command.make_masks(config)


def test_nobody_s_hand_is_said(capture: HandoverCapture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "HandModel", lambda _: Stub([[] for _ in capture.views]))
    with pytest.raises(CaptureError, match="0 of 4 views show a hand"):
        estimate.masks_by_hand_model(capture, Path("any.whl"))


def test_without_a_model_the_network_is_named(capture: HandoverCapture) -> None:
    assert "robot's segmenter" in estimate.masks_by_network(replace(capture, views=capture.views[:1])).made_by


def test_another_file_is_no_hand_model(tmp_path: Path) -> None:
    (tmp_path / "other.whl").write_bytes(b"no wheel")
    with pytest.raises(RobotError, match="pip download"):
        HandModel(tmp_path / "other.whl")


@pytest.mark.nightly
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not here")
def test_masks_of_the_shared_captures() -> None:
    wheels = sorted(Path.cwd().glob("mediapipe-0.10.21*.whl"))
    if not wheels:
        pytest.skip("the hand model is not here: pip download --no-deps mediapipe==0.10.21")
    for session in sorted(CAPTURES.glob("*subject*/*")):
        views = load_capture(session)
        masks = estimate.masks_by_hand_model(views, wheels[0])
        true = [view.labels for view in views.views]
        assert estimate.iou(masks.labels, true, Label.OBJECT) > 0.8, session.name
        assert estimate.iou(masks.labels, true, Label.HAND) > 0.75, session.name
