"""Draws the expert's trajectories in a scene, as in the paper's Fig. 3.

    python -m experts.inspect.figure scenes/mine --out trajectories.png
    python -m experts.inspect.figure scenes/mine --out trajectories.png --initial-poses 40 --seed 2

Each trajectory goes from dark red at its initial pose to yellow at the pre-grasp pose; object and hand have their own
colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import tyro
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from h2rh_env.core.errors import SceneError
from h2rh_env.core.geometry import SE3, Array
from h2rh_env.core.gripper import ROBOTIQ_2F85, GripperGeometry
from h2rh_env.core.labels import Label
from h2rh_env.envs.initial_poses import INITIAL_POSES, InitialPoseSampler
from h2rh_env.scenes.gaussians import SH_C0
from h2rh_env.scenes.handover_scene import HandoverScene
from h2rh_env.utils import cli

from ..three_phase import ThreePhaseExpert

PATH = LinearSegmentedColormap.from_list("path", ["#4a0404", "#a4161a", "#e85d04", "#faa307", "#ffe45e"])
INK, FAINT = "#2b2d33", "#b9bcc4"
AXES = ("#d1495b", "#3a9d5d", "#3366cc")  # x, y, z
START_AXIS_M, GOAL_AXIS_M = 0.035, 0.06
MAX_POINTS = 9000
FACES = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
Axes3D = Any  # mplot3d is not typed


@dataclass(frozen=True)
class FigureConfig:
    """Options of the command: what to draw, from where, and where to write it."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Folder of the scene to draw."""
    out: Path = Path("trajectories.png")
    """The PNG, PDF or SVG file to write."""
    initial_poses: int = INITIAL_POSES
    """Number of initial poses (k of Sec. III-B)."""
    seed: int = 0
    """Seed of the initial poses."""
    azimuth_deg: float | None = None
    """Direction to look from, in degrees about the vertical. By default it is where the paths show best."""
    elevation_deg: float = 22.0
    """Angle to look down at, in degrees above the horizontal."""

    def __post_init__(self) -> None:
        if self.initial_poses < 1:
            raise SceneError(f"--initial-poses is {self.initial_poses}; it must be at least 1")


def draw(
    scene: HandoverScene,
    initial_poses: int = INITIAL_POSES,
    seed: int = 0,
    azimuth_deg: float | None = None,
    elevation_deg: float = 22.0,
) -> Figure:
    """Draws the scene, its grasp and the expert's paths to the pre-grasp pose.

    Raises:
        SceneError: the scene admits hardly any initial pose.
    """
    poses, _ = InitialPoseSampler(scene).sample(np.random.default_rng(seed), initial_poses)
    paths = [ThreePhaseExpert().rollout(scene, pose).poses for pose in poses]
    figure = Figure(figsize=(9, 8), dpi=160, facecolor="white")
    axes: Axes3D = figure.add_axes((0.0, 0.0, 1.0, 1.0), projection="3d", computed_zorder=False)
    _draw_points(axes, scene)
    _draw_gripper(axes, scene.grasp.scene_from_grasp, ROBOTIQ_2F85)
    for path in paths:
        _draw_path(axes, np.array([pose.translation for pose in path]))
        _draw_frame(axes, path[0], START_AXIS_M, 1.0)
    _draw_frame(axes, scene.grasp.pregrasp(), GOAL_AXIS_M, 2.2)
    advance = np.stack([scene.grasp.pregrasp().translation, scene.grasp.contact_scene])
    axes.plot(*advance.T, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2.5)
    azimuth = _best_azimuth(scene, poses) if azimuth_deg is None else azimuth_deg
    _frame_view(axes, np.concatenate([_positions(paths), scene.object_points, scene.hand_points]))
    axes.view_init(elevation_deg, azimuth)
    _draw_key(figure, scene, initial_poses)
    return figure


