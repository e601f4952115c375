"""The errors, one class per kind of fault; each message says what was met and what would be right."""

SYSTEM_PACKAGES = {"robot": "libusb-1.0-0"}


class HandoverError(Exception):
    """The base of every error that this project raises for its user; commands print it in one line."""


class CaptureError(HandoverError):
    """An RGB-D capture is missing, malformed or inconsistent."""


class SceneError(HandoverError):
    """A Gaussian scene or a handover scene on disk or in memory is invalid."""


class RenderError(HandoverError):
    """A camera, a pose or a backend cannot be used to render."""


class GraspError(HandoverError):
    """No grasp can be proposed or selected, or a grasp file is malformed."""


class ActionError(HandoverError):
    """An action has the wrong shape, or a value that is not finite."""


class StateError(HandoverError):
    """A saved state of an environment is malformed, or belongs to another environment."""


class PolicyError(HandoverError):
    """A policy is unknown, or does not follow the protocol."""


class CheckpointError(HandoverError):
    """A checkpoint is missing, malformed or does not fit its network."""


class DatasetError(HandoverError):
    """A dataset of demonstrations is missing, malformed or of another schema."""


class RobotError(HandoverError):
    """A device of the robot is missing, late or answers wrongly."""


class MissingPackageError(HandoverError):
    """An optional package is not installed; the message names the line to type."""


def install_line(extra: str) -> str:
    """Returns what to type for an extra; it works in a checkout as well as beside a wheel."""
    line = f'pip install "h2rh-env[{extra}]"'
    system = SYSTEM_PACKAGES.get(extra)
    return f"{line} and, on Debian or Ubuntu: apt install {system}" if system else line
