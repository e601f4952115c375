"""Evaluates policies: tables on the terminal, report.json, records.npz, report.md, report.html, a PNG and an MP4.

    python evaluate.py
    python evaluate.py --scenes scenes/mine --policy learned --policy my_pkg.mine:MyPolicy --out results/mine
    python evaluate.py --suite robust --policy learned --workers 2 --out results/robust
    python evaluate.py --reproduce results/mine/report.json
    python evaluate.py --target emulator --policy learned-reach --out results/table2

A policy is a name (expert, learned, learned-reach, ranging, ibvs-mask, zeros, zeros-reach, blind, random), a
checkpoint folder, a .onnx file, a Stable-Baselines3 .zip, or module:Class. docs/benchmark.md defines suites and
figures; the headline is *handed over*, judged by contact.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from h2rh_env import report
from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.benchmark.judge import HandoverConfig
from h2rh_env.benchmark.rollout import Episode
from h2rh_env.benchmark.suites import UNSEEN_OBJECTS, Suite, make_suite
from h2rh_env.contact.conditions import BENCHMARK_CONDITIONS, ContactConditions
from h2rh_env.core.errors import HandoverError
from h2rh_env.core.policy import Policy
from h2rh_env.envs.drive_on import FinalApproach
from h2rh_env.envs.handover import H2RHandoverEnv
from h2rh_env.envs.handover_metrics import can_be_handed_over
from h2rh_env.perturbations.conditions import STRENGTHS
from h2rh_env.rendering.cpu.threads import cores
from h2rh_env.report.records import read_report
from h2rh_env.report.save import as_json, as_json_value, differences
from h2rh_env.utils import cli
from h2rh_env.utils.files import sha256_of
from h2rh_env.utils.parallel import Cluster
from policies.registry import make_policy

DIFFERENT = 1
MOST_ROWS = 40  # of a table on the terminal; the report has them all


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate, and where to write the report."""

    policy: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """This policy is evaluated; the option may be repeated. By default these are expert, learned, ibvs-mask, zeros
    and blind, and for the suite robust learned and ibvs-mask."""
    scenes: Path | None = None
    """The scenes are read from this scene folder, or from the folders in it. By default they are those that ship with
    the package; for the suite unseen, those in scenes/unseen, which are built if they are not there."""
    initial_poses: int = 5
    """Every policy begins at this many initial poses in each scene, and at the same ones. The paper takes 10."""
    seed: int = 0
    """The initial poses and the conditions of contact are drawn from this seed."""
    target: Literal["simulation", "emulator"] = "simulation"
    """With simulation, episodes run in the environment. With emulator, the paper's Table II is made: trials
    through the robot stack of real_robot/ in an emulated laboratory, with contact, on a clock of its own; this writes
    table2.md, table2.json and the trials' logs."""
    segmenter: str = "network"
    """With --target emulator, this segments the camera's images: network is the built-in network, labels the truth,
    and module:Class a segmenter of your own."""
    align_grasp: bool = False
    """With --target emulator, the gripper aligns with what it measured of the object before it advances; the paper's
    robot goes straight ahead from where the policy declared."""
    givers: int = 4
    """With --target emulator, each object is held out by this many givers (Sec. IV-A: 4)."""
    rasteriser: str = "auto"
    """This renders: auto, numba, gsplat or reference."""
    out: Path = Path("results/latest")
    """The report is written to this folder."""
    suite: Literal["scenes", "table1", "unseen", "robust"] = "scenes"
    """The suite scenes has all scenes of --scenes; table1 has the paper's objects among them, with the paper's split
    into seen and unseen; unseen has synthetic objects that no training saw; robust puts every perturbation between
    the scenes and the policies, at growing strength."""
    seeds: int = 1
    """The evaluation is done for this many sets of initial poses, drawn from --seed and the numbers after it."""
    workers: int | None = None
    """The episodes run in this many processes, by default one for each core. The figures do not depend on it."""
    cluster: Cluster | None = None
    """The processes run on this machine (processes), or on a Ray cluster (ray), whose address is in RAY_ADDRESS and
    which is given --workers tasks at a time."""
    objects: int = UNSEEN_OBJECTS
    """The suite unseen has this many objects."""
    giver: Literal["still", "moving"] = "still"
    """The giver holds still, or carries hand and object along a smooth path."""
    strengths: tuple[float, ...] = STRENGTHS
    """The perturbations of the suite robust have these strengths, each above 0 and at most 1."""
    final_approach: FinalApproach = "fixed"
    """A policy that declares the pre-grasp pose is driven straight on: by 0.3 m (fixed, the paper's s), or by a
    length that a robot could measure in its depth image between the fingers (measured)."""
    contact: ContactConditions = BENCHMARK_CONDITIONS
    """These conditions of contact are drawn for each episode from its seed."""
    reproduce: Path | None = None
    """The evaluation of this report.json is done again, and it is told whether every figure is the same."""

    def __post_init__(self) -> None:
        for name in ("initial_poses", "seeds", "workers", "objects", "givers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise HandoverError(f"--{name.replace('_', '-')} is {value}; at least 1 is needed")
        if self.seed < 0:
            raise HandoverError(f"--seed is {self.seed}; it must be at least 0")
        if not self.strengths or not all(0 < s <= 1 for s in self.strengths):
            raise HandoverError(f"--strengths are {self.strengths}; each must be above 0 and at most 1")
        if self.reproduce is not None:
            self._refuse_all_but(
                {"reproduce", *HOW}, "with --reproduce, which reads the settings of the report"
            )
        elif self.target == "emulator":
            self._refuse_all_but(READ_BY_EMULATOR, "with --target emulator")
        else:
            cli.refuse_ignored(self, ("segmenter", "givers", "align_grasp"), "without --target emulator")
            if self.suite != "unseen":
                cli.refuse_ignored(self, ("objects",), "without --suite unseen")
            if self.suite != "robust":
                cli.refuse_ignored(self, ("strengths",), "without --suite robust")

    def _refuse_all_but(self, read: Collection[str], reason: str) -> None:
        cli.refuse_ignored(self, [f.name for f in fields(self) if f.name not in read], reason)


HOW = ("workers", "cluster")  # where the processes run; changes no figure
READ_BY_EMULATOR = (
    "target",
    "policy",
    "scenes",
    "seed",
    "segmenter",
    "givers",
    "align_grasp",
    "final_approach",
    "out",
)
DEFAULT_POLICIES = ("expert", "learned", "ibvs-mask", "zeros", "blind")
IMAGE_POLICIES = ("learned", "ranging", "ibvs-mask")  # perturbed images are nothing to the expert


def main(config: EvaluateConfig) -> None:
    if config.reproduce is not None:
        sys.exit(_reproduce(config.reproduce, config.workers))
    if config.target == "emulator":
        _run_table2(config)
        return
    suite, episodes, settings = _run(config)
    env = H2RHandoverEnv(suite.scenes, **_env_options(config))
    report.save(config.out, episodes, settings, env, suite.by_object, config.contact)
    console = Console()
    for note in suite.notes:
        console.print(note)
    numbers = f"seed {config.seed}" if config.seeds == 1 else f"{config.seeds} seeds from {config.seed}"
    console.print(f"{len(suite.scenes)} scenes x {config.initial_poses} initial poses, {numbers}")
    for title, (header, body) in report.tables(episodes, suite.by_object).items():
        if len(body) <= MOST_ROWS:
            console.print(report.terminal_table(title, header, body))
    written = ", ".join(sorted(path.name for path in config.out.iterdir()))
    console.print(f"written to {config.out}: {written}")


def _contact_notes(config: EvaluateConfig, suite: Suite) -> Iterator[str]:
    """Under what conditions handovers were judged, and which scenes were not."""
    c = config.contact
    yield (
        f"contact: friction {c.friction[0]:g}-{c.friction[1]:g}, mass x {c.mass_factor[0]:g}-{c.mass_factor[1]:g}, "
        f"arrival noise {1e3 * c.arrival_noise_m:g} mm and {math.degrees(c.arrival_noise_rad):.2g} degrees (rms), "
        f"final approach {config.final_approach}"
    )
    left_out = [scene.name for scene in suite.scenes if not can_be_handed_over(scene)]
    if left_out:
        yield f"{len(left_out)} scenes are left out of handed over, since no safe grasp fits: {', '.join(left_out)}"


def _run_table2(config: EvaluateConfig) -> None:
    from real_robot.benchmark.table2 import HEADLINE, POLICIES, table2, table2_text

    scenes = make_suite("scenes", config.scenes).scenes
    logs, policies = config.out / "trials", config.policy or POLICIES
    trials = table2(
        policies,
        scenes,
        config.segmenter,
        givers=config.givers,
        seed=config.seed,
        logs=logs,
        out=config.out,
        config=replace(
            HEADLINE, align_grasp=config.align_grasp, measure_advance=config.final_approach == "measured"
        ),
    )
    print(table2_text(trials))
    print(f"written to {config.out}: table2.json, table2.md, trials")


def _env_options(config: EvaluateConfig) -> dict[str, Any]:
    return {"rasteriser": config.rasteriser, "giver": config.giver}


def _run(config: EvaluateConfig) -> tuple[Suite, dict[str, list[Episode]], dict[str, Any]]:
    names = config.policy or (IMAGE_POLICIES if config.suite == "robust" else DEFAULT_POLICIES)
    policies = {name: make_policy(name) for name in names}
    workers = config.workers or cores()
    with cli.progress_bar() as progress:
        building = config.suite == "unseen"
        task = progress.add_task("scenes", total=config.objects, note="", visible=building)
        suite = make_suite(
            config.suite, config.scenes, config.objects, config.strengths, workers,
            lambda name: progress.update(task, advance=1, note=name),
        )  # fmt: skip
        total = len(names) * len(suite.scenes) * config.initial_poses * config.seeds * len(suite.conditions)
        task = progress.add_task("episodes", total=total, note="")
        episodes = evaluate(
            policies, suite.scenes, config.initial_poses, config.seed, _env_options(config),
            lambda: progress.advance(task), seeds=config.seeds, conditions=suite.conditions,
            workers=workers, cluster=config.cluster, make_policy=make_policy,
            handover=HandoverConfig(config.final_approach, config.contact),
        )  # fmt: skip
    hashes = {name: _content_hash(name, policy) for name, policy in policies.items()}
    return suite, episodes, _settings(replace(config, policy=tuple(names)), hashes)


def _content_hash(name: str, policy: Policy) -> str:
    """Returns the hash of the files that a policy was made from; empty if it was made from none."""
    known = str(getattr(policy, "content_hash", ""))
    return known or (sha256_of(Path(name)) if Path(name).is_file() else "")


def _settings(config: EvaluateConfig, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What decides the figures; `--reproduce` reads it back."""
    left_out = {"out", "workers", "cluster", "reproduce", "target", "segmenter", "givers", "align_grasp"}
    plain = {key: as_json_value(value) for key, value in asdict(config).items() if key not in left_out}
    return plain | {"policy_hashes": dict(hashes)}


def _reproduce(path: Path, workers: int | None) -> int:
    saved = read_report(path)
    settings = {key: value for key, value in saved["settings"].items() if key != "policy_hashes"}
    unknown = settings.keys() - {field.name for field in fields(EvaluateConfig)}
    if unknown:
        raise HandoverError(
            f"{path} has settings that this version does not know: {', '.join(sorted(unknown))}"
        )
    settings["policy"] = tuple(settings["policy"])
    settings["strengths"] = tuple(settings.get("strengths", STRENGTHS))
    contact: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings["contact"].items()
    }
    settings["contact"] = ContactConditions(**contact)
    settings["scenes"] = Path(settings["scenes"]) if settings.get("scenes") else None
    _, episodes, again = _run(EvaluateConfig(**settings, workers=workers))
    found = differences(saved, as_json(episodes, again))
    if not found:
        print(f"identical: {len(saved['episodes'])} episodes, every figure but times")
        return 0
    print(f"{len(found)} figures differ; the first:")
    for line in found[:10]:
        print(f"  {line}")
    return DIFFERENT


if __name__ == "__main__":
    cli.run(main, EvaluateConfig, __doc__)
