"""The parquet tables of a LeRobot dataset: frames, episodes, tasks."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import MissingPackageError, install_line
from .features import ACTION, ACTION_NAMES, POSE_NAMES, STATE
from .statistics import Values

VECTORS = {STATE: POSE_NAMES, ACTION: ACTION_NAMES, "camera_from_goal": POSE_NAMES}
SCALARS = {
    "clearance_m": "float32",
    "next.reward": "float32",
    "next.success": "bool",
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


def write_tasks(path: Path, sentence: str) -> None:
    """Writes the table of tasks, which has one, indexed by its sentence, by which LeRobot looks it up with pandas."""
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
        for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pyarrow("pyarrow").table({"task_index": [0], "task": [sentence]})
    _write_parquet(path, table.replace_schema_metadata({"pandas": json.dumps(pandas)}))


def _write_parquet(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow("pyarrow.parquet").write_table(table, path)
