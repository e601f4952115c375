"""Demonstrations: the expert's episodes as a Minari dataset; the schema is written and read here only.

A dataset is a folder that plain Minari reads: by `minari.MinariDataset(folder)`, and by its id where the folder is
`$MINARI_DATASETS_PATH/ID/data`, as `h2rh/train-v0/data` is for `minari.load_dataset("h2rh/train-v0")`:

    metadata.json          Minari's; under "h2rh" schema, provenance and how many trajectories were dropped
    main_data.hdf5         one link per episode, and while it is written some to episodes to come
    episodes/000000.hdf5   one episode each, deflated
    views/000000.hdf5      views from all around one scene; no episodes, so plain Minari does not see them

An episode's `actions`, `rewards`, `terminations` and `truncations` are true to it: who resets the environment to the
first pose and takes the actions sees the same. What the expert would answer at each pose is in `infos/label`; it
differs where noise was executed. Schema 1 is still read; its `actions` were those labels, and its rewards 0.

Each append moves whole files into place, the count in metadata.json last. So a dataset whose writer was killed at
any moment is readable, and lacks at most the episode that was being written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from ..core.camera import PinholeCamera
from ..core.errors import DatasetError
from ..core.spaces import action_space, observation_space
from ..core.task import Task
from ..utils import files
from .frames import Demonstration, Views, check_shapes, encode, encode_views, read_frames
from .manifest import is_sharded
from .minari_id import dataset_id

__all__ = [
    "DatasetSummary", "Demonstration", "DemonstrationWriter", "Views", "describe", "encode", "encode_views",
    "read_demonstrations", "read_views",
]  # fmt: skip

SCHEMA, SCHEMA_1 = "h2rh-demonstrations-2", "h2rh-demonstrations-1"
METADATA, INDEX, EPISODES, VIEWS = "metadata.json", "main_data.hdf5", "episodes", "views"
# What schema 1 calls otherwise.
NAMES_1 = {"infos/scene_from_camera": "infos/world_from_camera", "infos/label": "actions"}
ENVIRONMENTS: dict[Task, str] = {"reach": "H2RHandover-v0", "grasp": "H2RHandoverGrasp-v0"}
READING_ERRORS = (OSError, KeyError, ValueError, TypeError, AssertionError, RuntimeError)
FIRST_LINKS = 64


class DemonstrationWriter:
    """Appends episodes to a dataset, which is valid after every one.

    A folder that holds a dataset of the same provenance is continued.
    """

    def __init__(
        self, folder: Path | str, camera: PinholeCamera, provenance: dict[str, Any], task: Task = "reach"
    ) -> None:
        """Opens the folder, or begins it.

        Args:
            provenance: JSON values: scenes and their hashes, expert, seed, version.
            task: what the episodes end with.

        Raises:
            DatasetError: the folder holds something else.
        """
        self.folder = Path(folder)
        if not self.folder.exists() or is_sharded(self.folder):
            _create(self.folder, camera, provenance, task)
        self._metadata = _read_metadata(self.folder)
        self._links = self.episodes  # that are known to be there
        if self._metadata["h2rh"]["schema"] != SCHEMA:
            raise DatasetError(
                f"{self.folder} holds demonstrations of schema {self._metadata['h2rh']['schema']!r}, which are read "
                "but not continued; give another --out"
            )
        if self._metadata["h2rh"]["provenance"] != files.as_json(provenance):
            raise DatasetError(
                f"{self.folder} holds demonstrations of other scenes or settings; give another --out or delete it"
            )

    @property
    def episodes(self) -> int:
        return int(self._metadata["total_episodes"])

    @property
    def steps(self) -> int:
        return int(self._metadata["total_steps"])

    @property
    def dropped(self) -> int:
        """Trajectories counted by `drop`."""
        return int(self._metadata["h2rh"]["dropped"])

    @property
    def view_files(self) -> int:
        """Files of views appended so far."""
        return int(self._metadata["h2rh"]["views"])

    def append_views(self, views: bytes) -> None:
        """Adds views of one scene that `encode_views` made."""
        files.write_bytes(self.folder / VIEWS / f"{self.view_files:06d}.hdf5", views)
        self._metadata["h2rh"]["views"] += 1
        self._metadata["dataset_size"] += round(len(views) / 1e6, 3)
        files.write_json(self.folder / METADATA, self._metadata)

    def append(self, episode: bytes, steps: int) -> None:
        """Adds an episode of `steps` steps that `encode` made."""
        files.write_bytes(self.folder / EPISODES / f"{self.episodes:06d}.hdf5", episode)
        if self.episodes == self._links:
            self._link(max(FIRST_LINKS, 2 * self._links))
        self._metadata["total_episodes"] += 1
        self._metadata["total_steps"] += steps
        self._metadata["dataset_size"] += round(len(episode) / 1e6, 3)
        files.write_json(self.folder / METADATA, self._metadata)

    def finish(self) -> None:
        """Takes away the links to episodes that did not come; without it a dataset is as readable."""
        self._link(self.episodes)

    def _link(self, episodes: int) -> None:
        files.write_bytes(self.folder / INDEX, _index(episodes))
        self._links = episodes

    def drop(self) -> None:
        """Counts a trajectory that was rejected."""
        self._metadata["h2rh"]["dropped"] += 1
        files.write_json(self.folder / METADATA, self._metadata)


@dataclass(frozen=True)
class DatasetSummary:
    """What a dataset says of itself, without reading its frames.

    Attributes:
        task: what its episodes end with.
        view_files: files of views beside the episodes, one for each scene.
        missing_shards: how many shards are still to be written; such a dataset can be read as far as it is there.
    """

    episodes: int
    steps: int
    dropped: int
    height: int
    width: int
    provenance: dict[str, Any]
    task: Task = "reach"
    view_files: int = 0
    missing_shards: int = 0


def describe(folder: Path | str) -> DatasetSummary:
    """Raises: DatasetError: not a dataset of this schema."""
    metadata = _read_metadata(Path(folder))
    height, width, _ = _storage(Path(folder)).observation_space["rgb"].shape
    h2rh = metadata["h2rh"]
    return DatasetSummary(
        metadata["total_episodes"],
        metadata["total_steps"],
        h2rh["dropped"],
        height,
        width,
        h2rh["provenance"],
        h2rh.get("task", "reach"),
        h2rh.get("views", 0),
    )


def read_demonstrations(folder: Path | str) -> Iterator[Demonstration]:
    """The episodes in order, one in memory at a time.

    Raises:
        DatasetError: missing, malformed or of another schema.
    """
    folder = Path(folder)
    summary = describe(folder)
    names = NAMES_1 if _read_metadata(folder)["h2rh"]["schema"] == SCHEMA_1 else {}
    image = summary.height, summary.width
    for number in range(summary.episodes):
        try:
            with h5py.File(folder / INDEX, "r") as file:
                episode = _checked_episode(file, number, image, names)
                declared = bool(episode["terminations"][-1])
                reward = float(episode["rewards"][-1])
                yield Demonstration(**read_frames(episode, names), reward=reward, declared=declared)
        except READING_ERRORS as error:
            raise DatasetError(
                f"{folder}: episode {number} cannot be read ({error}); collect it again"
            ) from None


def read_views(folder: Path | str) -> Iterator[Views]:
    """The views beside the episodes, those of one file in memory at a time; none in a dataset of schema 1.

    Raises:
        DatasetError: missing, malformed or of another schema.
    """
    folder = Path(folder)
    summary = describe(folder)
    for number in range(summary.view_files):
        path = folder / VIEWS / f"{number:06d}.hdf5"
        try:
            with h5py.File(path, "r") as file:
                views = file["views"]
                steps = views["infos/label"].shape[0]
                check_shapes(views, steps, steps, (summary.height, summary.width), {})
                yield Views(**read_frames(views, {}))
        except READING_ERRORS as error:
            raise DatasetError(f"{path} cannot be read ({error}); collect it again") from None


def _create(folder: Path, camera: PinholeCamera, provenance: dict[str, Any], task: Task) -> None:
    """An empty dataset, whole or not at all."""
    if is_sharded(folder):
        raise DatasetError(
            f"{folder} holds a dataset of shards; give --trajectories-per-shard, or another --out"
        )
    found_by = dataset_id(folder)
    with files.whole_folder(folder) as making:
        fill(making, found_by, camera, provenance, task)
        files.write_bytes(making / INDEX, _index(0))


def fill(making: Path, found_by: str, camera: PinholeCamera, provenance: dict[str, Any], task: Task) -> None:
    """Makes an empty dataset of an empty folder.

    Args:
        found_by: the id by which Minari will find it.
    """
    import gymnasium as gym
    import minari
    from minari.dataset.minari_storage import MinariStorage

    storage = MinariStorage.new(
        making,
        observation_space(camera),
        action_space(),
        gym.spec(ENVIRONMENTS[task]),
        jpeg_encoding=False,
    )
    storage.update_metadata(
        {
            "dataset_id": found_by,
            "minari_version": minari.__version__,
            "algorithm_name": "three-phase expert",
            "dataset_size": 0.0,
            "h2rh": {"schema": SCHEMA, "task": task, "provenance": provenance, "dropped": 0, "views": 0},
        }
    )


def count(making: Path, episodes: int, steps: int, dropped: int, views: int, size_bytes: int) -> None:
    """Writes into the metadata of a dataset what was put there by other means than a writer."""
    metadata = _read_metadata(making)
    metadata |= {"total_episodes": episodes, "total_steps": steps, "dataset_size": round(size_bytes / 1e6, 3)}
    metadata["h2rh"] |= {"dropped": dropped, "views": views}
    files.write_json(making / METADATA, metadata)


def _index(episodes: int) -> bytes:
    """The bytes of main_data.hdf5: relative links, so that a dataset can be moved."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        for number in range(episodes):
            file[f"episode_{number}"] = h5py.ExternalLink(f"{EPISODES}/{number:06d}.hdf5", "/episode")
    return buffer.getvalue()


