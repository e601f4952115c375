"""HandoverOutcome: what became of a handover, and the frames of its film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.geometry import SE3

ContactFailure = Literal["touched the hand", "pushed the object", "closed on nothing", "slipped or dropped"]
Phase = Literal["approach", "close", "release", "retreat", "shake"]


@dataclass(frozen=True, eq=False)
class HandoverFrame:
    """One frame of a film.

    Attributes:
        time_s: since the simulated part of the path began.
        scene_from_gripper: where the gripper is.
        opening_m: between the pads.
        now_from_held: rigid motion of the object, in the scene frame, since the giver held it: what was at `p` is now
            at `now_from_held.apply(p)`.
        hand_force_n: between gripper and hand at this moment.
    """

    time_s: float
    phase: Phase
    scene_from_gripper: SE3
    opening_m: float
    now_from_held: SE3
    hand_force_n: float


@dataclass(frozen=True)
class HandoverOutcome:
    """What contact says about a path, with the conditions that were drawn for it.

    Attributes:
        handed_over: no failure, and the object moved with the gripper to the end.
        first_failure: the earliest of what went wrong; None if nothing did.
        touched_hand: whether any part of the gripper met the hand with any force, at any time.
        greatest_hand_force_n: the greatest normal force of such a contact; 0 without one.
        hand_touch_s: when the first began, on the clock of the simulated part; None without one.
        pushed_m: how far the object's centre of mass was displaced, at most, before the fingers had closed.
        closed_on_object: both pads pressed the object long enough.
        released: the giver let go, which follows from that.
        slip_m, slip_rad: how far the object moved and turned between the pads from the closing to the end, measured
            where the fingertips' midpoint was; None if the fingers never closed on it.
        friction, mass_kg: as drawn from the seed.
        shape_source: "true", or "cloud" for a shape that was filled in from points.
        simulated_s: simulated time; 0 where nothing ever came near the gripper.
        frames: of a film, if asked for.
    """

    handed_over: bool
    first_failure: ContactFailure | None
    touched_hand: bool
    greatest_hand_force_n: float
    hand_touch_s: float | None
    pushed_m: float
    closed_on_object: bool
    released: bool
    slip_m: float | None
    slip_rad: float | None
    friction: float
    mass_kg: float
    shape_source: str
    simulated_s: float
    frames: tuple[HandoverFrame, ...] = ()
