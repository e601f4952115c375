"""Phase: what the arm is about to do, and so what the control loop asks for before it moves."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """The phases of a trial; every control period is of one of them."""

    REACH = auto()
    """The policy moves the arm: the clearance to hand and object holds, and the object is in view."""
    ADVANCE = auto()
    """Straight to the grasp: the clearance holds for the hand, the path ahead is free, and the hand is in sight."""
    GRASP = auto()
    """At rest at the grasp, while the fingers move or the giver is waited for."""
    RETREAT = auto()
    """Back out the way it came: neither sight nor a free volume is asked for, only the clearance to the hand."""
