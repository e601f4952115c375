"""The parquet tables of a LeRobot dataset: frames, episodes, tasks."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import MissingPackageError, install_line
from .statistics import Values

TASK = "Move to the pre-grasp pose of the object that the hand holds out."
POSE = ["x_m", "y_m", "z_m", "qw", "qx", "qy", "qz"]
ACTION = ["a_rad", "b_rad", "c_rad", "x_m", "y_m", "z_m", "grasp_score"]
VECTORS = {"observation.state": POSE, "action": ACTION, "camera_from_goal": POSE}
SCALARS = {
    "clearance_m": "float32",
    "next.done": "bool",
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingPackageError(f"LeRobot's format needs pyarrow: {install_line('lerobot')}") from None


def write_frames(path: Path, episodes: Sequence[Values]) -> None:
    """Writes a row group per episode, so that one is read without the others."""
    tables = [_frame_table(columns) for columns in episodes]
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow("pyarrow.parquet").ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)


def _frame_table(columns: Values) -> Any:
    pa = pyarrow("pyarrow")
    arrays = {}
    for key in (*VECTORS, *SCALARS):
        values = columns[key]
        if key in VECTORS:
            arrays[key] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        else:
            arrays[key] = pa.array(values)
    return pa.table(arrays)


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    _write_parquet(path, pyarrow("pyarrow").Table.from_pylist(rows))


def write_tasks(path: Path) -> None:
    """Writes the table of tasks, indexed by their text, by which LeRobot looks them up with pandas."""
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pyarrow("pyarrow").table({"task_index": [0], "task": [TASK]})
    _write_parquet(path, table.replace_schema_metadata({"pandas": json.dumps(pandas)}))


def _write_parquet(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow("pyarrow.parquet").write_table(table, path)
