"""The log of one trial: a line of JSON for each thing asked, measured, decided or sent; nothing is rewritten."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from h2rh_env.core.errors import RobotError
from h2rh_env.core.geometry import SE3

FORMAT = "h2rh-trial-1"


class TrialLog:
    """Appends lines, each flushed before the next thing happens, so that a crash loses at most one."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = self.path.open("x", encoding="utf-8")
        except FileExistsError:
            raise RobotError(f"{self.path} exists; a log is never overwritten, so name another") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, kind: str, **fields: Any) -> None:
        """One line; arrays become lists, poses 3x4 lists, and numbers that are not finite null."""
        self._file.write(json.dumps({"kind": kind, **_plain(fields)}, allow_nan=False) + "\n")
        self._file.flush()


def read_log(path: Path | str) -> list[dict[str, Any]]:
    """The lines of a log; a last one that a crash cut short is left out.

    Raises:
        RobotError: no such file, or not a log.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RobotError(f"{path} cannot be read ({error}); name a trial's .jsonl file") from None
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(json.loads(line))
        except ValueError:
            if number == len(lines):
                break
            raise RobotError(f"{path}:{number} is not JSON; the log is damaged") from None
    if not entries or not isinstance(entries[0], dict) or entries[0].get("format") != FORMAT:
        raise RobotError(f"{path} is not a trial's log; its first line must have format {FORMAT!r}")
    return entries


def _plain(value: Any) -> Any:
    if isinstance(value, SE3):
        return _plain(value.matrix[:3])
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
