"""The paper's Table II protocol through the whole robot stack: 6 objects, five positions, four givers.

What stands beside the result are the paper's own figures, measured on its robot: a rehearsal is not that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from h2rh_env.clearance import Clearance
from h2rh_env.errors import RobotError
from h2rh_env.handover_scene import HandoverScene
from h2rh_env.interface import EpisodeRecord
from h2rh_env.metrics import EpisodeScore, score
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.select import make_rasteriser
from policies.registry import make_policy

from .config import RobotConfig
from .emulator.rehearsal import FLANGE_FROM_GRIPPER, emulated_devices, patient
from .kinematics import UR5
from .placement import POSITIONS, Placement, place
from .session import Outcome, TrialResult, run_trial
from .simulated import simulated_devices
from .trial_log import read_log

POLICIES = ("learned", "ibvs-mask", "expert")
GIVERS = 4
ROOM_M = 1.0  # a rehearsal's work space reaches this far from the object; a scene knows of no table
PAPER = {"learned": ("the paper's policy, on its robot", 67.2, 97.3, 10.56),
         "ibvs-mask": ("the paper's IBVS-MASK, on its robot", 23.0, 80.2, 15.37)}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial of the protocol; `declared_score` judges the declared pose as in simulation.

    Attributes:
        least_hand_m: of the gripper frame's measured origin to the scene's hand, m.
    """

    policy: str
    object_name: str
    scene: str
    position: str
    outcome: Outcome
    reach_s: float | None
    total_s: float
    record: EpisodeRecord
    declared_score: EpisodeScore
    least_hand_m: float

    @property
    def success(self) -> bool:
        """The object was handed over."""
        return self.outcome is Outcome.HANDED_OVER


def rehearsal_config(config: RobotConfig, scene: HandoverScene) -> RobotConfig:
    """With a work space about the scene's object."""
    low, high = scene.object_centre - ROOM_M, scene.object_centre + ROOM_M
    return replace(
        config,
        workspace_low_m=(float(low[0]), float(low[1]), float(low[2])),
        workspace_high_m=(float(high[0]), float(high[1]), float(high[2])),
    )


def table2(
    policies: Sequence[str],
    scenes: Sequence[HandoverScene],
    objects: int = 6,
    devices: Literal["simulated", "emulator"] = "simulated",
    seed: int = 0,
    logs: Path = Path("robot_trials/table2"),
    tell: Callable[[str], None] = print,
) -> list[Trial]:
    """Every policy at every position before every giver of the first objects; a line is told for each trial.

    Args:
        scenes: those of one object are its givers; of each, the first four that an arm can take are used.
        devices: the simulated devices are used by default; the emulator's run in real time.

    Raises:
        RobotError: a log of the same name exists.
    """
    rasteriser, trials = make_rasteriser(), []
    for scene in _chosen(scenes, objects):
        for number, position in enumerate(POSITIONS):
            try:
                placement = place(
                    scene, UR5, FLANGE_FROM_GRIPPER, np.random.default_rng([seed, number]), position
                )
            except RobotError as error:
                tell(f"left out: {error}")
                continue
            for policy in policies:
                log = logs / f"{policy.replace('/', '_')}-{scene.name}-{position}.jsonl"
                trial = _run(policy, scene, placement, position, devices, seed, log, rasteriser)
                trials.append(trial)
                tell(f"{policy:10} {scene.name:24} {position:7} {trial.outcome} in {trial.total_s:.1f} s")
    return trials


def table2_text(trials: Sequence[Trial]) -> str:
    """A table: success, safe, and mean time to the declaration and in all, with the paper's figures beside it."""
    lines = ["policy                               trials  success      safe   declared after   in all"]
    for policy in dict.fromkeys(trial.policy for trial in trials):
        own = [trial for trial in trials if trial.policy == policy]
        reached = [trial.reach_s for trial in own if trial.reach_s is not None]
        declared = f"{np.mean(reached):8.2f} s" if reached else "   never  "
        lines.append(
            f"{policy:36} {len(own):5}  {_percent([t.success for t in own])}  "
            f"{_percent([t.declared_score.safe for t in own])}   {declared}     "
            f"{np.mean([t.total_s for t in own]):6.2f} s"
        )
        if policy in PAPER:
            name, success, safe, seconds = PAPER[policy]
            lines.append(f"  {name:34}        {success:6.1f} %  {safe:6.1f} %   {seconds:8.2f} s")
    least = min((trial.least_hand_m for trial in trials), default=np.inf)
    lines.append(f"least distance of the gripper frame's origin to the hand, over all trials: {least:.3f} m")
    for name in dict.fromkeys(trial.object_name for trial in trials):
        parts = [
            f"{policy} {sum(t.success for t in own)}/{len(own)}"
            for policy in dict.fromkeys(t.policy for t in trials)
            if (own := [t for t in trials if (t.policy, t.object_name) == (policy, name)])
        ]
        lines.append(f"  {name:24} {', '.join(parts)}")
    return "\n".join(lines)


def _percent(values: list[bool]) -> str:
    return f"{100 * np.mean(values):6.1f} %"


def _chosen(scenes: Sequence[HandoverScene], objects: int) -> list[HandoverScene]:
    givers: dict[str, list[HandoverScene]] = {}
    for scene in scenes:
        givers.setdefault(scene.object_name, []).append(scene)
    return [scene for name in sorted(givers)[:objects] for scene in givers[name][:GIVERS]]


def _run(
    policy: str, scene: HandoverScene, placement: Placement, position: str, devices: str, seed: int, log: Path,
    rasteriser: Rasteriser,
) -> Trial:  # fmt: skip
    config = rehearsal_config(RobotConfig(), scene)
    result: TrialResult
    if devices == "emulator":
        config = patient(config)
        with emulated_devices(scene, placement, rasteriser, None, config, seed=seed) as emulated:
            result = run_trial(make_policy(policy), policy, emulated, config, log, seed, scene)
    else:
        simulated = simulated_devices(scene, placement.world_from_start, rasteriser)
        result = run_trial(make_policy(policy), policy, simulated, config, log, seed, scene)
    return Trial(
        policy, scene.object_name, scene.name, position, result.outcome, result.reach_s, result.total_s,
        result.record, score(result.record, scene), least_hand_distance(log, scene),
    )  # fmt: skip


def least_hand_distance(log: Path, scene: HandoverScene) -> float:
    """Of the gripper frame's measured origin to the scene's hand, m, over every control period of a trial's log."""
    rows = [entry["state"]["world_from_gripper"] for entry in read_log(log) if entry["kind"] == "tick"]
    return float(Clearance(scene.hand_points).distance(np.array(rows)[:, :, 3]).min())