def _read_metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / METADATA).read_text())
        if metadata["h2rh"]["schema"] not in (SCHEMA, SCHEMA_1):
            raise DatasetError(
                f"{folder} has schema {metadata['h2rh']['schema']!r}; expected {SCHEMA!r} or {SCHEMA_1!r}"
            )
        return dict(metadata)
    except FileNotFoundError:
        raise DatasetError(
            f"{folder} holds no demonstrations; collect some with: python -m experts.collect SCENES --out {folder}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder}/{METADATA} is malformed ({error!r}); collect the dataset again"
        ) from None


def _storage(folder: Path) -> Any:
    from minari.dataset.minari_storage import MinariStorage

    try:
        return MinariStorage.read(folder)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise DatasetError(f"{folder} is not a Minari dataset ({error})") from None


def _checked_episode(
    file: h5py.File, number: int, image: tuple[int, int], names: Mapping[str, str]
) -> h5py.Group:
    """An episode, its shapes and place checked before memory is taken: files may come from strangers."""
    link = file.get(f"episode_{number}", getlink=True)
    if isinstance(link, h5py.ExternalLink) and link.filename != f"{EPISODES}/{number:06d}.hdf5":
        raise ValueError(f"it links to {link.filename!r}, outside of the dataset")
    episode = file[f"episode_{number}"]
    steps = episode["actions"].shape[0]
    labels = steps if "infos/label" in names else steps + 1
    check_shapes(episode, steps, steps + 1, image, names, labels)
    for name, shape in {"actions": (steps, 7), "rewards": (steps,), "terminations": (steps,)}.items():
        if episode[name].shape != shape:
            raise ValueError(f"{name} has shape {episode[name].shape}; expected {shape}")
    return episode
