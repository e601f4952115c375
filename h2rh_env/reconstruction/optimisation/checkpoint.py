"""The state of an interrupted optimisation: one safetensors file, written whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ... import __version__
from ...scenes.gaussians import GaussianScene
from ...utils import files


def key_of(scene: GaussianScene, settings: str) -> str:
    """Returns what identifies a run: its first Gaussians, its settings and the version of the package."""
    digest = hashlib.sha256(f"{__version__} {settings}".encode())
    for array in (scene.means, scene.sh, scene.labels):
        digest.update(array.tobytes())
    return digest.hexdigest()


def write(path: Path, key: str, steps: int, state: dict[str, Tensor]) -> None:
    """Saves the state after so many steps."""
    content = {name: value.contiguous() for name, value in state.items()}
    files.write_bytes(path, save(content, {"key": key, "steps": str(steps)}))


def read(path: Path, key: str) -> tuple[int, dict[str, Tensor]]:
    """Returns the steps done and the state; 0 and nothing if there is none, or it is unreadable or of another run."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if about.get("key") != key:
                return 0, {}
            return int(about["steps"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return 0, {}
