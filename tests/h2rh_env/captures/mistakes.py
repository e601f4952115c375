"""Mistakes that people make with captures: each is a change of a sound one, and the words that have to name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.spatial.transform import Rotation

from h2rh_env.captures.base import HandoverCapture, RgbdView
from h2rh_env.core.camera import PinholeCamera
from h2rh_env.core.geometry import SE3

Change = Callable[[HandoverCapture], HandoverCapture]
K = 2  # the camera that a single mistake is made with


def each(change: Callable[[RgbdView], RgbdView]) -> Change:
    return lambda capture: replace(capture, views=tuple(change(view) for view in capture.views))


def one(change: Callable[[RgbdView], RgbdView], k: int = K) -> Change:
    return lambda c: replace(c, views=tuple(change(v) if i == k else v for i, v in enumerate(c.views)))


def posed(pose_of: Callable[[SE3], SE3]) -> Callable[[RgbdView], RgbdView]:
    return lambda view: replace(view, world_from_camera=pose_of(view.world_from_camera))


def axes(*rows: list[float]) -> SE3:
    return SE3(np.array(rows, np.float64), np.zeros(3))


def depth(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[RgbdView], RgbdView]:
    return lambda view: replace(view, depth_m=change(view.depth_m).astype(np.float32))


def labels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[RgbdView], RgbdView]:
    return lambda view: replace(view, labels=change(view.labels).astype(np.uint8))


def rgb(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[RgbdView], RgbdView]:
    return lambda view: replace(view, rgb=np.ascontiguousarray(change(view.rgb)).astype(np.uint8))


def camera(**factors: float) -> Callable[[RgbdView], RgbdView]:
    def change(view: RgbdView) -> RgbdView:
        c = view.camera
        values = {key: getattr(c, key) * factors.get(key, 1.0) for key in ("fx", "fy", "cx", "cy")}
        return replace(view, camera=PinholeCamera(c.width, c.height, **values))

    return change


def moved(shift_m: float, turn_rad: float) -> Callable[[RgbdView], RgbdView]:
    turn = Rotation.from_rotvec(turn_rad * np.array([0.6, 0.8, 0.0])).as_matrix()
    return posed(lambda pose: pose @ SE3(turn, shift_m * np.array([0.8, -0.6, 0.0])))


def late(metres: float) -> Callable[[RgbdView], RgbdView]:
    """Moves object and hand sideways in a camera's images, as if they had moved on."""

    def change(view: RgbdView) -> RgbdView:
        held = view.labels > 0
        step = round(metres * view.camera.fx / float(np.median(view.depth_m[held & (view.depth_m > 0)])))
        there = np.roll(held, step, 1)
        rgb, depth_m, mask = view.rgb.copy(), view.depth_m.copy(), view.labels.copy()
        depth_m[held], mask[held] = 0, 0
        for image, source in ((rgb, view.rgb), (depth_m, view.depth_m), (mask, view.labels)):
            image[there] = np.roll(source, step, 1)[there]
        return replace(view, rgb=rgb, depth_m=depth_m, labels=mask)

    return change


def along_ray(view: RgbdView) -> RgbdView:
    rays = np.linalg.norm(view.camera.unproject(np.ones(view.depth_m.shape)), axis=-1)
    return replace(view, depth_m=(view.depth_m * rays).astype(np.float32))


def swap_views(key: str, a: int = 1, b: int = 5) -> Change:
    def change(capture: HandoverCapture) -> HandoverCapture:
        views = list(capture.views)
        one, two = getattr(views[a], key), getattr(views[b], key)
        views[a], views[b] = replace(views[a], **{key: two}), replace(views[b], **{key: one})
        return replace(capture, views=tuple(views))

    return change


def copied(key: str) -> Change:
    def change(capture: HandoverCapture) -> HandoverCapture:
        views = list(capture.views)
        views[3] = replace(views[3], **{key: getattr(views[4], key)})
        return replace(capture, views=tuple(views))

    return change


def turned_world(axes_rows: SE3) -> Change:
    return each(posed(lambda pose: axes_rows @ pose))


