"""What happens to a hand that moves in during the advance: the table of docs/robot.md, over simulated devices.

python -m real_robot.benchmark.intrusions
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h2rh_env.core.clearance import between_fingers, sweep_gap
from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3
from h2rh_env.core.gripper import FINGERTIP_DEPTH_M, ROBOTIQ_2F85
from h2rh_env.core.policy import Observation
from h2rh_env.rendering.base import Rasteriser
from h2rh_env.rendering.select import make_rasteriser
from h2rh_env.scenes.handover_scene import HandoverScene, load_scenes
from h2rh_env.utils import cli

from ..config import RobotConfig
from ..control.grasp_alignment import ahead
from ..control.outcome import Outcome
from ..drivers.simulated import SimulatedArm, SimulatedGripper, simulated_devices
from ..drivers.simulated_camera import FRAME_LATENCY_S, FRAME_PERIOD_S, Intruder, SimulatedCamera
from ..interfaces import Clock, Frame
from ..safety.trial_log import ClosesLine, TickLine, read_log
from ..session import run_trial
from .table2 import rehearsal_config

ADVANCE_M = 0.2  # how far from the scene's grasp the arm begins, as if a policy had declared there
FROM_M = 0.25  # where the hand comes from, off the midpoint of the fingertips
LEAST_PIXELS = 30  # of the hand in an image, for it to be in view
WARNING_S = 0.15  # a hand in view for so long must find the arm at rest
REST_MPS = 0.005
LEFT_M, SPEEDS_MPS = (0.15, 0.06), (0.1, 0.3, 0.5, 1.0)
DIRECTIONS = {
    "left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0), "above": (0.0, -1.0, 0.0), "below": (0.0, 1.0, 0.0),
    "ahead left": (-1.0, 0.0, 1.0), "ahead above": (0.0, -1.0, 1.0),
}  # fmt: skip
"""Where the hand comes from, in the gripper's frame: x is the closing direction, z the approach."""


@dataclass(frozen=True)
class Intrusion:
    """What one hand met.

    Attributes:
        left_m: of the advance when the hand set out; direction: one of `DIRECTIONS`; speed_mps: of the hand.
        gap_m: the least distance between hand and open gripper while the arm moved towards the grasp, m.
        touch_mps: the arm's speed when the hand first touched the open gripper; None where it never did.
        seen_s: how long the hand had been in view by then, or in all, s.
        closed_on: whether the gripper ever closed with hand between its fingers.
    """

    left_m: float
    direction: str
    speed_mps: float
    gap_m: float
    touch_mps: float | None
    seen_s: float
    closed_on: bool
    outcome: Outcome

    @property
    def is_kept(self) -> bool:
        """Whether the promise was kept: never closed on, and at rest before a touch that could be foreseen."""
        moving = self.touch_mps is not None and self.touch_mps > REST_MPS
        return not self.closed_on and not (moving and self.seen_s >= WARNING_S)


class DeclaresAtOnce:
    """A policy that is at the pre-grasp pose already, and says so."""

    def reset(self, seed: int) -> None:
        pass

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


class _Witness:
    """Sees every tick of the simulated clock: the truth, whatever the session knows."""

    def __init__(
        self,
        clock: Clock,
        arm: SimulatedArm,
        gripper: SimulatedGripper,
        camera: SimulatedCamera,
        intruder: Intruder,
    ) -> None:
        self._clock, self._arm, self._gripper, self._camera = clock, arm, gripper, camera
        self._intruder = intruder
        self._looked: Frame | None = None
        self.gap_m, self.seen_s = np.inf, 0.0
        self.touch_mps: float | None = None
        self.closed_on = False

    def see(self) -> None:
        now = self._clock.now()
        if now < self._intruder.begins_s:
            return
        pose = self._arm.world_from_gripper
        centre = pose.inverse().apply(self._intruder.centre(now))
        gap = float(sweep_gap(centre, 0.0)) - self._intruder.radius_m
        if self.touch_mps is None:
            self._look()
            self.gap_m = min(self.gap_m, gap)
            if gap <= 0:
                self.touch_mps = self._arm.state().speed
        is_shut = self._gripper.state().opening_m < 0.5 * ROBOTIQ_2F85.max_width_m
        self.closed_on |= is_shut and bool(between_fingers(centre, margin_m=self._intruder.radius_m))

    def _look(self) -> None:
        """Counts the frames that arrived and show the hand, from when the first of them was exposed."""
        frame = self._camera.frame()
        if frame is self._looked:
            return
        self._looked = frame
        if self._camera.intruder_pixels >= LEAST_PIXELS:
            self.seen_s += FRAME_PERIOD_S + (FRAME_LATENCY_S if self.seen_s == 0 else 0.0)


