"""An ONNX file of `policies/onnx.py` as a Policy: onnxruntime and numpy, no torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h2rh_env import files
from h2rh_env.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.errors import MissingPackageError, PolicyError
from h2rh_env.geometry import SE3, Array
from h2rh_env.interface import Observation, action_space

from .ranging import OwnFollower
from .servo import act_on

FORMAT = "h2rh-onnx-1"
KEY = "h2rh"
ANSWER = "answer"
INPUTS = ["rgb", "masks", "ranges"]
INSTALL = 'pip install -e ".[onnx]"'


class OnnxPolicy:
    """Acts by one run of the file, on one core."""

    def __init__(self, path: Path | str, camera: PinholeCamera = HAND_EYE_CAMERA) -> None:
        """Args: camera: the one whose images the network was trained on.

        Raises:
            PolicyError: not such a file. MissingPackageError: without the extra `onnx`.
        """
        try:
            import onnxruntime
        except ImportError:
            raise MissingPackageError(f"{path} needs onnxruntime: {INSTALL}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            about = json.loads(self._session.get_modelmeta().custom_metadata_map[KEY])
            expected = FORMAT, INPUTS, [ANSWER]
            met = about["format"], _names(self._session.get_inputs()), _names(self._session.get_outputs())
            if met != expected:
                raise ValueError(f"it has format, inputs and outputs {met}; expected {expected}")
            self._predicts_goal = bool(about["predicts_goal"])
        except Exception as error:  # onnxruntime's own errors share no public base
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise PolicyError(
                f"{path} is not a policy's ONNX file ({reason}); make one with: python -m policies.onnx CHECKPOINT"
            ) from None
        self.content_hash = files.sha256_of(Path(path))
        self._camera = camera
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forgets the last episode."""
        self._follower = OwnFollower()

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Tells what motion was made after the last action, where it was not that action's."""
        self._follower.moved(camera_from_next_camera)

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        seen = self._follower.see(*(np.ascontiguousarray(observation[key]) for key in ("rgb", "masks")))
        answer = self.answer(seen.rgb[None], seen.masks[None], seen.range[None])
        if self._predicts_goal:
            sight = sight_of_object(seen.masks, self._camera)
            answer = act_on(answer.astype(np.float64), sight[None], [seen])
        action: npt.NDArray[np.float32] = np.clip(answer[0], self._low, self._high)
        self._follower.acted(action)
        return action

    def answer(
        self, rgb: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8], ranges: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """For a frame (1, H, W, 3), its masks (1, H, W, 2) and range (1, 2): camera_from_goal (1, 3, 4) or an action
        (1, 7)."""
        (answer,) = self._session.run([ANSWER], dict(zip(INPUTS, (rgb, masks, ranges), strict=True)))
        return np.asarray(answer, np.float32)


def sight_of_object(masks: npt.NDArray[np.uint8], camera: PinholeCamera) -> Array:
    """Unit direction (3,) to the middle of the object's mask of (H, W, 2); the hand's where no object is seen, and
    straight ahead where nothing is."""
    seen = next((mask for mask in (masks[..., 0], masks[..., 1]) if mask.any()), None)
    if seen is None:
        return np.array([0.0, 0.0, 1.0])
    rows, columns = np.nonzero(seen)
    direction = np.array([
        (columns.mean() + 0.5 - camera.cx) / camera.fx, (rows.mean() + 0.5 - camera.cy) / camera.fy, 1.0
    ])  # fmt: skip
    return np.asarray(direction / np.linalg.norm(direction))


def _names(values: list[object]) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]
