"""Gaussians in 16 bytes each: the packed values of SuperSplat's and PlayCanvas's compressed PLY, and back.

A chunk of 256 Gaussians keeps the least and greatest position, log scale and colour, six groups of three floats. Of
each Gaussian four 32-bit words remain: position and log scale as 11-10-11 bits between the chunk's bounds, rotation
as the index of its largest component and the three others in 10 bits each, colour and opacity as four bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .gaussians import SH_C0, GaussianScene

Float = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint32]

CHUNK = 256
BOUNDS = 18  # floats per chunk
WIDTHS_BITS = (11, 10, 11)
SH_STEPS = 255 / 8  # of the higher coefficients, bytes between -4 and 4
LOG_SCALE_LIMIT = 20.0


@dataclass(frozen=True, eq=False)
class Packed:
    """N packed Gaussians.

    Attributes:
        bounds: (C, 18) float32, of the chunks.
        words: (N, 4) uint32.
        rest: (N, 3 (K - 1)) uint8, the higher coefficients, channel-major.
    """

    bounds: Float
    words: Words
    rest: npt.NDArray[np.uint8]


def pack(scene: GaussianScene) -> Packed:
    """Packs Gaussians in their order; near ones should follow each other, see `in_chunks`."""
    n = len(scene)
    scales = np.clip(scene.log_scales, -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
    groups = [scene.means, scales, 0.5 + SH_C0 * scene.sh[:, 0]]
    starts = np.arange(0, n, CHUNK)
    bounds, shares = np.empty((len(starts), BOUNDS), np.float32), []
    for k, values in enumerate(groups):
        low, high = (ufunc.reduceat(values, starts) if n else values for ufunc in (np.minimum, np.maximum))
        bounds[:, 6 * k : 6 * k + 3], bounds[:, 6 * k + 3 : 6 * k + 6] = low, high
        low, high = (bound.repeat(CHUNK, axis=0)[:n].astype(np.float64) for bound in (low, high))
        shares.append((values - low) / np.where(high > low, high - low, 1))
    position, scale = (_joined(share, WIDTHS_BITS) for share in shares[:2])
    rgba = np.column_stack([shares[2], scene.opacities])
    words = [position, _packed_rotation(scene.wxyz), scale, _joined(rgba, (8, 8, 8, 8))]
    rest = scene.sh[:, 1:].transpose(0, 2, 1).reshape(n, 3 * (scene.sh.shape[1] - 1))
    coded = np.clip((rest + 4) * SH_STEPS + 0.5, 0, 255).astype(np.uint8)
    return Packed(bounds, np.stack(words, axis=1), coded)


def unpack(packed: Packed, labels: npt.NDArray[np.uint8], antialiased: bool) -> GaussianScene:
    """Unpacks Gaussians, within half a step of every packed value.

    Raises:
        SceneError: Bounds are not finite.
    """
    n = len(packed.words)
    each = packed.bounds.repeat(CHUNK, axis=0)[:n].astype(np.float64)
    position, rotation, scale, colour = packed.words.T
    shares = [_split(position, WIDTHS_BITS), _split(scale, WIDTHS_BITS), _split(colour, (8, 8, 8, 8))]
    with np.errstate(over="ignore", invalid="ignore"):  # the scene refuses what bounds out of range make
        spans = [(each[:, 6 * k : 6 * k + 3], each[:, 6 * k + 3 : 6 * k + 6]) for k in range(3)]
        values = [low + share[:, :3] * (high - low) for (low, high), share in zip(spans, shares, strict=True)]
        means, log_scales, dc = (
            v.astype(np.float32) for v in (values[0], values[1], (values[2] - 0.5) / SH_C0)
        )
    opacity = np.clip(shares[2][:, 3], 1 / 1020, 1 - 1 / 1020)  # a quarter of a step from certain
    rest = (
        (packed.rest / np.float32(SH_STEPS) - 4).reshape(n, 3, packed.rest.shape[1] // 3).transpose(0, 2, 1)
    )
    sh = np.concatenate([dc[:, None], rest.astype(np.float32)], axis=1)
    logits = np.log(opacity / (1 - opacity)).astype(np.float32)
    return GaussianScene(means, _unpacked_rotation(rotation), log_scales, logits, sh, labels, antialiased)


def in_chunks(means: Float, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Returns an order (N,) sorted by label in which every chunk is small in space, so that its steps are fine."""
    order: list[npt.NDArray[np.int64]] = []
    for label in np.unique(labels):
        index = np.flatnonzero(labels == label)
        started = sum(map(len, order)) % CHUNK
        if started:
            end = means[order[-1][-started:]].mean(axis=0)
            nearest = np.argsort(((means[index] - end) ** 2).sum(axis=1), kind="stable")
            order.append(index[nearest[: CHUNK - started]])
            index = index[np.sort(nearest[CHUNK - started :])]
        order += _halved(means, index)
    return np.concatenate([np.zeros(0, np.int64), *order])


def _halved(means: Float, index: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Divides Gaussians into full chunks and a rest by cutting across the longest side again and again."""
    if len(index) <= CHUNK:
        return [index] if len(index) else []
    points = means[index]
    axis = int(np.ptp(points, axis=0).argmax())
    chunks = -(-len(index) // CHUNK)
    first = chunks // 2 * CHUNK
    along = index[np.argsort(points[:, axis], kind="stable")]
    return [*_halved(means, along[:first]), *_halved(means, along[first:])]


def _joined(shares: Array, widths: tuple[int, ...]) -> Words:
    """Packs shares (N, G) in [0, 1] as bit fields of a word (N,), the first uppermost."""
    word = np.zeros(len(shares), np.uint32)
    for k, width in enumerate(widths):
        top = (1 << width) - 1
        word = (word << np.uint32(width)) | np.clip(shares[:, k] * top + 0.5, 0, top).astype(np.uint32)
    return word


def _split(words: Words, widths: tuple[int, ...]) -> Array:
    """Inverts `_joined`."""
    shares = []
    for width in reversed(widths):
        top = (1 << width) - 1
        shares.append((words & np.uint32(top)) / top)
        words = words >> np.uint32(width)
    return np.stack(shares[::-1], axis=1)


def _packed_rotation(wxyz: Float) -> Words:
    unit = wxyz.astype(np.float64)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.where(length > 0, unit / np.where(length > 0, length, 1), [1.0, 0, 0, 0])
    largest = np.abs(unit).argmax(axis=1)
    row = np.arange(len(unit))
    unit *= np.where(unit[row, largest] < 0, -1, 1)[:, None]
    others = unit[np.arange(4) != largest[:, None]].reshape(-1, 3)
    words: Words = _joined(others * np.sqrt(0.5) + 0.5, (10, 10, 10)) | (
        largest.astype(np.uint32) << np.uint32(30)
    )
    return words


def _unpacked_rotation(words: Words) -> Float:
    others = (_split(words & np.uint32(0x3FFFFFFF), (10, 10, 10)) - 0.5) * np.sqrt(2)
    largest = (words >> np.uint32(30)).astype(np.int64)
    wxyz = np.empty((len(words), 4))
    wxyz[np.arange(4) != largest[:, None]] = others.ravel()
    wxyz[np.arange(len(words)), largest] = np.sqrt(np.maximum(1 - (others**2).sum(axis=1), 0))
    return wxyz.astype(np.float32)
