"""Demonstrations: the expert's episodes as a Minari dataset; the schema is written and read here only.

A dataset is a folder that plain Minari reads (`minari.MinariDataset(folder)`):

    metadata.json          Minari's; under "h2rh" schema, provenance and how many trajectories were dropped
    main_data.hdf5         one link per episode, and while it is written some to episodes to come
    episodes/000000.hdf5   one episode each, deflated

Each append moves whole files into place, the count in metadata.json last. So a dataset whose writer was killed at
any moment is readable, and lacks at most the episode that was being written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ..core.camera import PinholeCamera
from ..core.errors import DatasetError
from ..core.geometry import Array
from ..core.spaces import action_space, observation_space
from ..core.task import GRASP_SCORE_THRESHOLD
from ..utils import files

SCHEMA = "h2rh-demonstrations-1"
METADATA, INDEX, EPISODES = "metadata.json", "main_data.hdf5", "episodes"
MAX_STEPS = 1000
# Names of the schema, and ours: the schema calls the scene's frame the world.
INFOS = {
    "world_from_camera": "scene_from_camera",
    "camera_from_goal": "camera_from_goal",
    "clearance_m": "clearance_m",
}
FIRST_LINKS = 64


@dataclass(frozen=True, eq=False)
class Demonstration:
    """An expert's episode of T steps: the tuples (I, M, T, Cls) of Sec. III-B.

    Attributes:
        rgb: (T, H, W, 3) uint8, what the camera saw before each action.
        masks: (T, H, W, 2) uint8 in {0, 255}, object and hand.
        actions: (T, 7) float32, the expert's answer there: motion, and Cls as the grasp score. The motion that
            was executed may differ by injected noise; `scene_from_camera` tells.
        scene_from_camera: (T, 4, 4) float64. camera_from_goal: (T, 4, 4) float64, the pre-grasp pose from there.
        clearance_m: (T,) float64, to hand and object.
        scene, scene_hash: where it happened.
        seed: names the episode's randomness in its collection.
    """

    rgb: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    actions: npt.NDArray[np.float32]
    scene_from_camera: Array
    camera_from_goal: Array
    clearance_m: Array
    scene: str
    scene_hash: str
    seed: int

    def __len__(self) -> int:
        return len(self.actions)


def encode(demonstration: Demonstration) -> bytes:
    """A demonstration as the bytes of its episode file. Minari keeps T + 1 observations: the last is repeated."""
    steps = len(demonstration)
    ended = np.zeros(steps, bool)
    ended[-1] = True
    declared = ended & (demonstration.actions[:, 6] >= GRASP_SCORE_THRESHOLD)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        episode = file.create_group("episode")
        episode.attrs.update({
            "seed": demonstration.seed, "total_steps": steps, "scene_hash": demonstration.scene_hash,
            "options/scene": demonstration.scene,
        })  # fmt: skip
        for name in ("rgb", "masks"):
            frames = getattr(demonstration, name)
            episode.create_dataset(
                f"observations/{name}", data=np.concatenate([frames, frames[-1:]]),
                chunks=(1, *frames.shape[1:]), compression="gzip", compression_opts=1,
            )  # fmt: skip
        episode["actions"] = demonstration.actions
        episode["rewards"] = np.zeros(steps)
        episode["terminations"] = declared
        episode["truncations"] = ended & ~declared
        for key, name in INFOS.items():
            values = getattr(demonstration, name)
            episode[f"infos/{key}"] = np.concatenate([values, values[-1:]])
    return buffer.getvalue()


class DemonstrationWriter:
    """Appends episodes to a dataset, which is valid after every one.

    A folder that holds a dataset of the same provenance is continued.
    """

    def __init__(self, folder: Path | str, camera: PinholeCamera, provenance: dict[str, Any]) -> None:
        """Args: provenance: JSON values: scenes and their hashes, expert, seed, version.

        Raises:
            DatasetError: the folder holds something else.
        """
        self.folder = Path(folder)
        if not self.folder.exists():
            _create(self.folder, camera, provenance)
        self._metadata = _read_metadata(self.folder)
        self._links = self.episodes  # that are known to be there
        if self._metadata["h2rh"]["provenance"] != json.loads(json.dumps(provenance)):
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
    """What a dataset says of itself, without reading its frames."""

    episodes: int
    steps: int
    dropped: int
    height: int
    width: int
    provenance: dict[str, Any]


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
    )


def read_demonstrations(folder: Path | str) -> Iterator[Demonstration]:
    """The episodes in order, one in memory at a time.

    Raises:
        DatasetError: missing, malformed or of another schema.
    """
    folder = Path(folder)
    summary = describe(folder)
    storage = _storage(folder)
    for number in range(summary.episodes):
        try:
            _check_headers(folder, number, (summary.height, summary.width))
            (episode,) = storage.get_episodes([number])
            (attributes,) = storage.get_episode_metadata([number])
            yield Demonstration(
                rgb=episode["observations"]["rgb"][:-1],
                masks=episode["observations"]["masks"][:-1],
                actions=episode["actions"],
                scene_from_camera=episode["infos"]["world_from_camera"][:-1],
                camera_from_goal=episode["infos"]["camera_from_goal"][:-1],
                clearance_m=episode["infos"]["clearance_m"][:-1],
                scene=str(attributes["options"]["scene"]),
                scene_hash=str(attributes["scene_hash"]),
                seed=int(attributes["seed"]),
            )
        except (OSError, KeyError, ValueError, TypeError, AssertionError, RuntimeError) as error:
            raise DatasetError(
                f"{folder}: episode {number} cannot be read ({error}); collect it again"
            ) from None


def _create(folder: Path, camera: PinholeCamera, provenance: dict[str, Any]) -> None:
    """An empty dataset, whole or not at all."""
    import gymnasium as gym
    import minari
    from minari.dataset.minari_storage import MinariStorage

    with files.whole_folder(folder) as making:
        storage = MinariStorage.new(
            making,
            observation_space(camera),
            action_space(),
            gym.spec("H2RHandover-v0"),
            jpeg_encoding=False,
        )
        storage.update_metadata(
            {
                "dataset_id": "h2rh/demonstrations-v0",
                "minari_version": minari.__version__,
                "algorithm_name": "three-phase expert",
                "dataset_size": 0.0,
                "h2rh": {"schema": SCHEMA, "provenance": provenance, "dropped": 0},
            }
        )
        files.write_bytes(making / INDEX, _index(0))


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
        if metadata["h2rh"]["schema"] != SCHEMA:
            raise DatasetError(f"{folder} has schema {metadata['h2rh']['schema']!r}; expected {SCHEMA!r}")
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


def _check_headers(folder: Path, number: int, image: tuple[int, int]) -> None:
    """Shapes and places, before memory is taken: files may come from strangers."""
    with h5py.File(folder / INDEX, "r") as file:
        link = file.get(f"episode_{number}", getlink=True)
        if isinstance(link, h5py.ExternalLink) and link.filename != f"{EPISODES}/{number:06d}.hdf5":
            raise ValueError(f"it links to {link.filename!r}, outside of the dataset")
        episode = file[f"episode_{number}"]
        steps = episode["actions"].shape[0]
        if not 0 < steps <= MAX_STEPS:
            raise ValueError(f"{steps} steps; expected 1 to {MAX_STEPS}")
        expected = {
            "actions": (steps, 7), "observations/rgb": (steps + 1, *image, 3),
            "observations/masks": (steps + 1, *image, 2), "infos/world_from_camera": (steps + 1, 4, 4),
            "infos/camera_from_goal": (steps + 1, 4, 4), "infos/clearance_m": (steps + 1,),
        }  # fmt: skip
        for name, shape in expected.items():
            if episode[name].shape != shape:
                raise ValueError(f"{name} has shape {episode[name].shape}; expected {shape}")
