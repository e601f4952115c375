"""Masks of a view from what is held in 3D: outlines by colour (GrabCut), where depth is wrong or missing."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from h2rh_env.captures.base import RgbdView
from h2rh_env.core.errors import MissingPackageError
from h2rh_env.core.labels import Label

from .held import Held

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

CLOSED_PX = 4  # holes and gaps of depth that are closed before colour decides
INSIDE_PX, OUTSIDE_PX = 4, 6  # from the outline that depth gives, within which colour decides
MARGIN_PX = 30
ROUNDS = 3
LEAST_PX = 60  # fewer are noise


def outlined(view: RgbdView, held: Held) -> Labels:
    """Returns the labels (H, W) of a view.

    Raises:
        MissingPackageError: OpenCV is not installed.
    """
    labels = held.at(view.world_from_camera.apply(view.camera.unproject(view.depth_m)))
    labels[view.depth_m <= 0] = Label.BACKGROUND
    rough = _closed(labels > 0)
    if rough.sum() < LEAST_PX:
        return np.zeros_like(labels)
    exact = _cut(view.rgb, rough)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    filled: Labels = np.where(exact, labels[tuple(nearest)], Label.BACKGROUND).astype(np.uint8)
    return filled


def _closed(mask: Mask) -> Mask:
    closed = ndimage.binary_closing(mask, np.ones((3, 3)), iterations=CLOSED_PX)
    pieces, count = ndimage.label(closed)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    kept: Mask = ndimage.binary_fill_holes(closed & (areas[pieces] >= LEAST_PX))
    return kept


def _cut(rgb: npt.NDArray[np.uint8], rough: Mask) -> Mask:
    """Returns the outline that colour gives in a band about a rough one."""
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError as error:
        raise MissingPackageError(
            f'OpenCV cannot be imported ({error}); type: pip install "h2rh-env[masks]"'
        ) from None
    rows, columns = np.nonzero(rough)
    window = np.s_[
        max(rows.min() - MARGIN_PX, 0) : rows.max() + MARGIN_PX,
        max(columns.min() - MARGIN_PX, 0) : columns.max() + MARGIN_PX,
    ]
    inner = ndimage.binary_erosion(rough[window], iterations=INSIDE_PX)
    near = ndimage.binary_dilation(rough[window], iterations=OUTSIDE_PX)
    trimap = np.where(near, np.where(rough[window], cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD).astype(
        np.uint8
    )
    trimap[inner] = cv2.GC_FGD
    if not (trimap == cv2.GC_FGD).any():
        return rough
    cv2.setRNGSeed(0)
    model = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(rgb[window][..., ::-1])
    cv2.grabCut(bgr, trimap, None, *model, ROUNDS, cv2.GC_INIT_WITH_MASK)
    exact = np.zeros_like(rough)
    exact[window] = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return exact
