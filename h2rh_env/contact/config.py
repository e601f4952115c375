"""PhysicsConfig: every constant of the simulated handover, with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import HandoverError


@dataclass(frozen=True)
class PhysicsConfig:
    """How a handover is simulated and judged. The defaults are the benchmark's."""

    time_step_s: float = 0.002
    """Half of it changes no verdict in 99 of 100; twice of it does."""
    approach_speed_mps: float = 0.1
    """Greatest speed of the origin and of the fingertips along the given path."""
    near_m: float = 0.02
    """The path is simulated from where hand or object come this near to the open gripper."""
    arm_force_n: float = 100.0
    """What the arm pushes with before it gives way; collaborative arms stop near 150 N."""
    arm_torque_nm: float = 10.0
    """The same about each axis: 100 N at the fingertips, 0.1 m ahead."""
    arm_stiffness_npm: float = 4e4
    """Stiffness of the arm's setpoint control, N/m: 100 N move it by 2.5 mm."""
    arm_stiffness_nmprad: float = 1000.0
    """The same about each axis, N m/rad."""
    finger_stiffness_npm: float = 1e4
    """Stiffness of each finger's setpoint control up to the grip force, N/m."""
    giver_stiffness_npm: float = 1000.0
    """Stiffness of the giver's soft hold, N/m: 10 N move the object by 10 mm."""
    giver_stiffness_nmprad: float = 3.0
    """The same about each axis, N m/rad."""
    giver_damping_nspm: float = 15.0
    """Damping of the giver's hold, N s/m: a hand does not ring."""
    giver_damping_nmsprad: float = 0.03
    """The same about each axis, N m s/rad."""
    press_force_n: float = 3.0
    """With which each pad must press along the closing axis."""
    press_time_s: float = 0.1
    """For how long it must, before the giver lets go."""
    release_time_s: float = 0.1
    """In which the hold fades and gravity comes."""
    closing_time_s: float = 2.0
    """After which fingers that hold nothing count as closed on nothing."""
    settle_time_s: float = 0.2
    """Between the release and the retreat."""
    retreat_m: float = 0.15
    """Back along the approach."""
    retreat_time_s: float = 1.0
    """With a smooth start and end."""
    shake_m: float = 0.02
    """Out and back along each axis of the gripper in turn."""
    shake_time_s: float = 1.0
    """For all three axes; accelerations reach 3.6 m/s2."""
    torsion_m: float = 0.003
    """Torsional friction of a pad's contact, as the radius of an equivalent rim, m."""
    impedance_ratio: float = 100.0
    """Ratio of friction to normal impedance; with 10, held objects creep by 7 degrees instead of 2."""
    pushed_m: float = 0.02
    """The object may move this far before the fingers have closed on it."""
    slip_m: float = 0.02
    """It may move this far between the pads until the end."""
    slip_rad: float = 0.349066  # 20 degrees
    """And turn this far."""

    def __post_init__(self) -> None:
        wrong = [f"{key} is {value}" for key, value in vars(self).items() if not 0 < value < float("inf")]
        if wrong:
            raise HandoverError(f"{wrong[0]}; every setting of the physics must be positive and finite")


BENCHMARK_PHYSICS = PhysicsConfig()