def intrusions(
    scene: HandoverScene,
    rasteriser: Rasteriser,
    left_m: Sequence[float] = LEFT_M,
    speeds_mps: Sequence[float] = SPEEDS_MPS,
    directions: Sequence[str] = tuple(DIRECTIONS),
    least_depth_m: float = 0.0,
) -> Iterator[Intrusion]:
    """One trial for each hand; the same trial without any says when so much of the advance is left.

    Raises:
        RobotError: no handover comes about in this scene even without such a hand.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = RobotConfig(standoff_m=ADVANCE_M, align_grasp=False, further_advances=0)
        config = rehearsal_config(config, scene)
        world_from_start = ahead(scene.grasp.scene_from_grasp, -ADVANCE_M)

        def run(log: Path, intruder: Intruder | None) -> tuple[Outcome, _Witness | None]:
            devices, witness = simulated_devices(scene, world_from_start, rasteriser), None
            arm, gripper, camera = devices.arm, devices.gripper, devices.camera
            assert isinstance(arm, SimulatedArm)
            assert isinstance(gripper, SimulatedGripper)
            assert isinstance(camera, SimulatedCamera)
            camera.intruder, camera.least_depth_m = intruder, least_depth_m
            if intruder is not None:
                witness = _Witness(devices.clock, arm, gripper, camera, intruder)
                arm.on_tick(witness.see)
            return run_trial(DeclaresAtOnce(), "declares at once", devices, config, log).outcome, witness

        quiet = Path(folder) / "quiet.jsonl"
        outcome, _ = run(quiet, None)
        if outcome is not Outcome.HANDED_OVER:
            raise RobotError(f"without an intruding hand the trial ends with: {outcome}; name another scene")
        number = 0
        for left in left_m:
            begins_s, pose = _moment(quiet, left)
            for direction in directions:
                for speed in speeds_mps:
                    number += 1
                    intruder = _intruder(begins_s, pose, direction, speed)
                    outcome, seen = run(Path(folder) / f"{number}.jsonl", intruder)
                    if seen is not None:
                        yield Intrusion(
                            left, direction, speed, seen.gap_m, seen.touch_mps, seen.seen_s, seen.closed_on, outcome
                        )  # fmt: skip


def _moment(log: Path, left_m: float) -> tuple[float, SE3]:
    """When so much of the advance was left, and where the gripper was."""
    _, lines = read_log(log)
    (contact,) = [line.pose for line in lines if isinstance(line, ClosesLine)]
    for line in reversed(lines):
        if isinstance(line, TickLine) and line.goal is not None:
            ahead = line.state.world_from_gripper.inverse().apply(contact.translation)
            if ahead[2] >= left_m and np.linalg.norm(ahead[:2]) < 0.01:
                after = [other for other in lines if isinstance(other, ClosesLine)]
                if after and lines.index(after[0]) > lines.index(line):
                    return line.now_s, line.state.world_from_gripper
    raise RobotError(f"no advance of {left_m} m in {log}")


def _intruder(begins_s: float, world_from_gripper: SE3, direction: str, speed_mps: float) -> Intruder:
    """A hand that moves to between the fingertips as they are when it sets out."""
    side = np.array(DIRECTIONS[direction])
    tips = np.array([0.0, 0.0, FINGERTIP_DEPTH_M])
    start = tips + FROM_M * side / np.linalg.norm(side)
    apply = world_from_gripper.apply
    return Intruder(begins_s, apply(start), apply(tips), speed_mps)


def intrusions_text(rows: Sequence[Intrusion]) -> str:
    """A table in Markdown, the misses marked, and their count."""
    speeds = sorted({row.speed_mps for row in rows})
    lines = [
        "| left of the advance | hand from | " + " | ".join(f"{speed} m/s" for speed in speeds) + " |",
        "|---|---|" + "---|" * len(speeds),
    ]
    for left, direction in dict.fromkeys((row.left_m, row.direction) for row in rows):
        own = {row.speed_mps: row for row in rows if (row.left_m, row.direction) == (left, direction)}
        lines.append(
            f"| {left} m | {direction} | " + " | ".join(_cell(own[speed]) for speed in speeds) + " |"
        )
    kept = sum(row.is_kept for row in rows)
    warned = [row for row in rows if row.seen_s >= WARNING_S]
    lines.append(
        f"\nkept: {kept} of {len(rows)}; of the {len(warned)} hands in view for {1000 * WARNING_S:.0f} ms: "
        f"{sum(row.is_kept for row in warned)}; closed on: {sum(row.closed_on for row in rows)}"
    )
    return "\n".join(lines)


def _cell(row: Intrusion) -> str:
    if row.touch_mps is None:
        met = f"kept off, {1000 * row.gap_m:.0f} mm"
    elif row.touch_mps <= REST_MPS:
        met = "came to the arm at rest"
    else:
        met = f"met at {1000 * row.touch_mps:.0f} mm/s, seen for {1000 * row.seen_s:.0f} ms"
    return met + ("; CLOSED ON" if row.closed_on else "") + ("" if row.is_kept else " (miss)")


@dataclass(frozen=True)
class Config:
    """Which hands move in."""

    scenes: Path | None = None
    """Scene folder; the shipped scenes by default. The first is taken."""
    least_depth_m: float = 0.0
    """The camera has no depth of surfaces nearer than this, m."""
    directions: tuple[str, ...] = tuple(DIRECTIONS)
    """Where the hands come from."""
    left_m: tuple[float, ...] = LEFT_M
    """What is left of the advance when a hand sets out, m."""
    speeds_mps: tuple[float, ...] = SPEEDS_MPS
    """Speeds of the hands, m/s."""


def main(config: Config) -> None:
    scene = load_scenes(config.scenes)[0]
    rows = []
    for row in intrusions(
        scene, make_rasteriser(), config.left_m, config.speeds_mps, config.directions, config.least_depth_m
    ):
        rows.append(row)
        hand = f"{row.left_m} m left, from {row.direction}, {row.speed_mps} m/s"
        print(f"{hand}: {_cell(row)}; {row.outcome}", flush=True)
    print(intrusions_text(rows))


if __name__ == "__main__":
    cli.run(main, Config, __doc__)