def quaternion_order(order: list[int]) -> Callable[[SE3], SE3]:
    def change(pose: SE3) -> SE3:
        quaternion = Rotation.from_matrix(pose.rotation).as_quat()
        return SE3(Rotation.from_quat(quaternion[order]).as_matrix(), pose.translation)

    return change


def swap(mask: np.ndarray) -> np.ndarray:
    return np.array([0, 2, 1])[mask]


def middle(view: RgbdView) -> int:
    return int(np.median(np.nonzero(view.labels == 1)[1]))


def rough(depth_m: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.015, depth_m.shape)
    return np.where(depth_m > 0, depth_m + noise, 0).clip(0).astype(np.float32)


def grown(mask: np.ndarray) -> np.ndarray:
    return np.where(binary_dilation(mask > 0, iterations=15) & (mask == 0), 1, mask).astype(np.uint8)


def without_hand_near(mask: np.ndarray) -> np.ndarray:
    near = binary_dilation(mask == 1, iterations=60)
    return np.where((mask == 2) & near, 0, mask).astype(np.uint8)


def shaken(view: RgbdView, k: int) -> RgbdView:
    rng = np.random.default_rng(k)
    turn = Rotation.from_rotvec(rng.normal(0, 0.006, 3)).as_matrix()
    return posed(lambda pose: pose @ SE3(turn, rng.normal(0, 0.006, 3)))(view)


OPENGL = axes([1, 0, 0], [0, -1, 0], [0, 0, -1])
ROS = axes([0, 0, 1], [-1, 0, 0], [0, -1, 0])
Y_UP = axes([1, 0, 0], [0, 0, 1], [0, -1, 0])

