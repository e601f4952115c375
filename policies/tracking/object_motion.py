"""ObjectMotion: how giver and object move, and how far away the object is in spite of it.

The plane sweep of `depth` takes it that the object stands still. If it moves, two frames tell how it moved before
the camera in units of its distance; so with that distance, its path through the world is known. People do not jump:
of all distances, the likeliest is the one at which the path is the smoothest, since the camera starts, turns and
stops much more suddenly than hands do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from h2rh_env.core.geometry import SE3, Array

from ..config import ObjectMotionConfig, PolicyConfig
from .depth import window_about
from .keyframes import Frame, Optics, Window, half_size
from .numba_register import register
from .tracker import Track, Tracker


@dataclass(frozen=True)
class MotionEstimate:
    """What is known at a frame of an object that moves.

    Attributes:
        distance_m: to the middle of what is seen of the object.
        sigma: standard deviation of the logarithm of the distance.
        velocity: (3,), m/s, of the object in the frame's axes.
        path: (T + 1, 3), m, from where the object was first seen to where it was in each frame since, in the world.
    """

    distance_m: float
    sigma: float
    velocity: Array
    path: Array


@dataclass(frozen=True)
class _Registration:
    """How two frames fit together.

    Attributes:
        then, now: steps at which they were taken.
        sight_world: (3,) line of sight to the object in the later one.
        shift_world: (3,) of the object before the camera, in distances of the object.
    """

    then: int
    now: int
    sight_world: Array
    shift_world: Array


class ObjectMotion:
    """Estimates the motion in one episode, of which every frame must be seen, one step of time after the other.

    The unknowns are the distance at the first frame, and how far the object moved in each step. With them the
    registrations are linear equations, and smoothness is a normal belief, so one linear system gives the answer.
    """

    def __init__(self, config: PolicyConfig) -> None:
        self._config, self._depth = config.tracking.object_motion, config.tracking.depth
        self._optics = Optics.of(config.camera)
        self._frame: Frame | None = None  # the last that showed something
        self._seen_at = 0  # the step of that frame
        self._pose = SE3.identity()  # of that frame
        self._positions: list[Array] = []  # (3,) of the camera since the object was first seen, in the world
        self._first_sight = np.zeros(3)  # to the object at first, in the world
        self._registrations: list[_Registration] = []
        self._last = MotionEstimate(
            self._depth.initial_m, self._depth.initial_sigma, np.zeros(3), np.zeros((0, 3))
        )

    def see(self, seen: Track, world_from_camera: SE3) -> MotionEstimate:
        """Takes in the newest frame, as a tracker sees it that takes the object to stand still.

        Args:
            world_from_camera: of the camera now, in any frame that stays the same.
        """
        pose, frame = world_from_camera @ seen.camera_from_frame, half_size(seen.rgb, seen.masks)
        window = window_about(frame, self._depth)
        if window is None and self._frame is None:
            return self._last
        self._positions.append(pose.translation)
        step = len(self._positions) - 1
        if window is not None:
            sight = self._optics.sight_of(window, frame)
            if self._frame is None:
                self._first_sight = pose.rotation @ sight
            else:
                self._register(frame, window, sight, pose, step, seen.distance_m)
            self._frame, self._pose, self._seen_at = frame, pose, step
        if self._registrations:
            self._last = self._solved(pose, seen.distance_m)
        else:
            self._last = replace(self._last, path=np.zeros((step + 1, 3)))
        return self._last

    def _register(
        self, frame: Frame, window: Window, sight: Array, pose: SE3, step: int, swept_m: float
    ) -> None:
        config = self._config
        then_from_now = self._pose.inverse() @ pose
        distance_m = self._last.distance_m if self._registrations else swept_m
        shift = then_from_now.translation / max(distance_m, config.least_m)
        assert self._frame is not None
        register(
            frame,
            self._frame,
            then_from_now.rotation.astype(np.float32),
            np.float32(self._optics.focal_px(frame)),
            window.places(config.samples).astype(np.float32),
            sight.astype(np.float32),
            shift,
            config.rounds,
            np.float32(config.tolerated),
        )
        self._registrations.append(
            _Registration(self._seen_at, step, pose.rotation @ sight, self._pose.rotation @ shift)
        )

    def _solved(self, pose: SE3, swept_m: float) -> MotionEstimate:
        config, steps = self._config, len(self._positions) - 1
        rows, wanted, toward = self._equations(steps)
        belief, expected = _smoothness(steps, config, self._depth.initial_m, self._depth.initial_sigma)
        positions = np.stack(self._positions)
        now = np.array([each.now for each in self._registrations])
        distances, trust = np.full(steps + 1, max(swept_m, config.least_m)), np.ones(len(now))
        radial = toward[:, :, None] * toward[:, None, :]
        for _ in range(1 + config.reweightings):
            per = distances[now, None, None]
            weights = (np.eye(3) - radial) / (per * config.across) ** 2
            weights += radial * trust[:, None, None] / (per * config.along) ** 2
            weighted = np.einsum("kab,kan->kbn", weights, rows).reshape(-1, rows.shape[2])
            flat = rows.reshape(weighted.shape)
            matrix = belief + flat.T @ weighted
            unknown = np.linalg.solve(matrix, expected + weighted.T @ wanted.ravel())
            left = (flat @ unknown).reshape(wanted.shape) - wanted
            trust = 1 / (1 + ((left * toward).sum(axis=1) / (2 * distances[now] * config.along)) ** 2)
            path = np.concatenate([np.zeros((1, 3)), np.cumsum(unknown[1:].reshape(-1, 3), axis=0)])
            object_world = positions[0] + self._first_sight * unknown[0] + path
            distances = np.maximum(np.linalg.norm(object_world - positions, axis=1), config.least_m)
        sight = (object_world[-1] - positions[-1]) / distances[-1]
        how = np.concatenate([[sight @ self._first_sight], np.tile(sight, steps)])
        sigma = float(np.sqrt(how @ np.linalg.solve(matrix, how))) / distances[-1]
        log, sigma = _together(np.log(distances[-1]), sigma, np.log(swept_m), config.sweep_sigma)
        velocity = pose.rotation.T @ (path[-1] - path[-2]) / config.step_s
        return MotionEstimate(float(np.exp(log)), sigma, velocity, path)

    def _equations(self, steps: int) -> tuple[Array, Array, Array]:
        """Rows (K, 3, 1 + 3 steps) and right sides (K, 3) of the registrations, and their lines of sight (K, 3)."""
        positions = np.stack(self._positions)
        then = np.array([each.then for each in self._registrations])
        now = np.array([each.now for each in self._registrations])
        toward = np.stack([each.sight_world for each in self._registrations])
        shift = np.stack([each.shift_world for each in self._registrations])
        number = np.arange(1, steps + 1)
        until_now = number <= now[:, None]  # (K, steps)
        between = until_now & (number > then[:, None])
        moves = np.einsum("ka,kb,kn->kanb", shift, toward, until_now.astype(float))
        moves += np.eye(3)[None, :, None, :] * between[:, None, :, None]
        first = shift * (toward @ self._first_sight)[:, None]
        rows = np.concatenate([first[:, :, None], moves.reshape(len(now), 3, -1)], axis=2)
        along = (toward * (positions[0] - positions[now])).sum(axis=1)
        return rows, positions[now] - positions[then] - shift * along[:, None], toward


class MotionTracker(Tracker):
    """Tracks an episode in the frame that the giver carries along, where the object stands still.

    Poses are corrected by the object's path, and earlier ones again with each frame, which tells more of the path.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
        self._object_motion = ObjectMotion(config)
        self._world_poses: list[SE3] = []

    def track(self, seen: Track, world_from_camera: SE3) -> tuple[Track, MotionEstimate]:
        """The track of a frame if the object moves, and its motion.

        Args:
            seen: the track by another tracker, which takes the object to stand still.
            world_from_camera: of the camera now, in any frame that stays the same.
        """
        motion = self._object_motion.see(seen, world_from_camera)
        self._world_poses.append(world_from_camera @ seen.camera_from_frame)
        scene_poses = list(self._world_poses)
        for back, offset in enumerate(motion.path[::-1], start=1):
            pose = scene_poses[-back]
            scene_poses[-back] = SE3(pose.rotation, pose.translation - offset)
        *earlier, scene_from_camera = scene_poses
        self.correct(earlier)
        again = self.see(seen.rgb, seen.masks, scene_from_camera)
        return replace(again, camera_from_frame=seen.camera_from_frame), motion


@cache
def _smoothness(
    steps: int, config: ObjectMotionConfig, initial_m: float, initial_sigma: float
) -> tuple[Array, Array]:
    """What is believed before looking: precision matrix (1 + 3 steps, 1 + 3 steps), and that times the mean."""
    apart_s = config.step_s * np.abs(np.arange(steps)[:, None] - np.arange(steps))
    waves = 2 * np.pi * np.linspace(*config.sway_hz, 21)
    covariance = (config.speed_mps * config.step_s) ** 2 * np.cos(waves[:, None, None] * apart_s).mean(axis=0)
    precision = np.zeros((1 + 3 * steps, 1 + 3 * steps))
    precision[0, 0] = (initial_m * initial_sigma) ** -2
    precision[1:, 1:] = np.kron(np.linalg.inv(covariance + 1e-10 * np.eye(steps)), np.eye(3))
    return precision, precision[:, 0] * initial_m


def _together(first: float, first_sigma: float, second: float, second_sigma: float) -> tuple[float, float]:
    """Mean and sigma of two measurements of one thing."""
    a, b = first_sigma**-2, second_sigma**-2
    return (a * first + b * second) / (a + b), float((a + b) ** -0.5)
