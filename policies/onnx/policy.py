"""An ONNX file of `policies/onnx/export.py` as a Policy: onnxruntime and numpy, no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from h2rh_env.core.errors import MissingPackageError, PolicyError, install_line
from h2rh_env.core.geometry import SE3
from h2rh_env.utils import files

from ..config import PolicyConfig
from ..goal_controller import act_on
from ..image_policy import ImagePolicy
from ..networks.inputs import inputs_from_json
from ..tracking.tracker import Track

FORMAT = "h2rh-onnx-3"
KEY = "h2rh"
ANSWER = "answer"
INPUTS = ["images", "geometry"]


class OnnxPolicy(ImagePolicy):
    """Acts by one run of the file for each frame, on one core."""

    def __init__(self, path: Path | str) -> None:
        """Loads an ONNX file.

        Raises:
            PolicyError: It is not such a file, or of another version.
            MissingPackageError: The extra `onnx` is not installed.
        """
        self._session = _session(path)
        try:
            about = json.loads(self._session.get_modelmeta().custom_metadata_map[KEY])
            self._given, outputs = _names(self._session.get_inputs()), _names(self._session.get_outputs())
            if about["format"] != FORMAT or not set(self._given) <= set(INPUTS) or outputs != [ANSWER]:
                met = about["format"], self._given, outputs
                raise ValueError(
                    f"it has format, inputs and outputs {met}; expected {FORMAT, INPUTS, [ANSWER]}"
                )
            config = PolicyConfig.from_json(about["policy"])
            self._predicts_goal = bool(about["predicts_goal"])
            self._inputs = inputs_from_json(about["inputs"], config)
        except Exception as error:  # onnxruntime's own errors share no public base
            raise _not_ours(path, error) from None
        super().__init__(config, files.sha256_of(Path(path)))

    def _answer(self, seen: Track) -> npt.NDArray[np.float32]:
        images, geometry = self._inputs(seen)
        answer = self.answer(images[None], geometry[None])
        if not self._predicts_goal:
            return np.asarray(answer[0])
        goals = answer.astype(np.float64)
        return np.asarray(act_on(SE3(goals[:, :, :3], goals[:, :, 3]), [seen], self.config.control)[0])

    def answer(
        self, images: npt.NDArray[np.uint8], geometry: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The network's answer: camera_from_goal (1, 3, 4), or an action (1, 7).

        Args:
            images: (1, C, h, w).
            geometry: (1, G).
        """
        given = dict(zip(INPUTS, (images, geometry), strict=True))
        (answer,) = self._session.run([ANSWER], {name: given[name] for name in self._given})
        return np.asarray(answer, np.float32)


def _session(path: Path | str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackageError(f"{path} needs onnxruntime: {install_line('onnx')}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no public base
        raise _not_ours(path, error) from None


def _not_ours(path: Path | str, error: Exception) -> PolicyError:
    reason = str(error).splitlines()[0] if str(error) else repr(error)
    return PolicyError(
        f"{path} is not a policy's ONNX file of this version ({reason}); "
        "make one with: python -m policies.onnx.export CHECKPOINT"
    )


def _names(values: Sequence[Any]) -> list[str]:
    return [value.name for value in values]
