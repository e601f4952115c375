"""How far the chosen grasp jumps when the same handover is seen again, and how exactly one must arrive.

    python benchmarks/repeatability.py scenes/train
    python benchmarks/repeatability.py scenes/train --scenes 40 --draws 2 --out study.json
    python benchmarks/repeatability.py scenes/synthetic --rebuild

What an image does not determine can't be learnt, so like scenes must get like grasps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from h2rh_env.captures.synthetic.generate import GENERATOR_VERSION, RANDOM_OBJECT, generate_capture
from h2rh_env.core.clearance import swept_hits
from h2rh_env.core.errors import GraspError, HandoverError
from h2rh_env.core.geometry import SE3, Array, rotation_angle, uniform_directions
from h2rh_env.core.gripper import half_turned
from h2rh_env.core.task import STANDOFF_M
from h2rh_env.grasps.antipodal import AntipodalProposer
from h2rh_env.grasps.base import GraspCandidate
from h2rh_env.grasps.selection import select_grasp
from h2rh_env.grasps.surface import thinned
from h2rh_env.reconstruction.initialise import initialise
from h2rh_env.scenes.handover_scene import HandoverScene, scene_folders
from h2rh_env.utils import cli, files

JUMP_RAD = float(np.radians(20))
OFF_M, OFF_RAD = 0.02, float(np.radians(4))  # how far off a learner's pre-grasp pose may well be
OFF_DRAWS = 100
LEFT_OUT = 2  # cameras, when a capture is reconstructed anew
REBUILT = "two cameras fewer"
MIRROR = np.diag([-1.0, 1.0, 1.0])

Clouds = tuple[Array, Array]  # object and hand, (P, 3) each, m


@dataclass(frozen=True)
class RepeatabilityStudy:
    """Settings of the study."""

    folder: Annotated[Path | None, tyro.conf.Positional] = None
    """A scene folder, or a folder of scene folders; the shipped ones by default."""
    scenes: int = 40
    """How many of them, evenly picked."""
    draws: int = 2
    """Times that each change is drawn."""
    seed: int = 0
    """Of the changes."""
    rebuild: bool = False
    """Also reconstruct invented captures anew, from six of their eight cameras."""
    out: Path | None = None
    """JSON file for the table's rows."""

    def __post_init__(self) -> None:
        for name in ("scenes", "draws"):
            if getattr(self, name) < 1:
                raise HandoverError(f"--{name} is {getattr(self, name)}; it must be at least 1")


def noisy(clouds: Clouds, rng: np.random.Generator) -> Clouds:
    """Every point 1 mm off along each axis (standard deviation)."""
    points, hand = clouds
    return points + rng.normal(0, 1e-3, points.shape), hand + rng.normal(0, 1e-3, hand.shape)


def voxelised(clouds: Clouds, rng: np.random.Generator) -> Clouds:
    """Thinned anew at 1.5 to 3 mm, with the grid somewhere else."""
    size, shift = rng.uniform(0.0015, 0.003), rng.uniform(0, 0.003, 3)
    points, hand = clouds
    return thinned(points + shift, size) - shift, thinned(hand + shift, size) - shift


def patched(clouds: Clouds, rng: np.random.Generator) -> Clouds:
    """A tenth of either cloud missing, in patches about a finger wide."""
    points, hand = (_with_holes(cloud, rng) for cloud in clouds)
    return points, hand


def nearby(clouds: Clouds, rng: np.random.Generator) -> Clouds:
    """The hand 5 mm and 2 degrees elsewhere on the object, as in the frame before."""
    points, hand = clouds
    if not len(hand):
        return clouds
    centre = points.mean(axis=0)
    shift, axis = uniform_directions(rng, 2)
    turn = Rotation.from_rotvec(np.radians(2) * axis).as_matrix()
    return points, (hand - centre) @ turn.T + centre + 0.005 * shift


