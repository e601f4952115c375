"""Suites: what the benchmark evaluates in: a folder's scenes, the paper's objects, unseen ones, harder conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

from .. import __version__
from ..build import build_scene
from ..captures.synthetic.generate import GENERATOR_VERSION, RANDOM_OBJECT, generate_capture
from ..core.errors import CaptureError, GraspError, HandoverError, SceneError
from ..perturbations.conditions import AS_RENDERED, STRENGTHS, Condition, all_conditions
from ..scenes.handover_scene import HandoverScene, load_scenes
from ..utils import files
from .paper import TABLE_I

SUITES = ("scenes", "table1", "unseen", "robust")
UNSEEN_FIRST_SEED = 900_000  # captures with seeds from here on are for evaluation; training must not use them
UNSEEN_OBJECTS = 50
UNSEEN_FOLDER = Path("scenes/unseen")

Step = Callable[[str], None]


@dataclass(frozen=True)
class Suite:
    """Scenes, conditions, and lines to tell the user.

    Attributes:
        by_object: each scene is named by its object, which stands in the paper's Table I.
    """

    scenes: list[HandoverScene]
    conditions: tuple[Condition, ...] = (AS_RENDERED,)
    notes: tuple[str, ...] = ()
    by_object: bool = False


def make_suite(
    name: str,
    folder: Path | None = None,
    objects: int = UNSEEN_OBJECTS,
    strengths: tuple[float, ...] = STRENGTHS,
    workers: int = 1,
    step: Step = lambda line: None,
) -> Suite:
    """A suite by name.

    Args:
        name: one of `SUITES`.
        folder: a scene, or a folder of scenes; for `unseen`, where they are kept once built.
        objects: how many `unseen` has. strengths: of the perturbations of `robust`.
        workers: processes that build. step: told of each scene built.

    Raises:
        HandoverError: an unknown name. SceneError: no scene of the kind is there.
    """
    if name == "unseen":
        return Suite(unseen_scenes(folder or UNSEEN_FOLDER, objects, workers, step))
    if name == "table1":
        return _table1(load_scenes(folder))
    if name == "robust":
        return Suite(load_scenes(folder), all_conditions(strengths))
    if name == "scenes":
        return Suite(load_scenes(folder))
    raise HandoverError(f"there is no suite {name!r}; there are {', '.join(SUITES)}")


def _table1(scenes: list[HandoverScene]) -> Suite:
    """Picks the first scene of each of the paper's objects and names it by the object."""
    found: dict[str, HandoverScene] = {}
    for scene in scenes:
        found.setdefault(scene.object_name, scene)
    chosen = [replace(found[name], name=name) for name in TABLE_I if name in found]
    missing = [name for name in TABLE_I if name not in found]
    if not chosen:
        raise SceneError(f"none of Table I's objects is among these scenes: {', '.join(sorted(found))}")
    notes = (
        (f"{len(missing)} of Table I's 11 objects have no scene here: {', '.join(missing)}",)
        if missing
        else ()
    )
    return Suite(chosen, notes=notes, by_object=True)


def unseen_scenes(
    folder: Path, objects: int, workers: int = 1, step: Step = lambda line: None
) -> list[HandoverScene]:
    """Invented objects that no training saw: the first `objects` seeds from `UNSEEN_FIRST_SEED` that give a scene.

    They are kept in `folder`, and built again only when the generator or the package has changed.
    """
    if objects < 1:
        raise HandoverError(f"{objects} unseen objects were asked for; at least 1 is needed")
    jobs = ((folder, seed) for seed in count(UNSEEN_FIRST_SEED))
    scenes: list[HandoverScene] = []
    for scene in _built(jobs, workers):
        if scene is not None:
            scenes.append(scene)
            step(scene.name)
        if len(scenes) == objects:
            break
    return scenes


def _built(jobs: Iterator[tuple[Path, int]], workers: int) -> Iterator[HandoverScene | None]:
    """Scenes in order of seed, a few ahead of what is asked for where there are several workers."""
    if workers == 1:
        yield from map(_unseen_scene, jobs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        while batch := list(islice(jobs, workers)):
            yield from pool.map(_unseen_scene, batch)


def _unseen_scene(job: tuple[Path, int]) -> HandoverScene | None:
    """From the folder if it is there and of this version, else built; None for a seed that gives no scene."""
    folder, seed = job
    name = f"{RANDOM_OBJECT}-{seed}"
    place, refused = folder / name, folder / f"{name}.left_out.txt"
    made_by = f"generator {GENERATOR_VERSION}, package {__version__}"
    if refused.exists() and refused.read_text().startswith(made_by):
        return None
    if (place / "scene.json").exists():
        scene = HandoverScene.load(place)
        if scene.provenance.get("made_by") == made_by:
            return scene
    try:
        scene = build_scene(generate_capture(seed, RANDOM_OBJECT), seed)
    except (CaptureError, GraspError) as error:
        files.write_bytes(refused, f"{made_by}: {error}\n".encode())
        return None
    replace(scene, name=name, provenance=scene.provenance | {"made_by": made_by}).save(place)
    return HandoverScene.load(place)
