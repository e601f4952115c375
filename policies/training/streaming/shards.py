"""Shards of frames that are prepared for a network: tar files as WebDataset reads them, wherever fsspec reaches.

    FRAMES/frames.json      schema, the inputs that the frames are for, counts and hashes of the shards
    FRAMES/00003.json       blocks of shard 3: where each begins in the tar file, how many frames, of which scene
    FRAMES/00003.tar        for each block KEY.json and KEY.images.npy.gz, .geometry., .actions. and .goals.npy.gz

FRAMES is a folder or an address such as s3://bucket/frames. A block has the frames of a few episodes of one scene,
and is read in one request. Files are written whole or not at all; a shard's JSON after its tar, frames.json last.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch
from torch import Tensor

from h2rh_env.core.errors import DatasetError, MissingPackageError
from h2rh_env.utils import files

from ..dataset import TENSORS, Batch, Frames

SCHEMA = "h2rh-frames-1"
INDEX = "frames.json"
MAX_BLOCK_FRAMES = 65_536
DTYPES = {"images": torch.uint8, "geometry": torch.float32, "actions": torch.float32, "goals": torch.float32}
NUMPY = {"images": "|u1", "geometry": "<f4", "actions": "<f4", "goals": "<f4"}
READING_ERRORS = (OSError, ValueError, KeyError, TypeError, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class Block:
    """Frames of one scene that are read in one go: bytes `offset` to `offset + size_bytes` of a tar file."""

    offset: int
    size_bytes: int
    frames: int
    scene: str


@dataclass(frozen=True)
class FramesIndex:
    """What frames.json says.

    Attributes:
        shapes: for each of images, geometry, actions and goals the shape of one frame.
        inputs: what the frames were prepared for, JSON values; see `prepare.inputs_of`.
        origin: the dataset and the settings they were prepared from, JSON values.
        planned: how many shards there are when all are written.
        shards: name of each shard that is there, to its frames, bytes and SHA-256.
    """

    shapes: dict[str, list[int]]
    inputs: dict[str, Any]
    origin: dict[str, Any]
    planned: int
    shards: dict[str, dict[str, Any]]

    @property
    def sha256(self) -> str:
        """Tells the content of all frames apart from any other."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class Store:
    """A folder of prepared frames, on this machine or in object storage."""

    def __init__(self, address: str | Path) -> None:
        """Opens no connection yet.

        Raises:
            DatasetError, MissingPackageError: The protocol is unknown, or its package is not installed.
        """
        self.address = str(address).rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.address)
        except ValueError as error:
            raise DatasetError(f"{self.address} is no address of frames ({error})") from None
        except ImportError as error:
            raise MissingPackageError(
                f"{self.address} needs a package ({error}); for s3: pip install 'h2rh-env[storage]'"
            ) from None
        self._local = Path(self._root) if "file" in _protocols(self._files) else None

    @property
    def is_prepared(self) -> bool:
        """Whether there are prepared frames, or the beginning of some."""
        return bool(self._files.exists(f"{self._root}/{INDEX}"))

    def write_json(self, name: str, value: Any) -> None:
        """Writes JSON, whole or not at all."""
        if self._local:
            files.write_json(self._local / name, value)
        else:
            self._files.pipe_file(f"{self._root}/{name}", json.dumps(value, allow_nan=False).encode())

    def read_json(self, name: str) -> Any:
        """Reads JSON.

        Raises:
            DatasetError: The file is missing or malformed.
        """
        try:
            return json.loads(self._files.cat_file(f"{self._root}/{name}"))
        except READING_ERRORS as error:
            raise DatasetError(f"{self.address}/{name} cannot be read ({error!r})") from None

    def write_shard(self, name: str, blocks: Iterable[Frames]) -> dict[str, Any]:
        """Writes a shard; returns what frames.json says of it."""
        with tempfile.TemporaryDirectory(dir=self._beside()) as folder:
            tar = Path(folder) / f"{name}.tar"
            written = _write_tar(tar, blocks)
            with tar.open("rb") as file:
                os.fsync(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = tar.stat().st_size
            if self._local:
                tar.replace(self._local / tar.name)
            else:
                self._files.put_file(str(tar), f"{self._root}/{tar.name}")
        said = {"frames": sum(block.frames for block in written), "size_bytes": size_bytes, "sha256": digest}
        self.write_json(f"{name}.json", said | {"blocks": [asdict(block) for block in written]})
        return said

    def _beside(self) -> Path | None:
        """A folder for files in the making, from where they are moved into place; None where none is needed."""
        if self._local is None:
            return None
        making = self._local / ".making"
        making.mkdir(parents=True, exist_ok=True)
        return making

    def tidy(self) -> None:
        """Deletes what killed tasks left behind."""
        if self._local is not None:
            shutil.rmtree(self._local / ".making", ignore_errors=True)

    def read_index(self) -> FramesIndex:
        """Reads frames.json.

        Raises:
            DatasetError: It is missing, malformed or of another schema.
        """
        value = self.read_json(INDEX)
        try:
            if value.pop("schema") != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA!r}")
            index = FramesIndex(**value)
            for name in TENSORS:
                if not all(isinstance(side, int) and 0 <= side < 10_000 for side in index.shapes[name]):
                    raise ValueError(f"{name} have the shape {index.shapes[name]}")
        except READING_ERRORS as error:
            raise DatasetError(f"{self.address}/{INDEX} is malformed ({error!r})") from None
        return index

    def write_index(self, index: FramesIndex) -> None:
        """Writes frames.json."""
        self.write_json(INDEX, {"schema": SCHEMA, **asdict(index)})

    def read_blocks(self, name: str) -> list[Block]:
        """The blocks of a shard.

        Raises:
            DatasetError: Its JSON is missing or malformed.
        """
        value = self.read_json(f"{name}.json")
        try:
            blocks = [Block(**each) for each in value["blocks"]]
            if not all(0 < block.frames <= MAX_BLOCK_FRAMES and block.offset >= 0 for block in blocks):
                raise ValueError(f"a block has more than {MAX_BLOCK_FRAMES} frames, or none")
            return blocks
        except READING_ERRORS as error:
            raise DatasetError(f"{self.address}/{name}.json is malformed ({error!r})") from None

    def read_block(self, name: str, block: Block, shapes: dict[str, list[int]]) -> Batch:
        """The frames of a block: images uint8, geometry, actions and goals.

        Raises:
            DatasetError: The bytes are missing, damaged or not what the shard's JSON says.
        """
        try:
            content = self._files.cat_file(
                f"{self._root}/{name}.tar", start=block.offset, end=block.offset + block.size_bytes
            )
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
                members = {member.name.partition(".")[2]: member for member in tar}
                images, geometry, actions, goals = (
                    _unpacked(_bytes(tar, members[f"{key}.npy.gz"]), key, (block.frames, *shapes[key]))
                    for key in TENSORS
                )
            return images, geometry, actions, goals
        except READING_ERRORS as error:
            raise DatasetError(
                f"{self.address}/{name}.tar, frames from byte {block.offset}, cannot be read ({error!r}); "
                "delete it with its JSON and prepare the frames again"
            ) from None


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _write_tar(path: Path, blocks: Iterable[Frames]) -> list[Block]:
    written: list[Block] = []
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, frames in enumerate(blocks):
            offset, key = tar.offset, f"{number:06d}"
            scene = frames.scenes[0]
            _add(tar, f"{key}.json", json.dumps({"scene": scene, "frames": len(frames)}).encode())
            for name, tensor in zip(TENSORS, frames.at(torch.arange(len(frames))), strict=True):
                _add(tar, f"{key}.{name}.npy.gz", _packed(tensor))
            written.append(Block(offset, tar.offset - offset, len(frames), scene))
    return written


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # without times and owners, so that equal frames are equal bytes
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is no file")
    return file.read()


def _packed(tensor: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, tensor.contiguous().numpy())
    return gzip.compress(buffer.getvalue(), 1, mtime=0)


def _unpacked(content: bytes, name: str, shape: tuple[int, ...]) -> Tensor:
    """The array of a .npy.gz; no more is unpacked than the shape allows, and a checksum tells damage."""
    most = 128 + math.prod(shape) * DTYPES[name].itemsize
    unpacker = zlib.decompressobj(wbits=31)
    raw = unpacker.decompress(content, most + 1)
    if len(raw) != most or not unpacker.eof:
        raise ValueError(f"{name} are not {most} bytes, or cut off")
    header = io.BytesIO(raw)
    np.lib.format.read_magic(header)
    found, fortran, dtype = np.lib.format.read_array_header_1_0(header)
    if (tuple(found), fortran, dtype.str) != (shape, False, NUMPY[name]):
        raise ValueError(f"{name} are {dtype} {found}; expected {NUMPY[name]} {shape}")
    writable = bytearray(raw)
    return torch.frombuffer(writable, dtype=DTYPES[name], offset=header.tell()).reshape(shape)
