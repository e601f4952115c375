"""Laws of the rig's file: what is saved is loaded, and what is no rig is refused in a sentence."""

import json
from datetime import date

import numpy as np
import pytest

from h2rh_env.captures.rig import Rig
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.geometry import look_at

POSES = {"0001": look_at([1, 0, 0.5], [0, 0, 0]), "0002": look_at([0, 1, 0.5], [0, 0, 0])}


def test_saved_then_loaded_is_the_same(tmp_path):
    Rig(POSES, {"0001": 0.1, "0002": 0.2}, date(2026, 1, 31)).save(tmp_path / "rig.json")
    rig = Rig.load(tmp_path / "rig.json")
    assert rig.measured_on == date(2026, 1, 31)
    assert rig.residuals_px == {"0001": 0.1, "0002": 0.2}
    assert all(np.allclose(rig.pose_of(s).matrix, pose.matrix) for s, pose in POSES.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "h2rh-hand-eye-1"}, "has format 'h2rh-hand-eye-1'"),
        ({"measured_on": "yesterday"}, "is no rig"),
        ({"cameras": {"0001": {"world_from_camera": [[2]], "residual_px": 0}}}, "is no rig"),
        ({"cameras": []}, "is no rig"),
    ],
)
def test_what_is_no_rig_is_refused(tmp_path, change, words):
    path = tmp_path / "rig.json"
    Rig(POSES, {"0001": 0.1, "0002": 0.2}, date(2026, 1, 31)).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CaptureError, match=words):
        Rig.load(path)
    with pytest.raises(CaptureError, match="is missing"):
        Rig.load(tmp_path / "none.json")