def _draw_points(axes: Axes3D, scene: HandoverScene) -> None:
    """The Gaussians of object and hand, in their colours."""
    gaussians = scene.gaussians
    shown = np.flatnonzero(gaussians.labels != Label.BACKGROUND)
    shown = shown[:: max(1, len(shown) // MAX_POINTS)]
    colours = np.clip(0.5 + SH_C0 * gaussians.sh[shown, 0], 0, 1)
    axes.scatter(*gaussians.means[shown].T, c=colours, s=2.0, linewidths=0, depthshade=False, zorder=1)


def _draw_gripper(axes: Axes3D, scene_from_grasp: SE3, gripper: GripperGeometry) -> None:
    for low, high in gripper.boxes():
        corners = np.array(
            [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )
        faces = scene_from_grasp.apply(corners)[FACES]
        axes.add_collection3d(
            Poly3DCollection(faces, facecolor="#ffd23f55", edgecolor="#8a6d00c0", linewidths=0.7, zorder=2)
        )


def _draw_path(axes: Axes3D, positions: Array) -> None:
    fractions = np.linspace(0, 1, len(positions))
    segments = np.stack([positions[:-1], positions[1:]], axis=1)
    axes.add_collection3d(
        Line3DCollection(segments, colors=PATH(fractions[:-1]), linewidths=1.4, alpha=0.85, zorder=3)
    )
    axes.scatter(*positions.T, c=PATH(fractions), s=11, linewidths=0, depthshade=False, zorder=4)


def _draw_frame(axes: Axes3D, scene_from_frame: SE3, length_m: float, width: float) -> None:
    ends = scene_from_frame.apply(length_m * np.eye(3))
    origin = scene_from_frame.translation
    segments = [[origin, end] for end in ends]
    axes.add_collection3d(Line3DCollection(segments, colors=AXES, linewidths=width, zorder=5))


def _best_azimuth(scene: HandoverScene, initial_poses: list[SE3]) -> float:
    """Beside the approach, on the side of most initial poses, so that paths neither hide the hand nor end on."""
    approach = scene.grasp.scene_from_grasp.rotation[:2, 2]
    side = np.array([-approach[1], approach[0]])
    offsets = np.array([pose.translation for pose in initial_poses])[:, :2] - scene.object_centre[:2]
    if (offsets @ side).mean() < 0:
        side = -side
    looked_from = side - 0.35 * approach
    return float(np.degrees(np.arctan2(looked_from[1], looked_from[0])))


def _positions(paths: list[list[SE3]]) -> Array:
    return np.array([pose.translation for path in paths for pose in path])


def _frame_view(axes: Axes3D, points: Array) -> None:
    """A cube about all points, a grid on its floor alone."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, (high - low).max() / 2 * 1.02
    axes.set(
        xlim=(middle[0] - half, middle[0] + half),
        ylim=(middle[1] - half, middle[1] + half),
        zlim=(middle[2] - half, middle[2] + half),
    )
    axes.set_box_aspect((1, 1, 1), zoom=1.2)
    axes.set_axis_off()
    floor = middle[2] - half
    ticks = np.linspace(-half, half, 9)
    grid = [
        [[middle[0] + t, middle[1] - half, floor], [middle[0] + t, middle[1] + half, floor]] for t in ticks
    ]
    grid += [
        [[middle[0] - half, middle[1] + t, floor], [middle[0] + half, middle[1] + t, floor]] for t in ticks
    ]
    axes.add_collection3d(Line3DCollection(grid, colors=FAINT, linewidths=0.5, alpha=0.5, zorder=0))


def _draw_key(figure: Figure, scene: HandoverScene, initial_poses: int) -> None:
    figure.text(0.05, 0.94, scene.name.replace("_", " "), fontsize=17, color=INK, weight="bold", va="top")
    figure.text(
        0.05,
        0.905,
        f"{initial_poses} initial poses 0.7 m about the grasp, the expert's paths to the pre-grasp pose",
        fontsize=10.5,
        color=INK,
        va="top",
    )
    bar = figure.add_axes((0.05, 0.055, 0.22, 0.013))
    bar.imshow(np.linspace(0, 1, 256)[None], cmap=PATH, aspect="auto")
    bar.set_axis_off()
    figure.text(0.05, 0.035, "initial pose", fontsize=9.5, color=INK, va="center")
    figure.text(0.27, 0.035, "pre-grasp", fontsize=9.5, color=INK, va="center", ha="right")


def main(settings: FigureConfig) -> None:
    """Draws and saves."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    scene = HandoverScene.load(settings.scene)
    figure = draw(scene, settings.initial_poses, settings.seed, settings.azimuth_deg, settings.elevation_deg)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(settings.out)
    print(settings.out)


if __name__ == "__main__":
    cli.run(main, FigureConfig, __doc__)
