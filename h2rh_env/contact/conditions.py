"""ContactConditions: what a handover draws from its seed: friction, mass, and where the gripper really arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import HandoverError
from ..core.geometry import SE3, rotation_from_rotvec

STREAM = 18  # keeps these draws apart from whatever else a caller seeds with the same number
FRICTION_LIMITS = (0.0, 5.0)
MASS_FACTOR_LIMITS = (1e-3, 1e3)


@dataclass(frozen=True, eq=False)
class DrawnConditions:
    """What one handover drew.

    Attributes:
        friction: coefficient between pads and object.
        mass_factor: of the object's mass and inertia.
        arrival_from_gripper: the gripper goes to `scene_from_gripper @ arrival_from_gripper` instead.
    """

    friction: float
    mass_factor: float
    arrival_from_gripper: SE3


@dataclass(frozen=True)
class ContactConditions:
    """The conditions of the benchmark; `exact` has none of the noise."""

    friction: tuple[float, float] = (0.3, 0.7)
    """Coefficient between pads and object: drawn evenly from this interval."""
    mass_factor: tuple[float, float] = (0.7, 1.3)
    """Factor of the scene's mass: drawn evenly from this interval."""
    arrival_noise_m: float = 0.002
    """Root mean square of the distance by which the gripper arrives beside its path, m."""
    arrival_noise_rad: float = 0.017453292519943295  # 1 degree
    """Root mean square of the angle by which the gripper is turned as it arrives, rad."""

    def __post_init__(self) -> None:
        for key, limits in (("friction", FRICTION_LIMITS), ("mass_factor", MASS_FACTOR_LIMITS)):
            low, high = getattr(self, key)
            if not limits[0] <= low <= high <= limits[1]:
                raise HandoverError(f"{key} is ({low}, {high}); expected an interval in {limits}")
        if not (0 <= self.arrival_noise_m < 1 and 0 <= self.arrival_noise_rad < np.pi):
            raise HandoverError(
                f"arrival noise is {self.arrival_noise_m} m and {self.arrival_noise_rad} rad; "
                "expected 0 to 1 m and 0 to pi rad"
            )

    @classmethod
    def exact(cls, friction: float = 0.5) -> ContactConditions:
        """One friction, the scene's own mass, and no arrival noise."""
        return cls((friction, friction), (1.0, 1.0), 0.0, 0.0)

    def draw(self, seed: int) -> DrawnConditions:
        """The conditions of a seed; equal seeds give equal ones.

        Raises:
            HandoverError: a negative seed.
        """
        if seed < 0:
            raise HandoverError(f"the seed of a handover is {seed}; it must be at least 0")
        rng = np.random.default_rng([STREAM, seed])
        friction, mass_factor = rng.uniform(*self.friction), rng.uniform(*self.mass_factor)
        offset = rng.normal(size=3) * self.arrival_noise_m / np.sqrt(3)
        rotvec = rng.normal(size=3) * self.arrival_noise_rad / np.sqrt(3)
        return DrawnConditions(float(friction), float(mass_factor), SE3(rotation_from_rotvec(rotvec), offset))


BENCHMARK_CONDITIONS = ContactConditions()
