"""The paper's Table II protocol in the emulated laboratory: 6 objects, five positions, four givers, one base.

What stands beside the result are the paper's own figures, measured on its robot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from h2rh_env.core.clearance import Clearance
from h2rh_env.core.errors import RobotError
from h2rh_env.core.task import CLEARANCE_M
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene
from h2rh_env.utils import files
from policies.registry import make_policy

from ..config import RobotConfig
from ..control.outcome import Outcome
from ..emulator.base_placement import POSITIONS
from ..emulator.lab.bench import TABLE_M
from ..emulator.lab.contact import ContactVerdict
from ..emulator.lab.devices import laboratory
from ..interfaces import Segmenter
from ..safety.trial_log import EndLine, TickLine, read_log
from ..segmentation.base import make_segmenter
from ..session import run_trial

POLICIES = ("learned-reach", "ibvs-mask", "blind", "zeros-reach")
GIVERS = 4
# Straight ahead from where the policy declared, as the paper's robot; over the laboratory's table.
HEADLINE = RobotConfig(table_m=TABLE_M, workspace_low_m=(-0.95, -0.95, TABLE_M + 0.02), align_grasp=False)
ROOM_M = 1.0  # a rehearsal's workspace reaches this far from the object; a scene knows of no table
PAPER_ROWS = {"learned-reach": "its policy", "ranging": "its policy", "ibvs-mask": "its IBVS-MASK"}
PAPER: dict[str, dict[str, tuple[float, float, float]]] = {
    "its policy": {
        "mustard_bottle": (0.93, 1.00, 10.45), "potted_meat_can": (0.85, 1.00, 12.75),
        "scissors": (0.35, 1.00, 9.65), "tomato_soup_can": (0.55, 1.00, 11.11),
        "blackboard_eraser": (0.65, 0.84, 9.29), "screwdriver": (0.70, 1.00, 10.13),
    },
    "its IBVS-MASK": {
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
        outcome: as the session saw it. contact: what became of it, by contact.
        reach_s: until the policy declared; total_s: in all, on the controller's clock.
    """

    policy: str
    object_name: str
    scene: str
    position: str
    outcome: Outcome
    reach_s: float | None
    total_s: float
    contact: ContactVerdict

    @property
    def success(self) -> bool:
        """The object was handed over: by the session's account, and by contact."""
        return self.outcome is Outcome.HANDED_OVER and self.contact.handed_over

    @property
    def safe(self) -> bool:
        """The gripper kept off the hand from beginning to end."""
        return not self.contact.touched_hand and self.contact.least_hand_m > CLEARANCE_M

    @property
    def failure(self) -> str:
        """What went wrong first; empty where nothing did."""
        return (
            ""
            if self.success
            else self.contact.failure
            if self.contact.failure != "not taken"
            else self.outcome
        )


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
    segmenter: str = "network",
    objects: Sequence[str] = tuple(PAPER["its policy"]),
    givers: int = GIVERS,
    positions: Sequence[str] = tuple(POSITIONS),
    seed: int = 0,
    logs: Path = Path("robot_trials/table2"),
    progress: Callable[[str], None] = print,
    out: Path | None = None,
    config: RobotConfig = HEADLINE,
) -> list[Trial]:
    """Runs every trial of the protocol; the same arguments give the same trials.

    Trials whose logs are finished are not run again, so that a run can be stopped and gone on with. Other scenes,
    segmenters, configurations or weights need another folder.

    Args:
        scenes: those of one object are its givers; the first are used whose hand leaves a safe grasp.
        objects: names; the paper's six by default.
        segmenter: of the camera's images; "labels" sees the true masks.
        logs: folder of the trials' logs; out: folder that `save` writes to after each trial.

    Raises:
        RobotError: a log in the folder is of another seed, there is no giver of these objects, or no such segmenter.
    """
    rasteriser, trials = make_rasteriser(), []
    eyes = None if segmenter == "labels" else make_segmenter(segmenter)
    for scene in _givers(scenes, objects, givers, progress):
        for position in positions:
            for policy in policies:
                log = logs / f"{policy.replace('/', '_')}-{scene.name}-{position}.jsonl"
                if not _is_finished(log, seed):
                    log.unlink(missing_ok=True)
                    _run(policy, scene, position, eyes, seed, log, rasteriser, config)
                trial = judged(log, policy, scene, position)
                trials.append(trial)
                if out is not None:
                    save(out, trials)
                progress(
                    f"{policy:13} {scene.name:24} {position:7} {trial.failure or 'handed over'} in "
                    f"{trial.total_s:.1f} s{'' if trial.safe else ', NOT SAFE'}"
                )
    return trials


