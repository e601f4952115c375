"""The 3DGS PLY file: the only reader and writer of its layout.

One binary `vertex` per Gaussian: x y z, f_dc_0..2, f_rest_*, opacity (logit), scale_0..2 (log), rot_0..3 (wxyz),
in any order and of any scalar type; normals and unknown properties are ignored. `f_rest_*` is channel-major
(all of red, then green, then blue), as 3DGS writes it, unless a header line `comment sh_layout coefficient_major`
says that it counts r, g, b within each coefficient. Two things other viewers ignore are ours: the property
`uchar label` (`interface.Label`; without it every Gaussian is the object) and the line `comment antialiased 1`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from .. import files
from ..errors import SceneError
from ..interface import Label
from .gaussians import MAX_GAUSSIANS, SH_COUNTS, GaussianScene

MAX_HEADER_BYTES = 65536
COEFFICIENT_MAJOR = "sh_layout coefficient_major"
ANTIALIASED = "antialiased 1"
SCALAR_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_Element = tuple[str, int, list[tuple[str, str]]]  # name, count, properties with their types


@dataclass(frozen=True)
class _Header:
    """Where the vertices lie, and what the comments say."""

    offset: int
    count: int
    dtype: np.dtype[np.void]
    comments: frozenset[str]


def write_ply(path: Path | str, scene: GaussianScene) -> None:
    """Writes a scene, atomically, as a binary little-endian 3DGS PLY with a label per Gaussian."""
    rest = 3 * (scene.sh.shape[1] - 1)
    names = [
        "x",
        "y",
        "z",
        "nx",
        "ny",
        "nz",
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(rest)),
    ]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    n = len(scene)
    columns = (
        scene.means, np.zeros((n, 3), np.float32), scene.sh[:, 0],
        scene.sh[:, 1:].transpose(0, 2, 1).reshape(n, rest), scene.opacity_logits[:, None],
        scene.log_scales, scene.wxyz,
    )  # fmt: skip
    vertices = np.empty(n, [("values", "<f4", (len(names),)), ("label", "u1")])
    vertices["values"] = np.concatenate(columns, axis=1)
    vertices["label"] = scene.labels
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {ANTIALIASED}"] if scene.antialiased else []
    header += [f"element vertex {n}", *(f"property float {name}" for name in names), "property uchar label"]
    files.write_bytes(path, "\n".join([*header, "end_header", ""]).encode() + vertices.tobytes())


def read_ply(path: Path | str) -> GaussianScene:
    """Reads a scene.

    Raises:
        SceneError: no such file, not a binary 3DGS PLY, truncated, too large, or a value that is not finite.
    """
    try:
        with open(path, "rb") as file:
            header = _read_header(file, os.fstat(file.fileno()).st_size)
            file.seek(header.offset)
            vertices = np.frombuffer(
                file.read(header.count * header.dtype.itemsize), header.dtype, header.count
            )
        return _scene(vertices, header.comments)
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error.strerror}") from None
    except SceneError as error:
        raise SceneError(f"{path}: {error}") from None


def _read_header(file: BinaryIO, size: int) -> _Header:
    """Parses the header and checks that the file is long enough for what it promises."""
    head = file.read(MAX_HEADER_BYTES)
    end = head.find(b"end_header")
    stop = head.find(b"\n", end)
    if not head.startswith(b"ply") or end < 0 or stop < 0:
        raise SceneError("not a PLY file; expected a header from 'ply' to 'end_header'")
    elements, comments = _parse_header(head[:end].decode("latin-1").splitlines()[1:])
    offset = stop + 1
    for element, count, properties in elements:
        if len({name for name, _ in properties}) != len(properties):
            raise SceneError(f"element {element!r} has a property twice")
        dtype = np.dtype(properties)
        if element == "vertex":
            _check_size(count, dtype.itemsize, size - offset)
            return _Header(offset, count, dtype, frozenset(comments))
        offset += count * dtype.itemsize
    raise SceneError("the header has no element 'vertex'")


def _parse_header(lines: list[str]) -> tuple[list[_Element], set[str]]:
    """The elements up to and including the vertices, and the comments."""
    order = ""
    elements: list[_Element] = []
    comments = set()
    for line in lines:
        match line.split():
            case ["format", form, *_]:
                if form not in BYTE_ORDERS:
                    raise SceneError(f"format {form!r} is not supported; expected binary_little_endian")
                order = BYTE_ORDERS[form]
            case ["comment", *words]:
                comments.add(" ".join(words))
            case ["element", element, count] if count.isdecimal() and len(count) < 19:
                elements.append((element, int(count), []))
            case ["property", kind, name] if kind in SCALAR_TYPES and elements:
                elements[-1][2].append((name, order + SCALAR_TYPES[kind]))
            case ["property", "list", *_] if "vertex" in (element for element, *_ in elements[:-1]):
                pass  # faces and the like, behind the vertices, are never read
            case [] | ["obj_info", *_]:
                pass
            case _:
                raise SceneError(f"header line {line[:80]!r} is not understood")
    return elements, comments


def _check_size(count: int, itemsize: int, available: int) -> None:
    if count > MAX_GAUSSIANS:
        raise SceneError(f"{count} Gaussians; at most {MAX_GAUSSIANS} are supported")
    if count * itemsize > available:
        raise SceneError(f"{count} Gaussians of {itemsize} bytes need {count * itemsize} bytes, but only "
                         f"{max(available, 0)} follow the header; the file is truncated")  # fmt: skip


def _scene(vertices: npt.NDArray[np.void], comments: frozenset[str]) -> GaussianScene:
    names = vertices.dtype.names or ()
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest // 3 + 1 not in SH_COUNTS or rest % 3:
        raise SceneError(f"{rest} f_rest properties; expected 0, 9, 24 or 45")

    def columns(*wanted: str) -> npt.NDArray[np.float32]:
        missing = [name for name in wanted if name not in names]
        if missing:
            raise SceneError(f"the vertices lack {', '.join(missing[:4])}; this is not a 3DGS PLY")
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which the scene refuses
            return np.stack([vertices[name].astype(np.float32) for name in wanted], axis=1)

    n = len(vertices)
    dc = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    f_rest = columns(*(f"f_rest_{i}" for i in range(rest))) if rest else np.empty((n, 0), np.float32)
    if COEFFICIENT_MAJOR in comments:
        f_rest = f_rest.reshape(n, rest // 3, 3)
    else:
        f_rest = f_rest.reshape(n, 3, rest // 3).transpose(0, 2, 1)
    labels = vertices["label"] if "label" in names else np.full(n, Label.OBJECT, np.uint8)
    unknown = np.setdiff1d(labels, [int(label) for label in Label])
    if len(unknown):
        raise SceneError(f"label {unknown[0]} is unknown; expected 0 background, 1 object or 2 hand")
    return GaussianScene(
        means=columns("x", "y", "z"),
        wxyz=columns("rot_0", "rot_1", "rot_2", "rot_3"),
        log_scales=columns("scale_0", "scale_1", "scale_2"),
        opacity_logits=columns("opacity")[:, 0],
        sh=np.concatenate([dc, f_rest], axis=1),
        labels=labels.astype(np.uint8),
        antialiased=ANTIALIASED in comments,
    )
