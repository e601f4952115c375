"""Draws images/pipeline.png, the pipeline from cameras to a robot, from what the package itself makes.

python docs/draw_pipeline.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from experts.inspect import figure as figure_of
from experts.three_phase import ThreePhaseExpert
from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.build import build_scene
from h2rh_env.captures.base import HandoverCapture
from h2rh_env.captures.synthetic.generate import generate_capture
from h2rh_env.core.camera import D435I, HAND_EYE_CAMERA
from h2rh_env.core.geometry import SE3, look_at
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.envs.initial_poses import sample_initial_poses
from h2rh_env.reconstruction.optimisation.config import OptimiseConfig
from h2rh_env.rendering.masks import observe, rgb_to_uint8
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.report.pictures import film, outlined
from h2rh_env.scenes.handover_scene import HandoverScene
from policies.registry import make_policy
from real_robot import __main__ as robot

Picture = npt.NDArray[np.uint8]
OUT = Path(__file__).parent / "images" / "pipeline.png"
INK, FAINT, GROUND = "#23262d", "#6d7480", "#f5f4f0"
SEED, OBJECT = 7, "mustard_bottle"
STEPS = (  # title, module, and what comes out of it, which the arrow carries
    ("1  Capture", "h2rh_env.captures", "HandoverCapture"),
    ("2  Reconstruct", "h2rh_env.reconstruction", "GaussianScene"),
    ("3  Choose a grasp", "h2rh_env.grasps", "HandoverScene"),
    ("4  Plan with the expert", "experts", "trajectories"),
    ("5  Collect demonstrations", "experts.collect", "demonstrations"),
    ("6  Learn", "train.py, policies", "checkpoint"),
    ("7  Evaluate", "evaluate.py", "checkpoint"),
    ("8  Run on a robot", "real_robot", ""),
)


def main() -> None:
    capture = generate_capture(SEED, OBJECT)
    scene = build_scene(capture, settings=OptimiseConfig(steps=400))
    pictures = [
        _cameras(capture), _splat(scene), _trajectories(scene, 1)[490:970, 480:1120],
        _trajectories(scene, 15)[140:1160, 40:1400],
        _demonstration(scene), None, _episode(scene), _rehearsal(scene),
    ]  # fmt: skip
    figure = Figure(figsize=(15, 7.4), dpi=100, facecolor="white")
    for number, (step, picture) in enumerate(zip(STEPS, pictures, strict=True)):
        column, row = number % 4, number // 4
        axes = figure.add_axes((0.012 + column * 0.2545, 0.575 - row * 0.51, 0.212, 0.322))
        _draw_step(axes, step, picture)
        if number != len(STEPS) - 1:
            _draw_arrow(figure, axes, step[2], turns=column == 3)
    FigureCanvasAgg(figure).print_png(OUT)
    print(OUT)


def _draw_step(axes: Axes, step: tuple[str, str, str], picture: Picture | None) -> None:
    title, module, _ = step
    axes.set(xticks=[], yticks=[], facecolor=GROUND)
    for spine in axes.spines.values():
        spine.set_color("#c9c6bd")
    if picture is None:
        _draw_learning(axes)
    else:
        axes.imshow(picture, aspect="auto", interpolation="lanczos")
    axes.text(0, 1.035, title, transform=axes.transAxes, fontsize=13, weight="bold", color=INK)
    axes.text(
        0, -0.03, module, transform=axes.transAxes, fontsize=9, color=FAINT, va="top", family="monospace"
    )


def _draw_arrow(figure: Figure, axes: Axes, carried: str, turns: bool) -> None:
    box = axes.get_position()
    middle = (box.y0 + box.y1) / 2
    ends = (
        ((0.8815, 0.565), (0.118, 0.452)) if turns else ((box.x1 + 0.006, middle), (box.x1 + 0.037, middle))
    )
    figure.add_artist(
        FancyArrowPatch(
            *ends,
            transform=figure.transFigure,
            arrowstyle="-|>",
            mutation_scale=17,
            color=INK,
            linewidth=1.4,
            connectionstyle="arc,angleA=-90,angleB=90,armA=42,armB=42,rad=8" if turns else "arc3",
        )
    )
    x, y = (0.5, 0.516) if turns else ((ends[0][0] + ends[1][0]) / 2, ends[0][1] + 0.022)
    figure.text(x, y, carried, fontsize=8.5, color=INK, ha="center", rotation=0 if turns else 90, va="bottom")


def _draw_learning(axes: Axes) -> None:
    axes.set(xlim=(0, 4), ylim=(0, 3))
    lines = (
        ("image I, masks M", 2.55, 11, INK),
        ("$T', C = \\mathrm{Policy}(I, M)$", 1.75, 17, INK),
        ("one step of the camera, and a score", 1.05, 9, FAINT),
        (
            "depth from the camera's own motion,\nthe goal from a small CNN",
            0.45,
            8.5,
            FAINT,
        ),
    )
    for text, y, size, colour in lines:
        axes.text(2, y, text, fontsize=size, color=colour, ha="center", va="center")
    axes.annotate("", (2, 2.05), (2, 2.38), arrowprops={"arrowstyle": "-|>", "color": INK})
    axes.annotate("", (2, 1.2), (2, 1.48), arrowprops={"arrowstyle": "-|>", "color": INK})


def _tiles(pictures: list[Picture], columns: int = 2) -> Picture:
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows)


def _cameras(capture: HandoverCapture) -> Picture:
    """Shows what four of the cameras saw, one of them as depth."""
    views = capture.views[::2][:4]
    pictures = [view.rgb[::2, ::2] for view in views]
    depth = np.clip((views[1].depth_m[::2, ::2] - 0.3) / 1.2, 0, 1)
    pictures[1] = np.repeat((255 * (1 - depth) * (depth > 0)).astype(np.uint8)[..., None], 3, axis=2)
    return _tiles(pictures)


def _splat(scene: HandoverScene) -> Picture:
    """Renders the scene from where no camera stood."""
    grasp = scene.grasp.scene_from_grasp
    eye = scene.object_centre - 0.42 * grasp.rotation[:, 2] + 0.12 * grasp.rotation[:, 0] + [0, 0, 0.14]
    view = make_rasteriser().render(scene.gaussians, D435I, look_at(eye, scene.object_centre))
    return np.where(view.alpha[..., None] > 0.5, rgb_to_uint8(view), 245).astype(np.uint8)


def _trajectories(scene: HandoverScene, initial_poses: int) -> Picture:
    """Draws the grasp and the expert's trajectories, as in the paper's Fig. 3."""
    drawn = figure_of.draw(scene, initial_poses)
    for text in list(drawn.texts):
        text.remove()
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _demonstration(scene: HandoverScene) -> Picture:
    """Shows what the camera sees on one of those trajectories, with hand and object outlined."""
    (start,) = sample_initial_poses(scene, np.random.default_rng(1), 1)
    poses: list[SE3] = ThreePhaseExpert().rollout(scene, start).poses
    chosen = [poses[k] for k in np.linspace(0, len(poses) - 1, 4).round().astype(int)]
    rgb, masks = observe(make_rasteriser(), [scene.gaussians] * 4, HAND_EYE_CAMERA, chosen)
    return _tiles([outlined({"rgb": i, "masks": m}) for i, m in zip(rgb, masks, strict=True)])


def _episode(scene: HandoverScene) -> Picture:
    """Shows four moments of the learned policy."""
    (episode,) = evaluate({"learned": make_policy("learned")}, [scene], 1, 0)["learned"]
    frames = film(H2RHandoverEnv(scene), episode).frames
    return _tiles([frames[k] for k in np.linspace(0, len(frames) - 1, 4).round().astype(int)])


def _rehearsal(scene: HandoverScene) -> Picture:
    """Shows the emulated arm in front of the scene."""
    with tempfile.TemporaryDirectory() as folder:
        scene.save(Path(folder) / "scene")
        video = Path(folder) / "rehearsal.mp4"
        robot.rehearse(robot.Rehearse(Path(folder) / "scene", "expert", video=video, logs=Path(folder)))
        frames = iio.imread(video)
    return np.asarray(frames[int(0.55 * len(frames))][:, : frames.shape[2] // 2])


if __name__ == "__main__":
    main()