def mirrored(clouds: Clouds, rng: np.random.Generator) -> Clouds:
    """As a left hand for a right one."""
    points, hand = clouds
    return points @ MIRROR, hand @ MIRROR


CHANGES: dict[str, Callable[[Clouds, np.random.Generator], Clouds]] = {
    "1 mm noise": noisy,
    "voxels of 1.5-3 mm": voxelised,
    "a tenth missing": patched,
    "hand 2 deg, 5 mm off": nearby,
    "mirrored": mirrored,
}


def _with_holes(cloud: Array, rng: np.random.Generator) -> Array:
    kept = np.ones(len(cloud), bool)
    tree = cKDTree(cloud) if len(cloud) else None
    while tree is not None and kept.mean() > 0.9:
        kept[tree.query_ball_point(cloud[rng.integers(len(cloud))], rng.uniform(0.004, 0.01))] = False
    return cloud[kept]


def rebuilt(scene: HandoverScene, rng: np.random.Generator) -> Clouds:
    """Of the same capture, with two cameras left out.

    Raises:
        HandoverError: the capture was not invented by this version of the package.
    """
    capture, settings = scene.provenance.get("capture", {}), scene.provenance.get("settings", {})
    if capture.get("generator_version") != GENERATOR_VERSION or "optimise" in settings:
        raise HandoverError(
            f"{scene.name} was not built from depth with generator {GENERATOR_VERSION}, so it can't be rebuilt; "
            "leave --rebuild out or make scenes with: python -m h2rh_env.build --synthetic 40 --out SCENES"
        )
    invented = str(capture["object"]).startswith(RANDOM_OBJECT)
    whole = generate_capture(capture["seed"], RANDOM_OBJECT if invented else capture["object"])
    kept = np.sort(rng.permutation(len(whole.views))[: len(whole.views) - LEFT_OUT])
    fewer = replace(whole, views=tuple(whole.views[i] for i in kept))
    _, points, hand = initialise(fewer, settings["voxel_m"], settings["max_gaussians"])
    return points.astype(np.float64), hand.astype(np.float64)


def choose(clouds: Clouds) -> GraspCandidate:
    """As a scene's building does it."""
    points = clouds[0].astype(np.float32)
    return select_grasp(AntipodalProposer().propose(points, np.random.default_rng(0)), *clouds)


def jump(before: GraspCandidate, after: GraspCandidate) -> tuple[float, float, float]:
    """Turn, rad, up to the gripper's half turn; way of the pre-grasp position and of the contact, m."""
    scene_from_grasp = before.scene_from_grasp
    turn = min(
        rotation_angle(scene_from_grasp.rotation.T @ other.rotation)
        for other in (after.scene_from_grasp, half_turned(after.scene_from_grasp))
    )
    pregrasp = before.pregrasp().translation - after.pregrasp().translation
    contact = before.contact_scene - after.contact_scene
    return turn, float(np.linalg.norm(pregrasp)), float(np.linalg.norm(contact))


def mirrored_grasp(grasp: GraspCandidate) -> GraspCandidate:
    """The grasp of the mirrored scene; the mirror also exchanges the fingers, which keeps it a rotation."""
    pose = grasp.scene_from_grasp
    mirror_image = SE3(MIRROR @ pose.rotation @ MIRROR, MIRROR @ pose.translation)
    return GraspCandidate(mirror_image, grasp.width_m, grasp.score, grasp.graspable)


def unsafe_when_off(grasp: GraspCandidate, hand_points: Array, rng: np.random.Generator) -> float:
    """Fraction of pre-grasp poses 2 cm and 4 degrees off whose straight advance sweeps the hand."""
    shifts, axes = uniform_directions(rng, OFF_DRAWS), uniform_directions(rng, OFF_DRAWS)
    turns = Rotation.from_rotvec(OFF_RAD * axes).as_matrix()
    poses = [grasp.pregrasp() @ SE3(turn, OFF_M * shift) for turn, shift in zip(turns, shifts, strict=True)]
    return float(np.mean([swept_hits(hand_points, pose, STANDOFF_M).any() for pose in poses]))


