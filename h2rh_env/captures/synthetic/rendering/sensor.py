"""What a camera makes of a perfect picture: noise, gain and blur in colour; depth as its sensor measures it.

Without a sensor, depth is that of generator 2, whose noise is too small and too fine: seeds keep captures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...base import RgbdView
from .depth_sensor import DepthSensor
from .rig import RigCamera
from .shading import Picture

Array = npt.NDArray[np.float64]
Float = npt.NDArray[np.float32]

BASELINE_M = 0.05
DISPARITY_NOISE_PX = 0.05  # correlated over a few pixels, as block matching makes it
SMEAR_SHARE = 0.5  # of the pixels at a step that come out between the two depths


def expose(
    picture: Picture, exposure: Array, rig_camera: RigCamera, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Returns the 8-bit sRGB image (H, W, 3); `exposure` (3,) holds the gains of the colour channels."""
    linear = picture.linear * (exposure * rig_camera.gain).astype(np.float32)
    linear = ndimage.gaussian_filter(linear, (0.45, 0.45, 0), truncate=2.5)
    shot = rng.standard_normal(linear.shape, np.float32)
    linear = np.maximum(linear + shot * np.sqrt(5e-6 + 8e-5 * np.maximum(linear, 0)), 0)
    shoulder = np.where(linear > 0.7, 0.7 + 0.3 * (1 - np.exp(-(linear - 0.7) / 0.3)), linear)
    srgb = np.where(
        shoulder < 0.0031308, 12.92 * shoulder, 1.055 * np.maximum(shoulder, 1e-6) ** (1 / 2.4) - 0.055
    )
    levels: npt.NDArray[np.uint8] = (np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    return levels


def measure_depth(
    picture: Picture, rig_camera: RigCamera, rng: np.random.Generator, sensor: DepthSensor | None = None
) -> Float:
    """Returns depth (H, W), m, in whole counts; 0 where the sensor gives up."""
    if sensor is None:
        return _of_generator_2(picture, rig_camera, rng)
    true_m = picture.depth_m * np.float32(rig_camera.depth_scale)
    return sensor.measure(true_m, rig_camera.camera.fx, rng, _surface_risk(picture))


def _of_generator_2(picture: Picture, rig_camera: RigCamera, rng: np.random.Generator) -> Float:
    true = picture.depth_m
    noise = ndimage.gaussian_filter(rng.standard_normal(true.shape, np.float32), 1.5) * 5.3
    coarse = ndimage.gaussian_filter(rng.standard_normal(true.shape, np.float32)[::4, ::4], 3.0) * 10.6
    noise = 0.8 * noise + 0.6 * coarse.repeat(4, 0).repeat(4, 1)
    sigma = DISPARITY_NOISE_PX * true**2 / (rig_camera.camera.fx * BASELINE_M)
    depth = (true + sigma * noise) * np.float32(rig_camera.depth_scale)
    low = ndimage.minimum_filter(true, 3)
    high = ndimage.maximum_filter(true, 3)
    step = high - low > 0.02
    smear = step & (rng.random(true.shape, np.float32) < SMEAR_SHARE)
    share = rng.random(true.shape, np.float32)
    depth = np.where(smear, low + share * (high - low), depth)
    lost = _occlusion_shadow(true, rig_camera.camera.fx) | _holes(picture, step, rng)
    depth = np.where(lost | (true <= 0.1) | (true > 4), 0, depth)
    return (np.round(depth * 1000) / 1000).astype(np.float32)


def _occlusion_shadow(true: Float, focal_px: float) -> npt.NDArray[np.bool_]:
    """Returns the background that one of the two infrared eyes cannot see: left of nearer surfaces."""
    disparity = focal_px * BASELINE_M / np.maximum(true, 0.1)
    shadow = np.zeros(true.shape, bool)
    for shift in range(1, 13):
        nearer = np.zeros_like(disparity)
        nearer[:, :-shift] = disparity[:, shift:]
        shadow |= nearer - disparity > shift + 1.5
    return shadow


def _holes(picture: Picture, step: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draws blotches without depth: on shiny, dark and grazing surfaces, and along edges."""
    field = ndimage.gaussian_filter(rng.standard_normal(picture.depth_m.shape, np.float32), 2.5) * 8.9
    risk = -2.3 + _surface_risk(picture) + 1.6 * ndimage.binary_dilation(step, iterations=1)
    holes: npt.NDArray[np.bool_] = field < risk
    return holes


def _surface_risk(picture: Picture) -> Array:
    """Returns (H, W) how much likelier shiny, dark and grazing surfaces have no depth, in standard deviations."""
    brightness = picture.linear.mean(axis=2)
    risk: Array = 1.2 * (picture.gloss > 0.4) + 1.3 * (brightness < 0.02) + 2.5 * (picture.facing < 0.2)
    return risk


def photograph(
    picture: Picture,
    exposure: Array,
    rig_camera: RigCamera,
    rng: np.random.Generator,
    sensor: DepthSensor | None = None,
) -> RgbdView:
    """Takes one view of a capture, with depth of a type of sensor or, without one, of generator 2."""
    return RgbdView(
        rig_camera.name,
        rig_camera.camera,
        rig_camera.world_from_camera,
        expose(picture, exposure, rig_camera, rng),
        measure_depth(picture, rig_camera, rng, sensor),
        picture.labels,
    )
