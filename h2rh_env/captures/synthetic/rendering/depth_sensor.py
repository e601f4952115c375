"""What depth cameras make of true depth: correlated noise, a bias, grown and smeared edges, and holes.

Figures in pixels are those of a colour image with a focal length of 613 px, 640x480, and scale with the focal length.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ....core.errors import CaptureError

Array = npt.NDArray[np.float64]
Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FOCAL_PX = 613.0
BIAS_AT_M = 0.75
STEP_M = 0.02  # between neighbouring pixels: an edge, not a slope
LEAST_BLUR_PX = 0.4
PATCHES_PX = 2.5  # holes come as blotches of about this size


@dataclass(frozen=True)
class DepthSensor:
    """A type of depth camera, by what it gets wrong; measured figures are in docs/depth-sensors.md.

    Attributes:
        name: how it is called in commands and in provenance.
        noise_mm: standard deviation on a flat surface at distances, (m, mm) pairs; it grows quadratically beyond.
        correlated_px: standard deviations of the blur that correlates the noise of neighbours, in a row of the image
            and in a column: stereo matching leaves streaks along rows.
        bias_m: standard deviation, from frame to frame, of the error that all depth of a frame shares, at 0.75 m; it
            grows quadratically with distance where there are two eyes, as an error of disparity does.
        grown_px: least and most by which a near surface is too wide on the left of the image, ...
        grown_right_px: ... and at most on its other sides.
        smeared_px: standard deviation of the blur that makes flying pixels of a step in depth.
        baseline_m: between its two eyes; what one of them cannot see is a hole. 0 for a camera with one eye.
        hole_risk: how likely a blotch without depth is, in standard deviations of a noise (-2.3: 1 % of the pixels).
        edge_hole_risk: how much more likely it is beside a step.
        least_m, most_m: what is nearer or farther has no depth.
        unit_m: metres per count.
    """

    name: str
    noise_mm: tuple[tuple[float, float], ...]
    correlated_px: tuple[float, float]
    bias_m: float
    grown_px: tuple[float, float]
    grown_right_px: float
    smeared_px: float
    baseline_m: float
    hole_risk: float
    edge_hole_risk: float
    least_m: float
    most_m: float
    unit_m: float = 0.001

    def noise_m(self, depth_m: Float) -> Float:
        """Returns the standard deviation of the noise at depths (H, W), m."""
        at_m, sigma_mm = np.array(self.noise_mm).T
        beyond = np.maximum(depth_m / at_m[-1], 1) ** 2
        sigma: Float = (1e-3 * np.interp(depth_m, at_m, sigma_mm) * beyond).astype(np.float32)
        return sigma

    def measure(
        self,
        true_m: Float,
        focal_px: float,
        rng: np.random.Generator,
        more_risk: Array | float = 0.0,
    ) -> Float:
        """Returns what the camera measures, (H, W) float32, m along z, in whole counts; 0 where it gives up.

        Args:
            true_m: (H, W), m; 0 where there is nothing.
            focal_px: the focal length of the image.
            more_risk: (H, W), how much likelier than elsewhere a hole is, as on shiny or dark surfaces.
        """
        scale = focal_px / FOCAL_PX
        grown = self._grown(true_m, scale, rng)
        depth, step = self._smeared(grown, scale)
        noise = _correlated(true_m.shape, self.correlated_px, scale, rng)
        bias = rng.normal(0, self.bias_m) * (depth / BIAS_AT_M) ** (2 if self.baseline_m else 0)
        depth = depth + bias + self.noise_m(depth) * noise
        lost = self._shadow(true_m, grown, focal_px) | self._blotches(step, scale, more_risk, rng)
        lost |= (true_m < self.least_m) | (true_m > self.most_m)
        counts = np.round(np.where(lost, 0, depth) / self.unit_m)
        return (np.maximum(counts, 0) * self.unit_m).astype(np.float32)

    def _grown(self, true_m: Float, scale: float, rng: np.random.Generator) -> Float:
        """Near surfaces grow over what is behind them, as the windows that are matched still hold their edge."""
        least, most = self.grown_px
        grown = true_m.copy()
        if most > 0:
            middle, spread = 0.5 * (least + most), 0.25 * (most - least)
            width = scale * np.clip(
                middle + spread * _correlated(true_m.shape, (6.0, 6.0), scale, rng), least, most
            )
            beside = _shifted(true_m, 1)
            edge_m = np.where((true_m - beside > STEP_M) & (beside > 0), beside, np.float32(np.inf))
            for shift in range(int(np.ceil(most * scale))):
                np.minimum(grown, _shifted(edge_m, shift), out=grown, where=width >= shift + 0.5)
        other = round(scale * rng.uniform(0, self.grown_right_px))
        if other:
            near = ndimage.minimum_filter(grown, 2 * other + 1)
            grown = np.where(near < grown - STEP_M, near, grown)
        return grown

    def _smeared(self, grown: Float, scale: float) -> tuple[Float, Mask]:
        """Returns depth whose steps are ramps, and the pixels (H, W) of the ramps."""
        sigma = self.smeared_px * scale
        size = 2 * round(2 * sigma) + 1
        low, high = ndimage.minimum_filter(grown, size), ndimage.maximum_filter(grown, size)
        step: Mask = _jumps(grown, size) & (low > 0)
        smooth = ndimage.gaussian_filter(grown, sigma, truncate=2)
        return np.where(step, np.clip(smooth, low, high), grown), step

    def _shadow(self, true_m: Float, grown: Float, focal_px: float) -> Mask:
        """Returns the background that only one of the two eyes sees: left of nearer surfaces, where they end."""
        shadow = np.zeros(true_m.shape, bool)
        if not self.baseline_m:
            return shadow
        disparity: Float = (focal_px * self.baseline_m / np.maximum(true_m, 0.1)).astype(np.float32)
        for shift in range(1, round(15 * focal_px / FOCAL_PX) + 1):
            shadow |= _shifted(disparity, shift) - disparity > shift + 1.5
        return shadow & (grown > true_m - STEP_M)

    def _blotches(self, step: Mask, scale: float, more_risk: Array | float, rng: np.random.Generator) -> Mask:
        field = _correlated(step.shape, (PATCHES_PX, PATCHES_PX), scale, rng)
        blotches: Mask = field < self.hole_risk + more_risk + self.edge_hole_risk * step
        return blotches


def _correlated(
    shape: tuple[int, ...], sigma_px: tuple[float, float], scale: float, rng: np.random.Generator
) -> Float:
    """Returns noise (H, W) of unit variance, blurred by sigma in x and in y, in pixels of the full image."""
    noise: Float = rng.standard_normal(shape, np.float32)
    for axis, sigma in ((1, sigma_px[0] * scale), (0, sigma_px[1] * scale)):
        if sigma > LEAST_BLUR_PX:
            smooth = ndimage.gaussian_filter1d(noise, sigma, axis, mode="wrap", truncate=3)
            noise = smooth * np.float32(np.sqrt(2 * sigma * np.sqrt(np.pi)))
    return noise


def _shifted(image: Float, shift: int) -> Float:
    """Returns what lies `shift` pixels to the right, the edge of the image repeated."""
    if not shift:
        return image
    out = np.empty_like(image)
    out[:, :-shift], out[:, -shift:] = image[:, shift:], image[:, -1:]
    return out


def _jumps(depth: Float, size: int) -> Mask:
    """Returns the pixels (H, W) with a step between neighbours in the window about them."""
    edge = np.zeros(depth.shape, bool)
    edge[:, 1:] |= np.abs(np.diff(depth, axis=1)) > STEP_M
    edge[1:] |= np.abs(np.diff(depth, axis=0)) > STEP_M
    near: Mask = ndimage.maximum_filter(edge, size)
    return near


D435I = DepthSensor(
    "d435i",
    noise_mm=((0.5, 0.9), (0.75, 0.92), (0.9, 1.5), (1.15, 2.3), (1.4, 3.6)),
    correlated_px=(4.3, 1.3),
    bias_m=0.0045,
    grown_px=(5.0, 10.0),
    grown_right_px=2.0,
    smeared_px=0.5,
    baseline_m=0.05,
    hole_risk=-2.15,
    edge_hole_risk=0.95,
    least_m=0.175,
    most_m=4.0,
)
D455 = DepthSensor(
    "d455",
    noise_mm=((0.5, 0.7), (0.735, 1.25), (0.9, 2.1), (1.15, 3.0), (1.4, 3.0)),
    correlated_px=(4.2, 1.2),
    bias_m=0.0045,
    grown_px=(7.0, 12.0),
    grown_right_px=3.0,
    smeared_px=2.0,
    baseline_m=0.095,
    hole_risk=-1.8,
    edge_hole_risk=1.1,
    least_m=0.32,
    most_m=6.0,
)
L515 = DepthSensor(  # as its maker states it; no frame of one was measured
    "l515",
    noise_mm=((0.5, 1.5), (1.0, 2.5), (9.0, 15.5)),
    correlated_px=(1.0, 1.0),
    bias_m=0.0045,
    grown_px=(0.0, 0.0),
    grown_right_px=0.0,
    smeared_px=0.8,
    baseline_m=0.0,
    hole_risk=-2.3,
    edge_hole_risk=0.8,
    least_m=0.25,
    most_m=9.0,
    unit_m=0.00025,
)
SENSORS = MappingProxyType({sensor.name: sensor for sensor in (D435I, D455, L515)})


def sensor_named(name: str) -> DepthSensor:
    """Returns a type of camera by its name.

    Raises:
        CaptureError: There is none of that name.
    """
    if name not in SENSORS:
        raise CaptureError(f"no depth sensor {name!r}; known are {', '.join(SENSORS)}")
    return SENSORS[name]
