"""Draws docs/images/depth_sensors.png: a view of a synthetic capture, and what each type of sensor gets wrong.

python -m docs.draw_depth_sensors
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from h2rh_env.captures.synthetic.generate import common_exposure, stage
from h2rh_env.captures.synthetic.rendering.depth_sensor import SENSORS
from h2rh_env.captures.synthetic.rendering.sensor import expose, measure_depth

OUT = Path(__file__).parent / "images" / "depth_sensors.png"
SEED, VIEW, AROUND_PX, SHOWN_MM = 11, 0, 90, 25


def draw() -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    scene = stage(SEED)
    eye = scene.rig[VIEW]
    picture = scene.studio.picture(eye.camera, eye.world_from_camera)
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(picture.labels)
    window = np.s_[
        max(rows.min() - AROUND_PX, 0) : rows.max() + AROUND_PX,
        max(columns.min() - AROUND_PX, 0) : columns.max() + AROUND_PX,
    ]
    figure, axes = plt.subplots(1, 5, figsize=(12.5, 2.9), layout="constrained")
    axes[0].imshow(expose(picture, common_exposure([picture], rng), eye, rng)[window])
    axes[0].set_title("colour", fontsize=9)
    for axis, (name, sensor) in zip(axes[1:], [("generator 2", None), *SENSORS.items()], strict=True):
        unbiased = sensor and replace(sensor, bias_m=0.0)
        depth_m = measure_depth(picture, eye, rng, unbiased)
        error_mm = np.where(depth_m > 0, 1e3 * (depth_m - picture.depth_m), np.nan)
        cmap = mpl.colormaps["coolwarm"].with_extremes(bad="black")
        shown = axis.imshow(
            error_mm[window], cmap=cmap, vmin=-SHOWN_MM, vmax=SHOWN_MM, interpolation="nearest"
        )
        axis.set_title(name, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes, label="measured - true, mm; black: hole", shrink=0.9)
    figure.savefig(OUT, dpi=110)


if __name__ == "__main__":
    draw()
