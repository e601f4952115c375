"""Sampling kernels: a frame seen by a camera turned another way, and the frame before laid on planes of depth."""

from __future__ import annotations

import numpy as np
from numba import njit

OUTSIDE = 0.05  # of the ray's z: what is beside or behind the camera is in no image


@njit(cache=True, nogil=True, error_model="numpy")
def _read(images, x, y, values, first):
    """Bilinear values of images (H, W, C) at a place, px from the corner, to `values` from the index `first` on;
    returns whether it lies inside."""
    height, width, channels = images.shape
    x -= 0.5
    y -= 0.5
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return False
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - left, y - top
    for c in range(channels):
        upper = images[top, left, c] * (1 - fx) + images[top, left + 1, c] * fx
        lower = images[top + 1, left, c] * (1 - fx) + images[top + 1, left + 1, c] * fx
        values[first + c] = upper * (1 - fy) + lower * fy
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def sample_crop(rgb, masks, intrinsics, camera_from_crop, half_tangent, averaged, crop):
    """Fills `crop` (6, S, S) uint8 with what a square camera sees that shares the frame's centre of projection.

    Args:
        rgb, masks: (H, W, 3) and (H, W, 2) uint8.
        intrinsics: (4,) fx, fy, cx, cy, px.
        camera_from_crop: (3, 3) rotation.
        half_tangent: of half the crop's field of view.
        averaged: a pixel is the mean of so many places squared.
        crop: its last channel is 255 times the share of the pixel that lies in the frame.
    """
    side, colours = crop.shape[1], rgb.shape[2]
    channels = colours + masks.shape[2]
    values, sums = np.empty(channels), np.empty(channels)
    r = camera_from_crop
    step = 2 * half_tangent / (side * averaged)
    for i in range(side):
        for j in range(side):
            sums[:] = 0
            inside = 0
            for a in range(averaged):
                y = (i * averaged + a + 0.5) * step - half_tangent
                for b in range(averaged):
                    x = (j * averaged + b + 0.5) * step - half_tangent
                    z = r[2, 0] * x + r[2, 1] * y + r[2, 2]
                    if z < OUTSIDE:
                        continue
                    u = intrinsics[0] * (r[0, 0] * x + r[0, 1] * y + r[0, 2]) / z + intrinsics[2]
                    v = intrinsics[1] * (r[1, 0] * x + r[1, 1] * y + r[1, 2]) / z + intrinsics[3]
                    if _read(rgb, u, v, values, 0):
                        _read(masks, u, v, values, colours)
                        inside += 1
                        for c in range(channels):
                            sums[c] += values[c]
            places = averaged * averaged
            for c in range(channels):
                crop[c, i, j] = np.uint8(sums[c] / places + 0.5)
            crop[channels, i, j] = np.uint8(255 * inside // places)


@njit(cache=True, nogil=True, error_model="numpy")
def sample_planes(images, intrinsics, rotation, translation, half_tangent, depths_m, here, seen, planes):
    """Fills `planes` (D, C + 1, S, S) uint8 with how another frame differs if all stood on a plane of depth.

    Args:
        images: (H, W, C) uint8, of the other frame.
        intrinsics: (4,) fx, fy, cx, cy, px, of the other frame's camera.
        rotation, translation: (3, 3) and (3,), m: `other_from_crop`.
        half_tangent: of half the crop's field of view.
        depths_m: (D,) along the crop's z.
        here: (C, S, S) what is seen here, 0 to 255. seen: (S, S) bool, where that lies in the frame.
        planes: half the differences plus 128; the last channel is 255 where the place lies in both frames, else 0,
            and all channels are.
    """
    channels, side = images.shape[2], planes.shape[2]
    values = np.empty(channels)
    r, t = rotation, translation
    step = 2 * half_tangent / side
    for d in range(len(depths_m)):
        for i in range(side):
            y = (i + 0.5) * step - half_tangent
            for j in range(side):
                x = (j + 0.5) * step - half_tangent
                px = (r[0, 0] * x + r[0, 1] * y + r[0, 2]) * depths_m[d] + t[0]
                py = (r[1, 0] * x + r[1, 1] * y + r[1, 2]) * depths_m[d] + t[1]
                pz = (r[2, 0] * x + r[2, 1] * y + r[2, 2]) * depths_m[d] + t[2]
                inside = False
                if seen[i, j] and pz > OUTSIDE * depths_m[d]:
                    u = intrinsics[0] * px / pz + intrinsics[2]
                    v = intrinsics[1] * py / pz + intrinsics[3]
                    inside = _read(images, u, v, values, 0)
                for c in range(channels):
                    difference = (np.floor(values[c] + 0.5) - here[c, i, j]) / 2 + 128 if inside else 0.0
                    planes[d, c, i, j] = np.uint8(min(max(difference, 0.0), 255.0))
                planes[d, channels, i, j] = np.uint8(255) if inside else np.uint8(0)
