"""Laws of the depth sensors: on a wall and at an edge they err as was measured of real ones; figures within 20 %."""

import numpy as np
import pytest

from benchmarks.depth_sensors import (
    COLUMNS,
    MEASURED,
    Frame,
    correlation,
    figures,
    generated,
    grown_px,
    residuals,
)
from h2rh_env.captures.synthetic.generate import generate_capture
from h2rh_env.captures.synthetic.rendering.depth_sensor import D435I, D455, L515, SENSORS, sensor_named
from h2rh_env.core.errors import CaptureError

FOCAL_PX = 613.0
SIZE = (240, 320)
NEAR = np.s_[60:180, 120:200]


def wall(distance_m: float) -> np.ndarray:
    """A wall, tilted a little, so that counts are no stairs."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (distance_m * (1 + 1e-4 * (columns + rows))).astype(np.float32)


def box_before_a_wall() -> tuple[np.ndarray, np.ndarray]:
    true = np.full(SIZE, 1.0, np.float32)
    near = np.zeros(SIZE, bool)
    true[NEAR], near[NEAR] = 0.7, True
    return true, near


@pytest.mark.parametrize("sensor", [D435I, D455])
@pytest.mark.parametrize("column", range(5))
def test_noise_on_a_wall_is_the_measured_one(sensor, column):
    distance_m = (0.5, 0.74, 0.9, 1.15, 1.4)[column]
    depth_m = sensor.measure(wall(distance_m), FOCAL_PX, np.random.default_rng(0))
    noise_mm = 1e3 * np.median([patch.std() for _, patch in residuals(depth_m)])
    assert noise_mm == pytest.approx(MEASURED[sensor.name][column], rel=0.25)


@pytest.mark.parametrize("sensor", [D435I, D455])
def test_noise_comes_in_streaks_along_rows(sensor):
    patches = [
        patch for _, patch in residuals(sensor.measure(wall(1.15), FOCAL_PX, np.random.default_rng(0)))
    ]
    along, across = correlation(patches), correlation(patches, axis=0)
    assert along[2] == pytest.approx(0.6, rel=0.2)
    assert across[2] < 0.2


def test_a_near_edge_grows_on_its_left_alone_and_not_at_all_with_one_eye():
    true, near = box_before_a_wall()
    for sensor, left, right in ((D435I, (5, 10), 2), (L515, (0, 0), 0)):
        frame = Frame(sensor.measure(true, FOCAL_PX, np.random.default_rng(1)), true, near)
        assert left[0] <= np.median(grown_px([frame], left=True)) <= left[1]
        assert np.median(grown_px([frame], left=False)) <= right


def test_what_one_eye_does_not_see_is_a_hole_on_the_left():
    true, _ = box_before_a_wall()
    depth_m = D455.measure(true, FOCAL_PX, np.random.default_rng(0))
    left, right = depth_m[70:170, 95:120], depth_m[70:170, 200:225]
    assert (left == 0).mean() > 0.2
    assert (right == 0).mean() < 0.15


def test_a_frame_has_a_bias_of_its_own():
    rng = np.random.default_rng(0)
    true = wall(0.75)
    bias_m = [np.median(D435I.measure(true, FOCAL_PX, rng)) - np.median(true) for _ in range(60)]
    assert np.std(bias_m) == pytest.approx(D435I.bias_m, rel=0.25)


def test_what_is_too_near_or_missing_has_no_depth():
    assert not D455.measure(wall(0.3), FOCAL_PX, np.random.default_rng(0)).any()
    assert D435I.measure(wall(0.3), FOCAL_PX, np.random.default_rng(0)).any()
    assert not D435I.measure(np.zeros(SIZE, np.float32), FOCAL_PX, np.random.default_rng(0)).any()


def test_pixels_scale_with_the_focal_length():
    true, near = box_before_a_wall()
    small = Frame(D435I.measure(true, FOCAL_PX / 3, np.random.default_rng(1)), true, near)
    assert 1 <= np.median(grown_px([small], left=True)) <= 4


def test_a_capture_names_its_sensor_and_an_unknown_one_is_refused():
    with pytest.raises(CaptureError, match="known are d435i, d455, l515"):
        generate_capture(0, None, "kinect")
    assert sensor_named("l515") is L515


@pytest.mark.nightly
@pytest.mark.parametrize("name", MEASURED)
def test_figures_of_synthetic_captures_are_those_of_real_frames(name):
    found = dict(zip(COLUMNS, figures(generated(SENSORS[name], 6)), strict=True))
    real = dict(zip(COLUMNS, MEASURED[name], strict=True))
    off = {column: (found[column], real[column]) for column in COLUMNS if column != "corr 8 px"}
    assert all(one == pytest.approx(two, rel=0.2) for one, two in off.values()), off
    assert found["corr 8 px"] == pytest.approx(real["corr 8 px"], abs=0.1)


@pytest.mark.nightly
def test_depth_of_generator_2_has_none_of_it():
    found = dict(zip(COLUMNS, figures(generated(None, 2)), strict=True))
    assert found["corr 4 px"] < 0.2
