"""The id of a dataset, by which Minari lists and loads it; it follows from where the dataset lies."""

from __future__ import annotations

import os
from pathlib import Path

from ..core.errors import DatasetError

DEFAULT_ID = "h2rh/demonstrations-v0"


def dataset_id(folder: Path) -> str:
    """Returns the id by which Minari finds a folder: its place beneath Minari's root, or `DEFAULT_ID` elsewhere.

    Raises:
        DatasetError: The folder lies beneath the root, where Minari would not list it.
    """
    from minari.dataset.minari_dataset import parse_dataset_id

    told = os.environ.get("MINARI_DATASETS_PATH")
    root = (Path(told) if told else Path.home() / ".minari" / "datasets").resolve()
    place = folder.resolve()
    if not place.is_relative_to(root):
        return DEFAULT_ID
    name, _, last = place.relative_to(root).as_posix().rpartition("/")
    try:
        if last != "data":
            raise ValueError(f"its last part is {last!r}")
        parse_dataset_id(name)
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f"{folder} lies in Minari's folder {root}, where a dataset is at NAMESPACE/NAME-v0/data ({error}); "
            f"give --out {root / DEFAULT_ID / 'data'}, or a folder elsewhere"
        ) from None
    return name
