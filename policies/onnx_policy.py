"""An ONNX file of `policies/export_onnx.py` as a Policy: onnxruntime and numpy, no torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import MissingPackageError, PolicyError, install_line
from h2rh_env.core.geometry import SE3
from h2rh_env.core.policy import Observation
from h2rh_env.core.spaces import action_space
from h2rh_env.utils import files

from .goal_controller import act_on
from .networks.inputs import reading_of
from .tracking.depth import OwnTracker

FORMAT = "h2rh-onnx-2"
KEY = "h2rh"
ANSWER = "answer"
INPUTS = ["images", "geometry"]


class OnnxPolicy:
    """Acts by one run of the file, on one core."""

    def __init__(self, path: Path | str) -> None:
        """Raises: PolicyError: not such a file. MissingPackageError: without the extra `onnx`."""
        try:
            import onnxruntime
        except ImportError:
            raise MissingPackageError(f"{path} needs onnxruntime: {install_line('onnx')}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            about = json.loads(self._session.get_modelmeta().custom_metadata_map[KEY])
            self._inputs, outputs = (
                _names(part) for part in (self._session.get_inputs(), self._session.get_outputs())
            )
            if about["format"] != FORMAT or not set(self._inputs) <= set(INPUTS) or outputs != [ANSWER]:
                met = about["format"], self._inputs, outputs
                raise ValueError(
                    f"it has format, inputs and outputs {met}; expected {FORMAT, INPUTS, [ANSWER]}"
                )
            self._predicts_goal = bool(about["predicts_goal"])
            self._reading = reading_of(about["reading"])
        except Exception as error:  # onnxruntime's own errors share no public base
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise PolicyError(
                f"{path} is not a policy's ONNX file ({reason}); "
                "make one with: python -m policies.export_onnx CHECKPOINT"
            ) from None
        self.content_hash = files.sha256_of(Path(path))
        limits = action_space()
        self._low, self._high = limits.low, limits.high
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forgets the last episode."""
        self._tracker = OwnTracker()

    def moved(self, camera_from_next_camera: SE3) -> None:
        """Tells what motion was made after the last action, where it was not that action's."""
        self._tracker.moved(camera_from_next_camera)

    def act(self, observation: Observation) -> npt.NDArray[np.float32]:
        seen = self._tracker.see(*(np.ascontiguousarray(observation[key]) for key in ("rgb", "masks")))
        images, geometry = self._reading(seen)
        answer = self.answer(images[None], geometry[None])
        if self._predicts_goal:
            answer = act_on(answer.astype(np.float64), [seen])
        action: npt.NDArray[np.float32] = np.clip(answer[0], self._low, self._high)
        self._tracker.acted(action)
        return action

    def answer(
        self, images: npt.NDArray[np.uint8], geometry: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """For what is read of a frame (1, C, h, w) and (1, G): camera_from_goal (1, 3, 4) or an action (1, 7)."""
        given = dict(zip(INPUTS, (images, geometry), strict=True))
        (answer,) = self._session.run([ANSWER], {name: given[name] for name in self._inputs})
        return np.asarray(answer, np.float32)


def _names(values: list[object]) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]
