"""The paper's Table II protocol through the whole robot stack: 6 objects, five positions, four givers.

What stands beside the result are the paper's own figures, measured on its robot: a rehearsal is not that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from h2rh_env.core.clearance import Clearance, swept_hits
from h2rh_env.core.errors import RobotError
from h2rh_env.core.task import CLEARANCE_M
from h2rh_env.envs.metrics import closes_on
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene
from h2rh_env.utils import files
from policies.registry import make_policy

from ..config import RobotConfig
from ..control.outcome import Outcome
from ..drivers.simulated import simulated_devices
from ..drivers.ur.kinematics import UR5
from ..emulator.base_placement import POSITIONS, Placement, place
from ..emulator.rehearsal import FLANGE_FROM_GRIPPER, emulated_devices, patient
from ..safety.trial_log import ClosesLine, EndLine, TickLine, read_log
from ..segmentation.base import make_segmenter
from ..session import run_trial

POLICIES = ("ranging", "ibvs-mask")
GIVERS = 4
ROOM_M = 1.0  # a rehearsal's workspace reaches this far from the object; a scene knows of no table
PAPER_NAMES = {"ranging": "the paper's policy", "ibvs-mask": "the paper's IBVS-MASK"}
PAPER: dict[str, dict[str, tuple[float, float, float]]] = {
    "ranging": {
        "mustard_bottle": (0.93, 1.00, 10.45), "potted_meat_can": (0.85, 1.00, 12.75),
        "scissors": (0.35, 1.00, 9.65), "tomato_soup_can": (0.55, 1.00, 11.11),
        "blackboard_eraser": (0.65, 0.84, 9.29), "screwdriver": (0.70, 1.00, 10.13),
    },
    "ibvs-mask": {
        "mustard_bottle": (0.33, 0.60, 18.12), "potted_meat_can": (0.35, 1.00, 21.16),
        "scissors": (0.05, 1.00, 23.00), "tomato_soup_can": (0.40, 0.87, 14.86),
        "blackboard_eraser": (0.20, 0.33, 7.80), "screwdriver": (0.05, 1.00, 7.30),
    },
}  # fmt: skip
"""Table II: success, safe, time to the pre-grasp pose, s."""


@dataclass(frozen=True)
class Trial:
    """One trial of the protocol.

    Attributes:
        reach_s: until the policy declared; total_s: in all.
        least_hand_m: of the gripper frame's measured origin to the scene's hand, m, over the whole trial.
        touched: whether the open gripper's volume ever held a point of the scene's hand.
        closed_well: whether the gripper closed where it had object between its fingers and none within them.
    """

    policy: str
    object_name: str
    scene: str
    position: str
    outcome: Outcome
    reach_s: float | None
    total_s: float
    least_hand_m: float
    touched: bool
    closed_well: bool

    @property
    def success(self) -> bool:
        """The object was handed over, and could have been: the fingers passed it, not through it."""
        return self.outcome is Outcome.HANDED_OVER and self.closed_well

    @property
    def safe(self) -> bool:
        """The gripper kept off the hand from beginning to end."""
        return not self.touched and self.least_hand_m > CLEARANCE_M


def rehearsal_config(config: RobotConfig, scene: HandoverScene) -> RobotConfig:
    """With a workspace about the scene's object."""
    low, high = scene.object_centre - ROOM_M, scene.object_centre + ROOM_M
    return replace(
        config,
        workspace_low_m=(float(low[0]), float(low[1]), float(low[2])),
        workspace_high_m=(float(high[0]), float(high[1]), float(high[2])),
        table_m=float(low[2]),
    )


