"""What the session and the arm's process say to each other: a dataclass for each message, packed here alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_MESSAGE = 4096  # bytes; a state takes about 500

Pose = tuple[float, ...]
"""Universal Robots' (x, y, z, rx, ry, rz): m, and a rotation vector in rad."""


@dataclass(frozen=True)
class Setpoint:
    """The session asks the arm to follow a TCP pose in the base frame."""

    pose: Pose


@dataclass(frozen=True)
class AskAllowed:
    """The session asks whether the controller's safety limits allow a TCP pose."""

    pose: Pose


@dataclass(frozen=True)
class Stop:
    """The session asks for a halt; the number comes back in `Stopped`."""

    number: int


@dataclass(frozen=True)
class Ready:
    """The process is connected; the pendant's TCP offset (None when read only), payload (None if not told), kg."""

    tcp_offset: Pose | None
    payload_kg: float | None


@dataclass(frozen=True)
class ArmState:
    """The arm as the controller measured it.

    Attributes:
        time_s: when it was measured, on this machine's monotonic clock.
        pose: of the TCP in the base frame.
        velocity: (3,) of the TCP, m/s; force: (3,) at the TCP, N.
        joints: (6,) rad.
        bits: the controller's safety status bits.
    """

    time_s: float
    pose: Pose
    velocity: tuple[float, ...]
    force: tuple[float, ...]
    joints: tuple[float, ...]
    bits: int


@dataclass(frozen=True)
class Allowed:
    """The controller's answer to `AskAllowed`."""

    yes: bool


@dataclass(frozen=True)
class Stopped:
    """The arm was told to halt, as `Stop` of this number asked."""

    number: int


@dataclass(frozen=True)
class Failed:
    """The process dies, and why: the arm must not move any more."""

    fault: str


Message = Setpoint | AskAllowed | Stop | Ready | ArmState | Allowed | Stopped | Failed
_KINDS: dict[str, Callable[..., Message]] = {
    kind.__name__: kind for kind in (Setpoint, AskAllowed, Stop, Ready, ArmState, Allowed, Stopped, Failed)
}


def pack(message: Message) -> bytes:
    """The message as bytes for one datagram; numbers that are not finite survive."""
    return json.dumps({"kind": type(message).__name__, **dataclasses.asdict(message)}).encode()


def unpack(received: bytes) -> Message:
    """The message that was packed; lists come back as tuples."""
    fields = json.loads(received)
    kind = _KINDS[fields.pop("kind")]
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})
