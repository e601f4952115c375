"""Gaussians as PLY files, the 3DGS layout and SuperSplat's compressed one: their only reader and writer.

One binary `vertex` per Gaussian: x y z, f_dc_0..2, f_rest_*, opacity (logit), scale_0..2 (log), rot_0..3 (wxyz),
in any order and of any scalar type; normals and unknown properties are ignored. `f_rest_*` is channel-major
(all of red, then green, then blue), as 3DGS writes it, unless a header line `comment sh_layout coefficient_major`
says that it counts r, g, b within each coefficient. Two extensions are only ours: the property
`uchar label` (`core.labels.Label`; without it every Gaussian is the object) and the line `comment antialiased 1`.

The compressed layout (16 bytes per Gaussian, see `packing`) has the elements `chunk`, `vertex` and, for more than one
colour, `sh`. A viewer accepts no further element or property there, so the Gaussians are sorted by label and a line
`comment labels 0 1200 5400` counts those of background, object and hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..core.errors import SceneError
from ..core.labels import Label
from ..utils import files
from .gaussians import SH_COUNTS, GaussianScene
from .packing import BOUNDS, CHUNK, Packed, in_chunks, pack, unpack
from .ply_header import Header, read_header, read_rows

COEFFICIENT_MAJOR = "sh_layout coefficient_major"
ANTIALIASED = "antialiased 1"
LABELS = "labels"
MANY = 100  # of fewer Gaussians, any values are believed
FAINT, SOLID = 0.3, 0.7  # opacities of many Gaussians reach from below the one to above the other
CHUNK_NAMES = tuple(
    f"{end}_{name}"
    for names in (("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b"))
    for end in ("min", "max")
    for name in names
)
PACKED_NAMES = ("packed_position", "packed_rotation", "packed_scale", "packed_color")


def write_ply(path: Path | str, scene: GaussianScene) -> None:
    """Writes a scene, atomically, as a binary little-endian 3DGS PLY with a label per Gaussian."""
    rest = 3 * (scene.sh.shape[1] - 1)
    names = ["x", "y", "z", "nx", "ny", "nz"]
    names += [*(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(rest))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    n = len(scene)
    columns = (
        scene.means,
        np.zeros((n, 3), np.float32),
        scene.sh[:, 0],
        scene.sh[:, 1:].transpose(0, 2, 1).reshape(n, rest),
        scene.opacity_logits[:, None],
        scene.log_scales,
        scene.wxyz,
    )
    vertices = np.empty(n, [("values", "<f4", (len(names),)), ("label", "u1")])
    vertices["values"] = np.concatenate(columns, axis=1)
    vertices["label"] = scene.labels
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {ANTIALIASED}"] if scene.antialiased else []
    header += [f"element vertex {n}", *(f"property float {name}" for name in names), "property uchar label"]
    files.write_bytes(path, "\n".join([*header, "end_header", ""]).encode() + vertices.tobytes())


def write_compressed_ply(path: Path | str, scene: GaussianScene) -> npt.NDArray[np.int64]:
    """Writes a scene, atomically, in the compressed layout: sorted by label, each value rounded to its bits.

    Returns:
        (N,) the order in which the Gaussians were written.
    """
    order = in_chunks(scene.means, scene.labels)
    scene = scene.select(order)
    packed = pack(scene)
    counts = " ".join(str(int((scene.labels == label).sum())) for label in Label)
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {ANTIALIASED}"] if scene.antialiased else []
    header += [f"comment {LABELS} {counts}", f"element chunk {len(packed.bounds)}"]
    header += [f"property float {name}" for name in CHUNK_NAMES]
    header += [f"element vertex {len(scene)}", *(f"property uint {name}" for name in PACKED_NAMES)]
    if packed.rest.shape[1]:
        header.append(f"element sh {len(scene)}")
        header += [f"property uchar f_rest_{i}" for i in range(packed.rest.shape[1])]
    body = (
        packed.bounds.astype("<f4").tobytes() + packed.words.astype("<u4").tobytes() + packed.rest.tobytes()
    )
    files.write_bytes(path, "\n".join([*header, "end_header", ""]).encode() + body)
    return order


def read_ply(path: Path | str) -> GaussianScene:
    """Reads a scene of either layout.

    Raises:
        SceneError: The file is missing, truncated, too large or of neither layout, a value is not finite, or scales
            or opacities were written as such instead of as logarithms and logits.
    """
    try:
        with open(path, "rb") as file:
            header = read_header(file)
            vertex = header.elements.get("vertex")
            if vertex is None:
                raise SceneError("the header has no element 'vertex'")
            if PACKED_NAMES[0] in (vertex.dtype.names or ()):
                scene = _compressed_scene(file, header)
            else:
                scene = _scene(read_rows(file, vertex), header.comments)
            _refuse_linear(scene)
            return scene
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error.strerror}") from None
    except SceneError as error:
        raise SceneError(f"{path}: {error}") from None


def _refuse_linear(scene: GaussianScene) -> None:
    """Refuses scales and opacities of exporters that forget the logarithm or the logit.

    Raises:
        SceneError: All standard deviations are at least 1 m, or the opacities fill [0, 1] and nothing else.
    """
    if len(scene) < MANY:
        return
    scales, opacities = scene.log_scales, scene.opacity_logits
    if scales.min() >= 0:
        raise SceneError(
            f"the scales lie between {scales.min():.3g} and {scales.max():.3g}, standard deviations of 1 m and more "
            "if they are logarithms; they seem to be linear: write log(scale)"
        )
    if 0 <= opacities.min() < FAINT and SOLID < opacities.max() <= 1:
        raise SceneError(
            f"the opacities lie between {opacities.min():.3g} and {opacities.max():.3g}, as opacities do and logits "
            "do not; they seem to be linear: write log(opacity / (1 - opacity))"
        )


def _compressed_scene(file: BinaryIO, header: Header) -> GaussianScene:
    vertex = header.elements["vertex"]
    chunk, sh = header.elements.get("chunk"), header.elements.get("sh")
    chunks = -(-vertex.count // CHUNK)
    if chunk is None or chunk.count != chunks:
        raise SceneError(
            f"{vertex.count} packed Gaussians need {chunks} chunks; there are {chunk.count if chunk else 0}"
        )
    rest = len(sh.dtype.names or ()) if sh else 0
    if rest // 3 + 1 not in SH_COUNTS or rest % 3 or (sh and sh.count != vertex.count):
        raise SceneError(f"element 'sh' has {rest} properties; expected 9, 24 or 45 for each Gaussian")
    words = _columns(read_rows(file, vertex), PACKED_NAMES, "u4")
    bounds = np.zeros((chunks, BOUNDS), np.float32)
    bounds[:, -3:] = 1  # older files keep no bounds of colours
    given = [name for name in CHUNK_NAMES if name in (chunk.dtype.names or ())]
    wanted = CHUNK_NAMES if len(given) > 12 else CHUNK_NAMES[:12]
    bounds[:, : len(wanted)] = _columns(read_rows(file, chunk), wanted, "f4")
    coded = _columns(read_rows(file, sh), [f"f_rest_{i}" for i in range(rest)], "u1") if sh else None
    if coded is None:
        coded = np.empty((vertex.count, 0), np.uint8)
    labels = _counted_labels(header.comments, vertex.count)
    return unpack(Packed(bounds, words, coded), labels, ANTIALIASED in header.comments)


def _counted_labels(comments: Sequence[str], count: int) -> npt.NDArray[np.uint8]:
    """Returns labels (N,) from the line that counts them; all are the object in a file without one."""
    for words in map(str.split, comments):
        if words[:1] == [LABELS]:
            counts = [int(word) for word in words[1:] if word.isdecimal() and len(word) < 19]
            if len(counts) != len(words) - 1 or len(counts) != len(Label) or sum(counts) != count:
                raise SceneError(
                    f"comment {' '.join(words)[:80]!r} does not count {len(Label)} labels of {count} Gaussians"
                )
            return np.repeat(np.array(list(Label), np.uint8), counts)
    return np.full(count, Label.OBJECT, np.uint8)


def _columns(rows: npt.NDArray[np.void], names: Sequence[str], kind: str) -> npt.NDArray[Any]:
    """Returns properties side by side, (N, len(names)); every one must be of the kind."""
    present = rows.dtype.names or ()
    wrong = [
        name for name in names if name not in present or rows.dtype[name].newbyteorder("<").str[1:] != kind
    ]
    if wrong:
        raise SceneError(f"a compressed file lacks {', '.join(wrong[:4])} of type {kind!r}")
    return np.stack([rows[name].astype(kind) for name in names], axis=1)


def _scene(vertices: npt.NDArray[np.void], comments: Sequence[str]) -> GaussianScene:
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
