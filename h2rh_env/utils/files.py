"""Files: folders and files that are written whole or not at all, texts that are not too large, hashes."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_bytes(path: Path | str, content: bytes) -> None:
    """Writes `content` to a temporary file beside `path`, syncs it, and moves it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives a folder beside `path` to fill; it is moved to `path` at the end, or deleted after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        temporary.chmod(0o755)
        yield temporary
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_json(path: Path | str, value: Any) -> None:
    """Writes `value` as indented JSON, atomically; NaN and infinity are refused."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def as_json(value: Any) -> Any:
    """Returns `value` as it comes back from a JSON file: tuples as lists, paths refused."""
    return json.loads(json.dumps(value))


def read_text(path: Path, most_bytes: int) -> str:
    """Returns the text of a file that may come from a stranger, in UTF-8.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is larger than `most_bytes`, or not UTF-8.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"it has {size} bytes; at most {most_bytes} are read")
    return path.read_text(encoding="utf-8")


def sha256_of(*paths: Path) -> str:
    """Returns the SHA-256 of names and contents of the files; the order of the arguments does not matter."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