MISTAKES: dict[str, tuple[Change, str]] = {
    "OpenGL axes": (each(posed(lambda pose: pose @ OPENGL)), "OpenGL axes"),
    "OpenGL axes of one camera": (one(posed(lambda pose: pose @ OPENGL)), "camera .*OpenGL axes"),
    "inverted poses": (each(posed(lambda pose: pose.inverse())), "its inverse"),
    "inverted poses in OpenGL axes": (each(posed(lambda pose: (pose @ OPENGL).inverse())), "its inverse, .*OpenGL"),
    "ROS axes of a body": (each(posed(lambda pose: pose @ ROS.inverse())), "x forward, y left, z up"),
    "positions in millimetres": (each(posed(lambda p: SE3(p.rotation, p.translation * 1000))), "millimetres"),
    "positions in centimetres": (each(posed(lambda p: SE3(p.rotation, p.translation * 100))), "centimetres"),
    "no metric scale": (each(posed(lambda p: SE3(p.rotation, p.translation * 0.31))), "no metric scale"),
    "transposed rotations": (each(posed(lambda p: SE3(p.rotation.T, p.translation))), "transpose"),
    "quaternion order": (each(posed(quaternion_order([3, 0, 1, 2]))), "quaternions in another order"),
    "images upside down": (each(posed(lambda p: p @ axes([-1, 0, 0], [0, -1, 0], [0, 0, 1]))), "180 degrees"),
    "mirrored images": (
        each(lambda v: replace(v, rgb=v.rgb[:, ::-1], depth_m=v.depth_m[:, ::-1], labels=v.labels[:, ::-1])),
        "the images seem to be mirrored",
    ),
    "depth of an L515": (each(depth(lambda d: d * 0.25)), "multiply depth_scale_m by 4 "),
    "depth of TUM": (each(depth(lambda d: d * 5)), "multiply depth_scale_m by 0.2 "),
    "depth scale of one camera": (one(depth(lambda d: d * 0.25)), "camera .*depth_scale_m by 4"),
    "depth 4 % off": (each(depth(lambda d: d * 1.04)), "factor"),
    "depth 3 % off in one camera": (one(depth(lambda d: d * 1.03)), "depth"),
    "distances along the ray": (each(along_ray), "along the ray"),
    "constant depth": (one(depth(lambda d: np.full_like(d, 1.0))), "same depth"),
    "far plane": (
        each(depth(lambda d: np.where((d == 0) | (np.indices(d.shape).sum(0) % 3 > 0), 10.0, d))),
        "same depth|not measured",
    ),
    "8-bit depth": (each(depth(lambda d: np.round(d / 0.02) * 0.02)), "steps"),
    "noisy depth": (one(lambda v: replace(v, depth_m=rough(v.depth_m))), "scatters"),
    "no depth on the object": (
        one(lambda v: replace(v, depth_m=np.where(v.labels == 1, 0, v.depth_m))),
        "measured depth on",
    ),
    "K of twice the resolution": (each(camera(fx=2, fy=2, cx=2, cy=2)), "principal point"),
    "K of 1280x720": (each(camera(fx=1.5, fy=1.5, cx=2, cy=1.5)), "1280x720"),
    "focal length of depth": (each(camera(fx=0.63, fy=0.63)), "K "),
    "focal length 5 % off": (each(camera(fx=1.05, fy=1.05)), "focal lengths"),
    "focal length 5 % off in one camera": (one(camera(fx=1.05, fy=1.05)), "camera .*(focal|K is not its own)"),
    "cx and cy swapped": (
        each(lambda v: replace(v, camera=replace(v.camera, cx=v.camera.cy, cy=v.camera.cx))),
        "cx and cy seem to be swapped",
    ),
    "y up": (turned_world(Y_UP), "z does not point up.* y does"),
    "z down": (turned_world(axes([1, 0, 0], [0, -1, 0], [0, 0, -1])), "-z does"),
    "world of the first camera": (
        lambda c: each(posed(lambda pose: c.views[0].world_from_camera.inverse() @ pose))(c),
        "z does not point up",
    ),
    "swapped labels": (each(labels(swap)), "swapped"),
    "swapped labels in one camera": (one(labels(swap)), "camera .*swapped"),
    "empty labels": (one(labels(np.zeros_like)), "mask is empty"),
    "hand not annotated": (each(labels(lambda m: m * (m == 1))), "not annotated"),
    "hand not annotated in one camera": (one(labels(lambda m: m * (m == 1))), "camera .*of the hand"),
    "half a mask": (
        one(lambda v: replace(v, labels=np.where(np.arange(640) < middle(v), 0, v.labels).astype(np.uint8))),
        "camera .*background",
    ),
    "mask of another camera": (swap_views("labels"), "mask|contradicts"),
    "shifted mask": (one(labels(lambda m: np.roll(m, (8, 9), (0, 1)))), "shifted|mask and depth do not lie"),
    "shifted masks": (each(labels(lambda m: np.roll(m, (0, 8), (0, 1)))), "mask and depth do not lie"),
    "grown masks": (each(lambda v: replace(v, labels=grown(v.labels))), "mask|see through"),
    "depth not aligned to colour": (each(depth(lambda d: np.roll(d, 12, 1))), "mask and depth|contradict"),
    "BGR": (each(rgb(lambda image: image[..., ::-1])), "BGR"),
    "BGR in one camera": (one(rgb(lambda image: image[..., ::-1])), "camera .*BGR"),
    "infrared as colour": (one(rgb(lambda i: np.repeat(i.mean(-1, keepdims=True), 3, -1))), "grey"),
    "colour of another camera": (swap_views("rgb"), "other colours"),
    "colour upside down": (one(rgb(lambda image: image[::-1, ::-1])), "other colours"),
    "dark camera": (one(rgb(lambda image: image * 0.55)), "brighter or darker"),
    "black image": (one(rgb(lambda image: image * 0.02)), "black"),
    "copied image": (copied("rgb"), "same colour image"),
    "copied pose": (copied("world_from_camera"), "same pose"),
    "poses of two cameras swapped": (swap_views("world_from_camera"), "swapped"),
    "two cameras": (lambda c: replace(c, views=c.views[:2]), "2 cameras see the object"),
    "a camera moved": (one(moved(0.003, 0.003)), "was moved"),
    "a camera moved by 2 cm": (one(moved(0.02, 0.01)), "camera .*(was moved|contradicts)"),
    "a late camera": (one(late(0.012)), "another moment"),
    "loose poses": (
        lambda c: replace(c, views=tuple(shaken(v, i) for i, v in enumerate(c.views))),
        "loosely|was moved",
    ),
    "far from the origin": (each(posed(lambda p: SE3(p.rotation, p.translation + 5e3))), "from the world's origin"),
    "nobody holds it": (each(labels(without_hand_near)), "nobody holds|not annotated|mask"),
}  # fmt: skip
