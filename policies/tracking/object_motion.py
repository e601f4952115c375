"""ObjectMotion: how giver and object move, and how far away the object is in spite of it.

The plane sweep of `ranging` takes it that the object stands still. Of one that moves, two frames tell how it moved
before the camera in units of its distance; so with that distance, its way through the world is known. People do not
jump: of all distances, that one is the likeliest at which the way is the smoothest, since the camera starts, turns
and stops much more suddenly than hands do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from h2rh_env.core.geometry import Array
from h2rh_env.envs.giver_motion import STEP_S, WAVE_HZ

from .depth import START_M, START_SIGMA, Track, Tracker, spread_over, window_about
from .keyframes import Frame, focal_px, inverse, shrunk, sights
from .numba_register import register

SPEED_MPS = 0.022  # standard deviation of a giver's velocity along each axis
ACROSS, ALONG = 0.0012, 0.008  # errors of a registration, in distances, across the sight and along it
SWEEP_SIGMA = 0.11  # error of the sweep's logarithm where givers move
SAMPLES, ROUNDS = 20, 12  # places of the window along each side that are registered, and how often
REWEIGHTED = 2  # times, so that outliers count less
LEAST_M = 0.15


@dataclass(frozen=True)
class MotionEstimate:
    """What is known of a giver at a frame.

    Attributes:
        distance_m: to the middle of what is seen of the object; sigma: standard deviation of the logarithm.
        velocity: (3,), m/s, of the object in the frame's axes.
        way: (T + 1, 3), m, from where the object was first seen to where it was in each frame since, in the world.
    """

    distance_m: float
    sigma: float
    velocity: Array
    way: Array


class ObjectMotion:
    """Follows one episode, of which every frame must be told, one step of time after the other.

    The unknowns are the distance at the first frame, and how far the object moved in each step. With them the
    registrations are linear equations, and smoothness is a normal belief, so one linear system gives the answer.
    """

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._seen_at = 0  # the step of that frame
        self._positions: list[Array] = []  # (3,) of the camera since the object was first seen, in the world
        self._first = np.zeros(3)  # direction to the object at first
        self._pairs: list[tuple[int, int, Array, Array]] = []  # steps, sight and shift, in the world
        self._pose = np.eye(4)  # of that frame
        self._last = MotionEstimate(START_M, START_SIGMA, np.zeros(3), np.zeros((0, 3)))

    def see(self, seen: Track, world_from_camera: Array) -> MotionEstimate:
        """The newest frame's.

        Args:
            world_from_camera: (4, 4), of the camera now, in any frame that stays the same.
        """
        pose, frame = world_from_camera @ seen.camera_from_frame, shrunk(seen.rgb, seen.masks)
        window = window_about(frame)
        if window is None and self._frame is None:
            return self._last
        self._positions.append(pose[:3, 3])
        step = len(self._positions) - 1
        if window is not None:
            sight = sights(window[:2], frame)
            if self._frame is None:
                self._first = pose[:3, :3] @ sight
            else:
                self._register(frame, window, sight, pose, step, seen.distance_m)
            self._frame, self._pose, self._seen_at = frame, pose, step
        if self._pairs:
            self._last = self._solved(pose, seen.distance_m)
        else:
            self._last = replace(self._last, way=np.zeros((step + 1, 3)))
        return self._last

    def _register(
        self, frame: Frame, window: Frame, sight: Array, pose: Array, step: int, swept_m: float
    ) -> None:
        then_from_now = inverse(self._pose) @ pose
        shift = then_from_now[:3, 3] / max(self._last.distance_m if self._pairs else swept_m, LEAST_M)
        assert self._frame is not None
        register(
            frame, self._frame, then_from_now[:3, :3].astype(np.float32), np.float32(focal_px(frame)),
            spread_over(window, SAMPLES).astype(np.float32), sight.astype(np.float32), shift, ROUNDS,
        )  # fmt: skip
        self._pairs.append((self._seen_at, step, pose[:3, :3] @ sight, self._pose[:3, :3] @ shift))

    def _solved(self, pose: Array, swept_m: float) -> MotionEstimate:
        steps = len(self._positions) - 1
        rows, wanted, toward = self._equations(steps)
        belief, expected = _smoothness(steps)
        positions = np.stack(self._positions)
        now = np.array([pair[1] for pair in self._pairs])
        distances, trust = np.full(steps + 1, max(swept_m, LEAST_M)), np.ones(len(now))
        radial = toward[:, :, None] * toward[:, None, :]
        for _ in range(1 + REWEIGHTED):
            per = distances[now, None, None]
            weights = (np.eye(3) - radial) / (per * ACROSS) ** 2
            weights += radial * trust[:, None, None] / (per * ALONG) ** 2
            weighted = np.einsum("kab,kan->kbn", weights, rows).reshape(-1, rows.shape[2])
            flat = rows.reshape(weighted.shape)
            matrix = belief + flat.T @ weighted
            unknown = np.linalg.solve(matrix, expected + weighted.T @ wanted.ravel())
            left = (flat @ unknown).reshape(wanted.shape) - wanted
            trust = 1 / (1 + ((left * toward).sum(axis=1) / (2 * distances[now] * ALONG)) ** 2)
            way = np.concatenate([np.zeros((1, 3)), np.cumsum(unknown[1:].reshape(-1, 3), axis=0)])
            object_world = positions[0] + self._first * unknown[0] + way
            distances = np.maximum(np.linalg.norm(object_world - positions, axis=1), LEAST_M)
        sight = (object_world[-1] - positions[-1]) / distances[-1]
        how = np.concatenate([[sight @ self._first], np.tile(sight, steps)])
        sigma = float(np.sqrt(how @ np.linalg.solve(matrix, how))) / distances[-1]
        log, sigma = _together(np.log(distances[-1]), sigma, np.log(swept_m), SWEEP_SIGMA)
        return MotionEstimate(float(np.exp(log)), sigma, pose[:3, :3].T @ (way[-1] - way[-2]) / STEP_S, way)

    def _equations(self, steps: int) -> tuple[Array, Array, Array]:
        """Rows (K, 3, 1 + 3 steps) and right sides (K, 3) of the registrations, and their sights (K, 3)."""
        positions = np.stack(self._positions)
        then, now = (np.array([pair[k] for pair in self._pairs]) for k in (0, 1))
        toward, shift = (np.stack([pair[k] for pair in self._pairs]) for k in (2, 3))
        number = np.arange(1, steps + 1)
        until_now = number <= now[:, None]  # (K, steps)
        between = until_now & (number > then[:, None])
        moves = np.einsum("ka,kb,kn->kanb", shift, toward, until_now.astype(float))
        moves += np.eye(3)[None, :, None, :] * between[:, None, :, None]
        first = shift * (toward @ self._first)[:, None]
        rows = np.concatenate([first[:, :, None], moves.reshape(len(now), 3, -1)], axis=2)
        along = (toward * (positions[0] - positions[now])).sum(axis=1)
        return rows, positions[now] - positions[then] - shift * along[:, None], toward


class MotionTracker(Tracker):
    """Follows an episode in the frame that the giver carries along, where the object stands still.

    Poses are corrected by the way the object went, and earlier ones again with each frame, which tells more of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._object_motion = ObjectMotion()
        self._world_poses: list[Array] = []

    def follow(self, seen: Track, world_from_camera: Array) -> tuple[Track, MotionEstimate]:
        """What another tracker, who takes the object to stand still, has seen, and how it is if the object moves.

        Args:
            world_from_camera: (4, 4), of the camera now, in any frame that stays the same.
        """
        motion = self._object_motion.see(seen, world_from_camera)
        self._world_poses.append(world_from_camera @ seen.camera_from_frame)
        scene_poses = [pose.copy() for pose in self._world_poses]
        for pose, offset in zip(reversed(scene_poses), motion.way[::-1], strict=False):
            pose[:3, 3] -= offset
        *earlier, scene_from_camera = scene_poses
        self.correct(earlier)
        again = self.see(seen.rgb, seen.masks, scene_from_camera)
        return replace(again, camera_from_frame=seen.camera_from_frame), motion


@cache
def _smoothness(steps: int) -> tuple[Array, Array]:
    """What is believed before looking: precision matrix (1 + 3 steps, 1 + 3 steps), and that times the mean."""
    apart_s = STEP_S * np.abs(np.arange(steps)[:, None] - np.arange(steps))
    waves = 2 * np.pi * np.linspace(*WAVE_HZ, 21)
    covariance = (SPEED_MPS * STEP_S) ** 2 * np.cos(waves[:, None, None] * apart_s).mean(axis=0)
    precision = np.zeros((1 + 3 * steps, 1 + 3 * steps))
    precision[0, 0] = (START_M * START_SIGMA) ** -2
    precision[1:, 1:] = np.kron(np.linalg.inv(covariance + 1e-10 * np.eye(steps)), np.eye(3))
    return precision, precision[:, 0] * START_M


def _together(first: float, first_sigma: float, second: float, second_sigma: float) -> tuple[float, float]:
    """Mean and sigma of two measurements of one thing."""
    a, b = first_sigma**-2, second_sigma**-2
    return (a * first + b * second) / (a + b), float((a + b) ** -0.5)