def _givers(
    scenes: Sequence[HandoverScene], objects: Sequence[str], givers: int, progress: Callable[[str], None]
) -> Iterator[HandoverScene]:
    """The first giver of each object, then the second ones, and so on; told is who leaves no grasp free."""
    if not any(scene.object_name in objects for scene in scenes):
        there = ", ".join(sorted({scene.object_name for scene in scenes}))
        raise RobotError(f"no giver of {', '.join(objects)} among these scenes, which show {there}")
    queues = []
    for name in objects:
        own = [scene for scene in scenes if scene.object_name == name]
        for scene in own:
            if not scene.grasp.graspable:
                progress(f"left out: the hand in {scene.name} leaves no grasp free")
        queues.append([scene for scene in own if scene.grasp.graspable][:givers])
    for number in range(givers):
        yield from (queue[number] for queue in queues if number < len(queue))


def save(folder: Path, trials: Sequence[Trial]) -> None:
    """Writes table2.md, the table, and table2.json, an object for each trial."""
    rows = [
        asdict(trial) | {"success": trial.success, "safe": trial.safe, "failure": trial.failure}
        for trial in trials
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "table2.json", rows)
    (folder / "table2.md").write_text(f"```\n{table2_text(trials)}\n```\n")


def table2_text(trials: Sequence[Trial]) -> str:
    """Success, safe, and mean time to the declaration, by object and in all, with the paper's figures beside it."""
    lines = [f"{'':38} trials  success     safe  declared after      in all"]
    for policy in dict.fromkeys(trial.policy for trial in trials):
        own = [trial for trial in trials if trial.policy == policy]
        paper = PAPER.get(PAPER_ROWS.get(policy, ""), {})
        for name in dict.fromkeys(trial.object_name for trial in own):
            lines.append(_row(f"{policy}, {name}", [trial for trial in own if trial.object_name == name]))
            if name in paper:
                lines.append(_paper_row(policy, paper[name]))
        lines.append(_row(f"{policy}, in all", own))
        if paper:
            success, safe, seconds = np.mean(list(paper.values()), axis=0)
            lines.append(_paper_row(policy, (success, safe, seconds)))
    least = min((trial.contact.least_hand_m for trial in trials), default=np.inf)
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
    name = f"  the paper: {PAPER_ROWS[policy]}, on its robot"
    return f"{name:45} {100 * figures[0]:6.1f} % {100 * figures[1]:6.1f} %  {figures[2]:12.2f} s"


def _is_finished(log: Path, seed: int) -> bool:
    """Whether a log has an end, and a verdict beside it.

    Raises:
        RobotError: it has, and is of another seed.
    """
    if not log.exists() or not log.stat().st_size or not _verdict_path(log).exists():
        return False
    first, lines = read_log(log)
    if not lines or not isinstance(lines[-1], EndLine):
        return False
    if first.seed != seed:
        raise RobotError(f"{log} is of seed {first.seed}; name another folder for the logs of seed {seed}")
    return True


def _verdict_path(log: Path) -> Path:
    return log.with_suffix(".contact.json")


def _run(
    policy: str, scene: HandoverScene, position: str, segmenter: Segmenter | None, seed: int, log: Path,
    rasteriser: Rasteriser, config: RobotConfig,
) -> None:  # fmt: skip
    _verdict_path(log).unlink(missing_ok=True)
    lab = laboratory(scene, position, rasteriser, segmenter, seed, config.table_m)
    result = run_trial(lab.shown(make_policy(policy)), policy, lab.devices, config, log, seed, scene)
    files.write_json(_verdict_path(log), asdict(lab.verdict(result.outcome)))


def judged(log: Path, policy: str, scene: HandoverScene, position: str) -> Trial:
    """What a finished trial's log and verdict say of it.

    Raises:
        RobotError: the trial was not finished.
    """
    _, lines = read_log(log)
    if not lines or not isinstance(lines[-1], EndLine) or not _verdict_path(log).exists():
        raise RobotError(f"{log} has no end or no verdict; the trial was not finished")
    end, verdict = lines[-1], json.loads(_verdict_path(log).read_text())
    return Trial(
        policy, scene.object_name, scene.name, position, Outcome(end.outcome), end.reach_s, end.total_s,
        ContactVerdict(**verdict),
    )  # fmt: skip


def least_hand_distance(log: Path, scene: HandoverScene) -> float:
    """Least distance, m, of the measured origin of the gripper's frame to the scene's hand in a trial's log."""
    _, lines = read_log(log)
    positions = np.array(
        [line.state.world_from_gripper.translation for line in lines if isinstance(line, TickLine)]
    )
    return float(Clearance(scene.hand_points).distance(positions).min())
