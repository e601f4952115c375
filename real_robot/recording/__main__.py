"""Records a capture with RealSense cameras, or the shots of a board that tell where they stand.

    python -m real_robot.recording --for-rig --out rig_images
    python -m real_robot.recording --rig rig.json --out my_capture

Colour and depth are aligned and undistorted; intrinsics and the scale of depth are the device's. At a terminal, each
shot waits for the Enter key; elsewhere they are taken one after the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from h2rh_env.captures.importers.base import refuse_to_overwrite, write
from h2rh_env.captures.realsense import librealsense
from h2rh_env.captures.rig import Rig
from h2rh_env.core.errors import RobotError
from h2rh_env.utils import cli
from h2rh_env.utils.plugins import load_plugin

from ..calibration.board import Board
from ..drivers.realsense import FrameSource, Pipeline
from .capture import capture_of, described
from .recorder import Recorder, Shot
from .rig_shots import write_rig_shots

REALSENSE = "realsense"
SHOTS = 12
SETTLED_FRAMES = 30  # in which exposure and white balance find their values
ON_TABLE, MOVED = "lay the board on the table, face up", "move and tilt the board, and let go of it"
GIVER = "let the giver hold the object out, and hold still"


@dataclass(frozen=True)
class RecordConfig:
    """Options of the command."""

    out: Path
    """Folder of the capture, or of the shots for a rig; it must not exist yet."""
    rig: Path | None = None
    """File that says where the cameras stand, from `h2rh calibrate rig`."""
    for_rig: bool = False
    """Record shots of a ChArUco board for `h2rh calibrate rig` instead of a capture."""
    shots: int = SHOTS
    """Number of shots of the board; in the first it lies on the table."""
    board: Path | None = None
    """File board.json of another board than the A4 one of docs/record.md."""
    serials: tuple[str, ...] = ()
    """Serial numbers of the cameras. The default is all that are connected."""
    width: int = 640
    """Width of the images, px; a size that the cameras have."""
    height: int = 480
    """Height of the images, px."""
    rate_hz: int = 30
    """Images a second. Several cameras on one USB hub may need 15 or 6."""
    object_name: str = "object"
    """Name of the held object."""
    cameras: str = REALSENSE
    """Cameras: realsense, or module:function that gives a list of frame sources, such as stand-ins."""

    def __post_init__(self) -> None:
        if self.for_rig:
            cli.refuse_ignored(self, ("rig", "object_name"), "with --for-rig")
        else:
            cli.refuse_ignored(self, ("shots", "board"), "without --for-rig")
            if self.rig is None:
                raise RobotError(
                    "it is not known where the cameras stand: give --rig FILE, which `h2rh calibrate rig` writes, or "
                    "record shots for it with --for-rig"
                )
        if self.cameras != REALSENSE:
            cli.refuse_ignored(
                self, ("serials", "width", "height", "rate_hz"), f"with --cameras {self.cameras}"
            )
        if self.shots < 1:
            raise RobotError(f"--shots is {self.shots}; expected at least 1, mostly {SHOTS}")


def record(config: RecordConfig) -> None:
    """Records, and writes the folder.

    Raises:
        RobotError: There is no camera, or one delivers nothing.
        CaptureError: The folder exists, or the rig lacks a camera.
    """
    refuse_to_overwrite(config.out)
    rig = None if config.rig is None else Rig.load(config.rig)
    board = Board() if config.board is None else Board.load(config.board)
    with Recorder(_sources(config), SETTLED_FRAMES) as recorder:
        print(f"cameras: {', '.join(recorder.serials)}")
        if rig is None:
            count = write_rig_shots(config.out, board, _board_shots(recorder, config.shots))
            print(f"{config.out}: {count} shots; next: h2rh calibrate rig {config.out}")
            return
        for serial in recorder.serials:
            rig.pose_of(serial)  # before anybody holds something out
        _when_ready(GIVER)
        shot = recorder.take()
    _tell(shot)
    capture = capture_of(shot, rig)
    write(capture, config.out, config.object_name)
    for note in capture.notes:
        print(f"note: {note}")
    print(f"{config.out}: {len(capture.views)} views; next: h2rh check {config.out}")


def _board_shots(recorder: Recorder, count: int) -> Iterator[Shot]:
    for number in range(count):
        _when_ready(f"shot {number + 1} of {count}: {MOVED if number else ON_TABLE}")
        yield recorder.take()


def _tell(shot: Shot) -> None:
    first_s = min(shot.times_s.values())
    for photograph in shot.photographs:
        print(described(photograph, shot.times_s[photograph.serial] - first_s))


def _when_ready(what: str) -> None:
    """Waits for the Enter key, if somebody can press it."""
    if sys.stdin.isatty():
        input(f"{what}, then press Enter: ")


def _sources(config: RecordConfig) -> Sequence[FrameSource]:
    """Returns a source for each camera.

    Raises:
        RobotError: No camera is connected, or one that was named is not.
    """
    if config.cameras != REALSENSE:
        stand_ins: list[FrameSource] = load_plugin(config.cameras, "cameras", RobotError)()
        return stand_ins
    rs = librealsense()
    connected = [device.get_info(rs.camera_info.serial_number) for device in rs.context().query_devices()]
    missing = [serial for serial in config.serials if serial not in connected]
    if missing or not connected:
        which = f"camera {', '.join(missing)}" if missing else "a RealSense camera"
        raise RobotError(
            f"{which} is not connected; connected: {', '.join(connected) or 'none'}; check the USB 3 cable"
        )
    return [
        Pipeline(serial, config.width, config.height, config.rate_hz)
        for serial in config.serials or connected
    ]


if __name__ == "__main__":
    cli.run(record, RecordConfig, __doc__)
