"""Draws images/architecture.png: the four packages, their folders, and the data that pass between them.

python docs/draw_architecture.py

It fails if a folder of a package is not drawn, or if one that is drawn is not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).parent / "images" / "architecture.png"
INK, FAINT, ARROW = "#23262d", "#6d7480", "#b3541e"
GROUND = {"h2rh_env": "#e9eef5", "experts": "#f3eee2", "policies": "#eaf2e6", "real_robot": "#f4e8e6"}
NOT_DRAWN = {"assets", "__pycache__"}
WIDTH, HEIGHT = 15.0, 8.3


class Place(NamedTuple):
    """A folder or module of a package: where it is drawn, and what it holds."""

    name: str
    x: float
    y: float
    holds: str


BANDS = {  # package: x, y, width, height, and what it is
    "real_robot": (0.2, 6.35, 14.6, 1.75, "a policy on a UR5, or on its emulator"),
    "experts": (0.2, 4.15, 4.4, 1.75, "what policies learn from"),
    "policies": (4.78, 4.15, 9.45, 1.75, "what acts on observations"),
    "h2rh_env": (0.2, 0.2, 14.6, 3.5, "from a capture to a judged episode"),
}
BOX_W = {"real_robot": 1.36, "experts": 1.38, "policies": 1.08, "h2rh_env": 1.85}
BOX_H = 0.85


def _row(left: float, y: float, pitch: float, *texts: tuple[str, str]) -> tuple[Place, ...]:
    return tuple(Place(name, left + i * pitch, y, holds) for i, (name, holds) in enumerate(texts))


PLACES = {
    "real_robot": _row(
        0.3, 6.55, 1.45,
        ("drivers", "UR5, 2F-85, D435i"), ("emulator", "the same devices"), ("calibration", "hand-eye, rig"),
        ("recording", "RGB-D captures"), ("masks", "of a capture"),
        ("segmentation", "masks of an image"), ("safety", "motion guard, log"), ("control", "loop, detour, grasp"),
        ("session.py", "one handover"), ("benchmark", "Table II"),
    ),
    "experts": _row(
        0.29, 4.35, 1.43,
        ("inspect", "figures, videos"), ("three_phase.py", "Eqs. 8-13"), ("collect.py", "roll-outs"),
    ),
    "policies": _row(
        4.93, 4.35, 1.155,
        ("training", "cloning"), ("grasping", "where to hold"), ("networks", "CNN, ResNet"),
        ("tracking", "of the object"), ("rl", "PPO, SAC"), ("baselines", "IBVS-MASK"),
        ("registry.py", "name to policy"), ("onnx", "without torch"),
    ),
    "h2rh_env": (
        *_row(
            0.4, 2.1, 2.05,
            ("captures", "RGB-D, synthetic"), ("reconstruction", "depth to splat"), ("grasps", "propose, select"),
            ("scenes", "one folder each"), ("envs", "Gymnasium"), ("benchmark", "suites, episodes"),
            ("report", "tables, HTML"),
        ),
        *_row(
            0.4, 0.4, 2.05,
            ("core", "poses, labels, task"), ("utils", "files, commands"), ("datasets", "Minari, LeRobot"),
            ("rendering", "CPU, CUDA, masks"), ("perturbations", "errors of sensing"),
            ("contact", "physics of a grasp"), ("viewer", "in the browser"),
        ),
    ),
}  # fmt: skip
CHAIN = ("HandoverCapture", "GaussianScene", "GraspCandidate", "HandoverScene", "EpisodeRecord", "Episode")


def main() -> None:
    check_tree()
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=100, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    for package, (x, y, width, height, what) in BANDS.items():
        _box(axes, x, y, width, height, GROUND[package], "none")
        title = axes.text(x + 0.2, y + height - 0.38, f"{package}/", fontsize=14, weight="bold", color=INK)
        axes.annotate(what, (1, 0.1), (10, 0), title, "offset points", fontsize=11, color=FAINT)
        for place in PLACES[package]:
            _draw_place(axes, package, place)
    _draw_data(axes)
    figure.savefig(OUT)
    print(OUT)


def check_tree() -> None:
    """Compares what is drawn with the folders that there are."""
    for package, places in PLACES.items():
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} - NOT_DRAWN
        drawn = {place.name for place in places if "." not in place.name}
        if folders != drawn:
            raise SystemExit(f"{package}: drawn but for, or besides, the tree: {sorted(folders ^ drawn)}")
        missing = [place.name for place in places if not (ROOT / package / place.name).exists()]
        if missing:
            raise SystemExit(f"{package}: no {', '.join(missing)}")


def _draw_place(axes: Axes, package: str, place: Place) -> None:
    width = BOX_W[package]
    _box(axes, place.x, place.y, width, BOX_H, "white", "#c9c6bd")
    middle = place.x + width / 2
    axes.text(middle, place.y + 0.52, place.name, fontsize=11, weight="bold", color=INK, ha="center")
    axes.text(middle, place.y + 0.2, place.holds, fontsize=9, color=FAINT, ha="center")


def _draw_data(axes: Axes) -> None:
    """Draws what passes from one part to the next."""
    chain = PLACES["h2rh_env"][: len(CHAIN) + 1]
    for before, after, datum in zip(chain[:-1], chain[1:], CHAIN, strict=True):
        y = before.y + BOX_H / 2
        _arrow(axes, (before.x + BOX_W["h2rh_env"], y), (after.x, y))
        _name(axes, datum, (before.x + after.x + BOX_W["h2rh_env"]) / 2, before.y - 0.27)
    scene_top, box_top = (7.2, 2.1 + BOX_H), 4.35 + BOX_H
    axes.plot((scene_top[0], scene_top[0], 3.8), (scene_top[1], 3.92, 3.92), color=ARROW, linewidth=1.4)
    _arrow(axes, (3.8, 3.92), (3.8, 4.35))
    _name(axes, "HandoverScene", 5.5, 3.98)
    _arrow(axes, (4.53, 4.78), (4.93, 4.78))
    _name(axes, "Demonstration", 4.72, 5.98)
    axes.plot((4.72, 4.72), (5.93, 4.9), color=ARROW, linewidth=0.6)
    _arrow(axes, (12.3, 4.35), (12.3, scene_top[1]))
    _name(axes, "Policy", 11.95, 3.3)
    _arrow(axes, (12.4, box_top), (12.4, 6.55))
    _name(axes, "Policy", 12.05, 6.08)
    axes.plot((14.4, 14.4, 9.52), (6.55, 3.92, 3.92), color=ARROW, linewidth=1.4)
    _arrow(axes, (9.52, 3.92), (9.52, scene_top[1]))
    _name(axes, "EpisodeRecord", 14.3, 6.08, "#ffffff")
    _name(axes, "judged by the same metrics.py", 10.6, 3.98)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=14, color=ARROW, linewidth=1.4, shrinkA=0, shrinkB=1,
    ))  # fmt: skip


def _name(axes: Axes, datum: str, x: float, y: float, ground: str = "none") -> None:
    box = {"facecolor": ground, "edgecolor": "none", "pad": 1.5}
    axes.text(x, y, datum, fontsize=9, color=ARROW, ha="center", bbox=box, zorder=4)


def _box(axes: Axes, x: float, y: float, width: float, height: float, face: str, edge: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=face,
            edgecolor=edge,
        )
    )


if __name__ == "__main__":
    main()
