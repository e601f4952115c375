"""Kernel cache: where numba keeps what it compiled, so that each kernel is compiled once and not in every process.

It stands beside the sources, or in the user's cache. A read-only installation run by a user without a home has
neither, and numba would refuse to compile at all.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
OWN_ONLY = 0o700  # what lies there is executed: nobody else may write it


def ensure_kernel_cache(package: Path) -> None:
    """Points numba to a folder of temporary files where it could store nothing; warns, as the system may clear it.

    Args:
        package: The folder of sources with kernels.
    """
    if os.environ.get(VARIABLE) or _is_writable(package) or _is_writable(_users_cache()):
        return
    folder = _own_folder(Path(tempfile.gettempdir()) / f"h2rh-kernels-{_user()}")
    os.environ[VARIABLE] = str(folder)
    if numba := sys.modules.get("numba"):  # it read the environment before
        numba.config.CACHE_DIR = str(folder)
    warnings.warn(
        f"neither {package} nor {_users_cache()} can be written, so compiled kernels go to {folder}; "
        f"set {VARIABLE} to a folder that stays",
        RuntimeWarning,
        stacklevel=3,
    )


def _users_cache() -> Path:
    """Where numba looks next: the user's folder of caches."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home) if home else Path(os.path.expanduser("~")) / ".cache"


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in what would be made on the way to it."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def _own_folder(folder: Path) -> Path:
    """The folder if it belongs to this user alone, else a new one with a name that nobody knows."""
    try:
        folder.mkdir(mode=OWN_ONLY, exist_ok=True)
        found = folder.lstat()
        mine = folder.is_dir() and not folder.is_symlink()
        if mine and (
            not hasattr(os, "getuid") or (found.st_uid == os.getuid() and found.st_mode & 0o077 == 0)
        ):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