def table2(
    policies: Sequence[str],
    scenes: Sequence[HandoverScene],
    devices: Literal["simulated", "emulator"] = "simulated",
    segmenter: str = "labels",
    objects: Sequence[str] = tuple(PAPER["ranging"]),
    givers: int = GIVERS,
    positions: Sequence[str] = tuple(POSITIONS),
    seed: int = 0,
    logs: Path = Path("robot_trials/table2"),
    out: Path | None = None,
    config: RobotConfig | None = None,
    progress: Callable[[str], None] = print,
) -> list[Trial]:
    """Every policy at every position before every giver of the objects; a line is told for each trial.

    One giver of each object comes first, then the second ones. A trial whose log in `logs` has an end is judged by
    that and not run again, so that a run which was stopped goes on where it was. Other scenes, devices,
    segmenters or configurations need another folder.

    Args:
        scenes: those of one object are its givers.
        objects: names; the paper's six by default.
        givers: of each object; the first that an arm can take from at all `positions` are used.
        devices: the simulated devices are used by default; the emulator's run in real time.
        segmenter: of the emulator's images; "labels" sees the true masks.
        logs: folder of the trials' logs; out: folder that `save` writes to after each trial.
        config: the default one where there is none; its workspace is put about each object.

    Raises:
        RobotError: a log in the folder is of another seed, no scene of these objects can be taken, or there is no
            such segmenter.
    """
    rasteriser, trials = make_rasteriser(), []
    for scene, placements in _takeable(scenes, objects, givers, positions, seed, progress):
        for position, placement in placements.items():
            for policy in policies:
                log = logs / f"{policy.replace('/', '_')}-{scene.name}-{position}.jsonl"
                if not _is_finished(log, seed):
                    log.unlink(missing_ok=True)
                    about = rehearsal_config(config or RobotConfig(), scene)
                    _run(policy, scene, placement, devices, segmenter, seed, log, rasteriser, about)
                trial = judged(log, policy, scene, position)
                trials.append(trial)
                if out is not None:
                    save(out, trials)
                notes = "" if trial.safe else ", NOT SAFE"
                notes += (
                    ", through the object"
                    if trial.outcome is Outcome.HANDED_OVER and not trial.success
                    else ""
                )
                progress(
                    f"{policy:10} {scene.name:24} {position:7} {trial.outcome} in {trial.total_s:.1f} s{notes}"
                )
    if not trials:
        raise RobotError("none of these givers can be taken from; build scenes of other hands")
    return trials


def _takeable(
    scenes: Sequence[HandoverScene], objects: Sequence[str], givers: int, positions: Sequence[str], seed: int,
    progress: Callable[[str], None],
) -> Iterator[tuple[HandoverScene, dict[str, Placement]]]:  # fmt: skip
    """The first giver of each object and where the arm stands for each position, then the second ones, and so on.

    A giver whose hand leaves no grasp free, or whom no arm can stand before at every position, is left out and told.
    """
    if not any(scene.object_name in objects for scene in scenes):
        there = ", ".join(sorted({scene.object_name for scene in scenes}))
        raise RobotError(f"no giver of {', '.join(objects)} among these scenes, which show {there}")
    waiting = {name: iter([scene for scene in scenes if scene.object_name == name]) for name in objects}
    for _ in range(givers):
        for queue in waiting.values():
            for scene in queue:
                try:
                    placements = _placements(scene, positions, seed)
                except RobotError as error:
                    progress(f"left out: {error}")
                    continue
                yield scene, placements
                break


def _placements(scene: HandoverScene, positions: Sequence[str], seed: int) -> dict[str, Placement]:
    if not scene.grasp.graspable:
        raise RobotError(f"the hand in {scene.name} leaves no grasp free")
    return {
        position: place(scene, UR5, FLANGE_FROM_GRIPPER, np.random.default_rng([seed, number]), position)
        for number, position in enumerate(POSITIONS)
        if position in positions
    }


def save(folder: Path, trials: Sequence[Trial]) -> None:
    """Writes table2.md, the table, and table2.json, an object for each trial."""
    rows = [
        {
            "policy": trial.policy, "object": trial.object_name, "scene": trial.scene, "position": trial.position,
            "outcome": trial.outcome, "success": trial.success, "safe": trial.safe, "reach_s": trial.reach_s,
            "total_s": trial.total_s, "least_hand_m": trial.least_hand_m,
        }
        for trial in trials
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "table2.json", rows)
    (folder / "table2.md").write_text(f"```\n{table2_text(trials)}\n```\n")


