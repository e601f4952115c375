"""A rig: where fixed cameras stand, by serial number, in a dated JSON file.

{"format": "h2rh-rig-1", "measured_on": "2026-01-31",
 "cameras": {"0123": {"world_from_camera": [[1, 0, 0, 0.2], ...], "residual_px": 0.2}}}
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ..core.errors import CaptureError
from ..core.geometry import SE3
from ..utils import files
from .documents import read_json

FORMAT = "h2rh-rig-1"


@dataclass(frozen=True, eq=False)
class Rig:
    """The poses of fixed cameras in a metric world with z up.

    Attributes:
        world_from_cameras: by serial number.
        residuals_px: by serial number, how far the calibration's corners are from where they were seen, RMS.
        measured_on: the day of the calibration.
    """

    world_from_cameras: dict[str, SE3]
    residuals_px: dict[str, float]
    measured_on: date

    def save(self, path: Path | str) -> None:
        cameras = {
            serial: {
                "world_from_camera": pose.matrix.tolist(),
                "residual_px": self.residuals_px[serial],
            }
            for serial, pose in self.world_from_cameras.items()
        }
        files.write_json(
            path, {"format": FORMAT, "measured_on": self.measured_on.isoformat(), "cameras": cameras}
        )

    @classmethod
    def load(cls, path: Path | str) -> Rig:
        """Reads a rig.

        Raises:
            CaptureError: There is no such file, or it is no rig.
        """
        content = read_json(Path(path), "h2rh_env/captures/rig.py")
        try:
            if content["format"] != FORMAT:
                raise CaptureError(f"{path} has format {content['format']!r}; expected {FORMAT!r}")
            cameras = {str(serial): entry for serial, entry in content["cameras"].items()}
            return cls(
                {s: SE3.from_matrix(entry["world_from_camera"]) for s, entry in cameras.items()},
                {s: float(entry["residual_px"]) for s, entry in cameras.items()},
                date.fromisoformat(content["measured_on"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CaptureError(f"{path} is no rig ({error!r}); calibrate again") from None

    def pose_of(self, serial: str) -> SE3:
        """Returns world_from_camera of a camera.

        Raises:
            CaptureError: The rig was calibrated without it.
        """
        if serial not in self.world_from_cameras:
            known = ", ".join(self.world_from_cameras)
            raise CaptureError(
                f"the rig has no camera {serial}; it has {known}; calibrate all cameras together"
            )
        return self.world_from_cameras[serial]
