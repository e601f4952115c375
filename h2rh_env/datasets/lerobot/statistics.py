"""Statistics of a dataset's columns and images, as LeRobot normalises by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
STRIDE_PX = 4

Values = dict[str, npt.NDArray[Any]]


class Statistics:
    """Collects, for each feature, minimum, maximum, mean, standard deviation, count and quantiles.

    Images count per channel, in [0, 1], by every fourth row and column.
    """

    def __init__(self) -> None:
        self._samples: dict[str, list[npt.NDArray[Any]]] = {}
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._frames = 0

    def add(self, columns: Values, images: Values) -> None:
        """Adds the columns (T, ...) and the images (T, H, W, 3) of some frames."""
        self._frames += len(columns["index"])
        for key, values in columns.items():
            self._samples.setdefault(key, []).append(values.reshape(len(values), -1).astype(np.float64))
        for key, frames in images.items():
            some = frames[:, ::STRIDE_PX, ::STRIDE_PX].reshape(-1, 3)
            counts = np.stack([np.bincount(some[:, channel], minlength=256) for channel in range(3)])
            self._counts[key] = self._counts.get(key, np.zeros((3, 256), np.int64)) + counts

    def nested(self) -> dict[str, dict[str, Any]]:
        """Returns the statistics as lists: (d,) for a column of width d, (3, 1, 1) for images."""
        found: dict[str, dict[str, Any]] = {}
        for key, parts in self._samples.items():
            values = np.concatenate(parts)
            found[key] = {
                "min": values.min(axis=0).tolist(),
                "max": values.max(axis=0).tolist(),
                "mean": values.mean(axis=0).tolist(),
                "std": values.std(axis=0).tolist(),
            } | {name: np.quantile(values, q, axis=0).tolist() for name, q in QUANTILES.items()}
        for key, counts in self._counts.items():
            found[key] = {
                name: [[[v]] for v in per_channel] for name, per_channel in _of_levels(counts).items()
            }
        return {key: values | {"count": [self._frames]} for key, values in found.items()}


def _of_levels(counts: npt.NDArray[np.int64]) -> dict[str, list[float]]:
    """Returns statistics per channel, in [0, 1], from how often (C, 256) each 8-bit level occurs."""
    levels = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    cumulated = share.cumsum(axis=1)
    found = {
        "min": levels[(counts > 0).argmax(axis=1)],
        "max": levels[255 - (counts[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0)),
    } | {name: levels[(cumulated >= q - 1e-12).argmax(axis=1)] for name, q in QUANTILES.items()}
    return {name: values.tolist() for name, values in found.items()}