def table2_text(trials: Sequence[Trial]) -> str:
    """Success, safe, and mean time to the declaration, by object and in all, with the paper's figures beside it."""
    lines = [f"{'':38} trials  success     safe  declared after      in all"]
    for policy in dict.fromkeys(trial.policy for trial in trials):
        own = [trial for trial in trials if trial.policy == policy]
        paper = PAPER.get(policy, {})
        for name in dict.fromkeys(trial.object_name for trial in own):
            lines.append(_row(f"{policy}, {name}", [trial for trial in own if trial.object_name == name]))
            if name in paper:
                lines.append(_paper_row(policy, paper[name]))
        lines.append(_row(f"{policy}, in all", own))
        if paper:
            success, safe, seconds = np.mean(list(paper.values()), axis=0)
            lines.append(_paper_row(policy, (success, safe, seconds)))
    least = min((trial.least_hand_m for trial in trials), default=np.inf)
    lines.append(f"least distance of the gripper frame's origin to the hand, over all trials: {least:.3f} m")
    return "\n".join(lines)


def _row(name: str, own: Sequence[Trial]) -> str:
    reached = [trial.reach_s for trial in own if trial.reach_s is not None]
    declared = f"{np.mean(reached):12.2f} s" if reached else f"{'never':>14}"
    return (
        f"{name:38} {len(own):6} {100 * np.mean([t.success for t in own]):6.1f} % "
        f"{100 * np.mean([t.safe for t in own]):6.1f} %  {declared}  {np.mean([t.total_s for t in own]):8.2f} s"
    )


def _paper_row(policy: str, figures: tuple[float, float, float]) -> str:
    name = f"  {PAPER_NAMES[policy]}, on its robot"
    return f"{name:45} {100 * figures[0]:6.1f} % {100 * figures[1]:6.1f} %  {figures[2]:12.2f} s"


def _is_finished(log: Path, seed: int) -> bool:
    """Whether a log has an end.

    Raises:
        RobotError: it has, and is of another seed.
    """
    if not log.exists() or not log.stat().st_size:
        return False
    first, lines = read_log(log)
    if not lines or not isinstance(lines[-1], EndLine):
        return False
    if first.seed != seed:
        raise RobotError(f"{log} is of seed {first.seed}; name another folder for the logs of seed {seed}")
    return True


def _run(
    policy: str, scene: HandoverScene, placement: Placement, devices: str, segmenter: str, seed: int, log: Path,
    rasteriser: Rasteriser, config: RobotConfig,
) -> None:  # fmt: skip
    if devices == "emulator":
        config = patient(config)
        eyes = None if segmenter == "labels" else make_segmenter(segmenter)
        with emulated_devices(scene, placement, rasteriser, eyes, config, seed=seed) as emulated:
            run_trial(make_policy(policy), policy, emulated, config, log, seed, scene)
    else:
        simulated = simulated_devices(scene, placement.world_from_start, rasteriser)
        run_trial(make_policy(policy), policy, simulated, config, log, seed, scene)


def judged(log: Path, policy: str, scene: HandoverScene, position: str) -> Trial:
    """What a finished trial's log says of it."""
    _, lines = read_log(log)
    if not lines or not isinstance(lines[-1], EndLine):
        raise RobotError(f"{log} has no end; the trial was not finished")
    end = lines[-1]
    measured = [line.state.world_from_gripper for line in lines if isinstance(line, TickLine)]
    touched = any(swept_hits(scene.hand_points, pose, 0.0, 0.0).any() for pose in measured)
    closed = [closes_on(scene.object_points, line.pose) for line in lines if isinstance(line, ClosesLine)]
    return Trial(
        policy, scene.object_name, scene.name, position, Outcome(end.outcome), end.reach_s, end.total_s,
        least_hand_distance(log, scene), touched, any(closed),
    )  # fmt: skip


def least_hand_distance(log: Path, scene: HandoverScene) -> float:
    """Least distance, m, of the measured origin of the gripper's frame to the scene's hand in a trial's log."""
    _, lines = read_log(log)
    positions = np.array(
        [line.state.world_from_gripper.translation for line in lines if isinstance(line, TickLine)]
    )
    return float(Clearance(scene.hand_points).distance(positions).min())
