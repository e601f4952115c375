"""Measures depth as sensors give it: noise against distance, its correlation, edges and holes.

    python -m benchmarks.depth_sensors
    python -m benchmarks.depth_sensors --frames my_capture --captures 2

Prints a row for each type of sensor of the generator, beside what was measured of real ones, and for a capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from h2rh_env.captures.load import load_capture
from h2rh_env.captures.synthetic.generate import stage
from h2rh_env.captures.synthetic.rendering.depth_sensor import SENSORS, DepthSensor
from h2rh_env.captures.synthetic.rendering.sensor import measure_depth
from h2rh_env.utils import cli

Float = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

SIDE_PX = 24  # of a patch that is compared with a plane
SPREAD = 0.15  # of a patch's depths, of their median, at most; more is no plane
PERCENTILE = 30  # of the patches of one distance; rougher ones are not flat
DISTANCES_M = ((0.45, 0.55), (0.68, 0.80), (0.85, 0.95), (1.05, 1.25), (1.3, 1.5))
LAGS_PX = (1, 2, 4, 8)
STEP_M, BETWEEN_M, REACH_PX = (
    0.05,
    0.0175,
    3,
)  # a step in a window of 7x7 px, and what lies between its two sides
NEAR_M, BEHIND_M, BESIDE_PX = (0.35, 2.5), 0.08, 16
SAME_M = 0.03
FIRST_SEED = 9000
MEASURED = {  # of real frames: noise in mm, correlation along rows, holes and flying pixels at steps, holes
    "d435i": (0.96, 0.76, 1.30, 1.83, 3.06, 0.88, 0.78, 0.60, 0.25, 0.12, 0.37, 0.028),
    "d455": (0.65, 1.05, 1.83, 2.74, 2.24, 0.89, 0.81, 0.60, 0.14, 0.28, 0.54, 0.068),
}
COLUMNS = (
    *(f"mm at {np.mean(d):.2f} m" for d in DISTANCES_M),
    *(f"corr {lag} px" for lag in LAGS_PX),
    "holes at steps",
    "flying",
    "holes",
)


@dataclass(frozen=True)
class Frame:
    """Depth (H, W), m, with the true depth and which of it is a near body's, where these are known."""

    depth_m: Float
    true_m: Float | None = None
    near: npt.NDArray[np.bool_] | None = None


def figures(frames: Sequence[Frame]) -> tuple[float, ...]:
    """Returns the figures of `COLUMNS`, nan where the frames do not tell."""
    patches = [patch for frame in frames for patch in residuals(frame.depth_m)]
    distance_m = np.array([patch[0] for patch in patches])
    noise_m = np.array([patch[1].std() for patch in patches])
    noise_mm, flat = [], []
    for least, most in DISTANCES_M:
        here = np.flatnonzero((distance_m >= least) & (distance_m < most))
        limit = np.percentile(noise_m[here], PERCENTILE) if len(here) > 5 else np.nan
        noise_mm.append(1e3 * limit)
        flat += [patches[k][1] for k in here[noise_m[here] <= limit]]
    return (*noise_mm, *correlation(flat), *at_steps(frames), holes(frames))