def seen_again(
    scene: HandoverScene,
    clouds: Clouds,
    chosen: GraspCandidate,
    config: RepeatabilityStudy,
    rng: np.random.Generator,
) -> Iterator[tuple[str, GraspCandidate, Clouds]]:
    """Each change by name, the grasp that it should lead to, and the clouds it leaves."""
    for name, change in CHANGES.items():
        expected = mirrored_grasp(chosen) if change is mirrored else chosen
        for _ in range(1 if change is mirrored else config.draws):
            yield name, expected, change(clouds, rng)
    if config.rebuild:
        yield REBUILT, chosen, rebuilt(scene, np.random.default_rng(config.seed))


def study(config: RepeatabilityStudy) -> dict[str, Any]:
    """Jumps by change, (n, 3) each: rad, m, m; and of each scene risk, graspability, and CPU seconds."""
    folders = scene_folders(config.folder)
    picked = [folders[i] for i in np.unique(np.linspace(0, len(folders) - 1, config.scenes).astype(int))]
    rng = np.random.default_rng(config.seed)
    names = [*CHANGES, REBUILT] if config.rebuild else [*CHANGES]
    jumps: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    found: dict[str, Any] = {"scenes": [], "unsafe": [], "graspable": [], "seconds": [], "lost": 0}
    with cli.progress_bar() as bar:
        task = bar.add_task("scenes", total=len(picked), note="")
        for folder in picked:
            scene = HandoverScene.load(folder)
            clouds = scene.object_points.astype(np.float64), scene.hand_points.astype(np.float64)
            begin = time.process_time()
            chosen = choose(clouds)
            found["seconds"].append(time.process_time() - begin)
            found["scenes"].append(folder.name)
            found["graspable"].append(chosen.graspable)
            found["unsafe"].append(unsafe_when_off(chosen, clouds[1], np.random.default_rng(config.seed)))
            for name, expected, seen in seen_again(scene, clouds, chosen, config, rng):
                try:
                    jumps[name].append(jump(expected, choose(seen)))
                except GraspError:
                    found["lost"] += 1
            bar.update(task, advance=1, note=folder.name)
    return found | {"jumps": jumps}


def table(jumps: dict[str, list[tuple[float, float, float]]]) -> Table:
    """Median and 90th percentile of each jump, and how many turn by more than 20 degrees."""
    view = Table("change", "turn, deg", "pre-grasp, mm", "contact, mm", "> 20 deg", title="median / p90")
    for name, values in jumps.items():
        each = np.array(values) * [180 / np.pi, 1e3, 1e3]
        middle, high = np.percentile(each, [50, 90], axis=0)
        cells = [f"{a:.1f} / {b:.1f}" for a, b in zip(middle, high, strict=True)]
        view.add_row(name, *cells, f"{100 * np.mean(each[:, 0] > np.degrees(JUMP_RAD)):.1f} %")
    return view


def main(config: RepeatabilityStudy) -> None:
    """Studies, prints, saves."""
    found = study(config)
    console = Console()
    console.print(table(found["jumps"]))
    unsafe = np.array(found["unsafe"])
    console.print(
        f"{len(unsafe)} scenes, {sum(found['graspable'])} graspable; from 2 cm and 4 degrees off, "
        f"{100 * unsafe.mean():.1f} % of the advances sweep the hand (from {100 * np.mean(unsafe > 0.1):.0f} % of "
        f"the scenes more than a tenth); {found['lost']} changed scenes had no safe approach; choosing took "
        f"{np.median(found['seconds']):.2f} s of CPU (median)"
    )
    if config.out:
        files.write_json(config.out, found)


if __name__ == "__main__":
    cli.run(main, RepeatabilityStudy, __doc__)