def residuals(depth_m: Float) -> list[tuple[float, Array]]:
    """Returns distance, m, and what is left of each whole patch (24, 24), m, after a plane."""
    ys, xs = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    basis = np.stack([np.ones(xs.size), xs.ravel(), ys.ravel()], axis=1)
    plane = basis @ np.linalg.pinv(basis)
    found = []
    for top in range(0, depth_m.shape[0] - SIDE_PX + 1, SIDE_PX // 2):
        for left in range(0, depth_m.shape[1] - SIDE_PX + 1, SIDE_PX // 2):
            z = depth_m[top : top + SIDE_PX, left : left + SIDE_PX].ravel().astype(np.float64)
            middle = float(np.median(z))
            if (z <= 0).any() or np.ptp(z) > SPREAD * middle:
                continue
            nearness = 1 / z  # linear in the pixels of a plane
            found.append((middle, ((plane @ nearness - nearness) * middle**2).reshape(SIDE_PX, SIDE_PX)))
    return found


def correlation(patches: Iterable[Array], axis: int = 1) -> tuple[float, ...]:
    """Returns the correlation of residuals at `LAGS_PX` along rows, or along columns with axis 0."""
    shares = []
    for patch in patches:
        along = np.moveaxis(patch, axis, 1)
        shares.append([(along[:, lag:] * along[:, :-lag]).mean() / (patch**2).mean() for lag in LAGS_PX])
    return tuple(np.mean(shares, axis=0)) if shares else (np.nan,) * len(LAGS_PX)


def at_steps(frames: Iterable[Frame]) -> tuple[float, float]:
    """Returns the shares of holes, and of pixels that lie on neither side, in windows with a step of 5 cm or more."""
    count, size = np.zeros(3), 2 * REACH_PX + 1
    for frame in frames:
        depth_m = frame.depth_m
        high = ndimage.maximum_filter(depth_m, size)
        low = ndimage.minimum_filter(np.where(depth_m > 0, depth_m, np.inf), size)
        step = (high - low > STEP_M) & (low < NEAR_M[1])
        between = (depth_m - low > BETWEEN_M) & (high - depth_m > BETWEEN_M) & (depth_m > 0)
        count += step.sum(), (step & (depth_m <= 0)).sum(), (step & between).sum()
    return count[1] / max(count[0], 1), count[2] / max(count[0], 1)


def holes(frames: Iterable[Frame]) -> float:
    """Returns the share of pixels without depth, of those within 2.5 m where the truth is known."""
    count = np.zeros(2)
    for frame in frames:
        true_m = frame.true_m
        seen = (
            np.ones(frame.depth_m.shape, bool)
            if true_m is None
            else (true_m > NEAR_M[0]) & (true_m < NEAR_M[1])
        )
        count += seen.sum(), (seen & (frame.depth_m <= 0)).sum()
    return float(count[1] / max(count[0], 1))


def grown_px(frames: Iterable[Frame], left: bool) -> Array:
    """Returns how far, px, depth of a near body reaches beyond its true edge in each row, left or right of it."""
    found = []
    for frame in frames:
        assert frame.near is not None
        assert frame.true_m is not None
        turn = slice(None) if left else slice(None, None, -1)
        depth, true, near = frame.depth_m[:, turn], frame.true_m[:, turn], frame.near[:, turn]
        rows, columns = np.nonzero(near[:, BESIDE_PX + 1 :] & ~near[:, BESIDE_PX:-1])
        for row, column in zip(rows[::3], columns[::3] + BESIDE_PX + 1, strict=True):
            beside = np.s_[row, column - BESIDE_PX : column]
            if (true[beside] - true[row, column] < BEHIND_M).any():
                continue
            away = np.abs(depth[beside] - true[row, column])[::-1] > SAME_M
            found.append(int(np.argmax(away)) if away.any() else BESIDE_PX)
    return np.array(found, np.float64)


def generated(sensor: DepthSensor | None, captures: int) -> list[Frame]:
    """Photographs staged handovers: 8 frames of each."""
    frames, rng = [], np.random.default_rng(1)
    for seed in range(FIRST_SEED, FIRST_SEED + captures):
        scene = stage(seed)
        for eye in scene.rig:
            picture = scene.studio.picture(eye.camera, eye.world_from_camera)
            depth_m = measure_depth(picture, eye, rng, sensor)
            frames.append(Frame(depth_m, picture.depth_m, picture.labels > 0))
    return frames


@dataclass(frozen=True)
class Measure:
    """Options of the command."""

    captures: int = 6
    """Number of synthetic captures that each type of sensor photographs."""
    frames: Path | None = None
    """Capture whose depth is measured too: a plain folder or a DexYCB session."""


def main(config: Measure) -> None:
    print("| depth | " + " | ".join(COLUMNS) + " | grown left, right px |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    if config.frames is not None:
        views = load_capture(config.frames).views
        print(_row(str(config.frames), figures([Frame(view.depth_m) for view in views])))
    for name, sensor in [("generator 2", None), *SENSORS.items()]:
        frames = generated(sensor, config.captures)
        grown = (np.percentile(grown_px(frames, left), [10, 50, 90]).astype(int) for left in (True, False))
        edges = "; ".join(f"{low}-{high}, mostly {middle}" for low, middle, high in grown)
        print(_row(name, figures(frames), edges), flush=True)
        if name in MEASURED:
            print(_row(f"{name}, real", MEASURED[name], "5-10; 0-2"), flush=True)


def _row(name: str, values: Iterable[float], edges: str = "") -> str:
    return f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + f" | {edges} |"


if __name__ == "__main__":
    cli.run(main, Measure, __doc__)
