"""PolicyConfig: everything but the weights that decides what a policy does; it is saved in the checkpoint.

The defaults are what a new policy is made with. A checkpoint keeps the values that it was made with, so that an edit
here changes no policy that exists. Lengths are in m, angles in rad, `sigma` is the standard deviation of a distance's
logarithm, and images are those that a tracker works on: half as wide and high as the camera's.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import CheckpointError
from h2rh_env.core.motion_limits import (
    ARRIVED_M,
    ARRIVED_RAD,
    IN_VIEW_RAD,
    SETTLE_WITHIN_M,
    STEP_M,
    STEP_RAD,
)
from h2rh_env.core.task import GRASP_SCORE_THRESHOLD, MAX_EPISODE_STEPS, STANDOFF_M
from h2rh_env.utils.strict_json import MAX_COUNT, from_json


@dataclass(frozen=True)
class DepthConfig:
    """How the object's distance is estimated by a plane sweep (`policies/tracking/depth.py`)."""

    initial_m: float = 0.75
    """Distance that is expected before the camera has moved."""
    initial_sigma: float = 0.25
    """Its uncertainty."""
    least_m: float = 0.1
    """No distance below this is expected."""
    least_sigma: float = 0.02
    """The uncertainty is never taken to be less."""
    drift_sigma: float = 0.02
    """Uncertainty that each frame adds, because the object's visible middle wanders as the view changes."""
    least_motion_m: float = 0.003
    """Earlier frames tell something once the camera has moved by this much."""
    baselines_m: tuple[float, ...] = (0.04, 0.12, 0.2)
    """How far away the earlier frames were taken that the newest one is compared with."""
    window_per_spread: float = 4.0
    """Side of the window about the object, in standard deviations of its pixels."""
    least_pixels: int = 12
    """An object with fewer pixels counts as unseen."""
    samples: int = 16
    """Places of the window that are compared, along each side."""
    candidates: int = 25
    """Distances that are tried."""
    reach: float = 3.0
    """They reach over this many sigmas to each side."""
    decisiveness: float = 200.0
    """How fast the likelihood falls with the disagreement of frames."""
    noise: float = 0.015
    """With this much disagreement at the best distance, differences of it count half."""


@dataclass(frozen=True)
class LateFrameConfig:
    """How a frame that was taken one step ago is recognised (`Tracker`)."""

    frames: int = 2
    """Earlier frames that it is compared with."""
    samples: int = 10
    """Places of the window that are compared, along each side."""
    candidates: int = 7
    """Distances that are tried, over half the reach of the depth estimation."""
    share: float = 0.7
    """From the last pose, the frame must disagree by less than this share of the disagreement from the newest."""
    margin: float = 0.002
    """And by this much less."""


@dataclass(frozen=True)
class MaskFilterConfig:
    """Which parts of a mask are left out (`policies/tracking/mask_filter.py`)."""

    least_pixels: int = 6
    """Smaller parts do no harm."""
    within_px: int = 3
    """How near to where a pixel should have been the frame before must show it."""
    seen_before: float = 0.5
    """Share of a part that the frame before must show."""
    size_weight: float = 0.1
    """What a pixel that was not seen before counts in choosing the main part, which always stays."""


@dataclass(frozen=True)
class SurfaceConfig:
    """How surface points of object and hand are found (`policies/tracking/surface_points.py`)."""

    baselines_m: tuple[float, ...] = (0.04, 0.08, 0.14)
    """How far away the earlier frames were taken that the newest one is compared with."""
    points: int = 180
    """Points of each part at most."""
    stride: int = 4
    """One point in so many is swept; the others learn from those beside them."""
    patch_px: int = 2
    """How far the corners of the patch lie that is compared for a point."""
    smoothing: float = 0.07
    """How far points learn from each other, in sides of the window."""
    nearer: float = 0.6
    """How much nearer than the object's middle a surface may be, as a logarithm."""
    farther: float = 0.3
    """And how much farther."""
    candidates: int = 25
    """Distances that are tried."""
    sigma: float = 0.2
    """Uncertainty of a surface's distance before looking."""
    decisiveness: float = 400.0
    """How fast the likelihood falls with the disagreement of frames."""
    noise: float = 0.015
    """With this much disagreement at the best distance, differences of it count half."""
    object_lag_m: float = 0.011
    """Surfaces of the object appear this much too far off, since edges blur into what is behind them."""
    hand_lag_m: float = 0.022
    """And those of the hand."""
    filled: float = 0.5
    """A pixel belongs to a part if the part covers more than this of it."""


@dataclass(frozen=True)
class ObjectMotionConfig:
    """How the motion of a carried object is estimated (`policies/tracking/object_motion.py`)."""

    step_s: float = 0.1
    """Time between frames, s."""
    speed_mps: float = 0.022
    """Standard deviation of a giver's velocity along each axis, m/s."""
    sway_hz: tuple[float, float] = (0.1, 0.6)
    """Lowest and highest frequency of a giver's motion, Hz."""
    samples: int = 20
    """Places of the window that are registered, along each side."""
    rounds: int = 12
    """Iterations of a registration at most."""
    tolerated: float = 0.15
    """Differences of pixels beyond this count less."""
    across: float = 0.0012
    """Error of a registration across the line of sight, in distances of the object."""
    along: float = 0.008
    """Error of a registration along the line of sight, in distances of the object."""
    sweep_sigma: float = 0.11
    """Error of the plane sweep, which takes the object to stand still, where givers move."""
    reweightings: int = 2
    """How often the equations are solved again with less weight for outliers."""
    least_m: float = 0.15
    """No distance below this is believed."""


@dataclass(frozen=True)
class TrackingConfig:
    """How frames are turned into tracks (`policies/tracking`)."""

    depth: DepthConfig = field(default_factory=DepthConfig)
    late_frames: LateFrameConfig = field(default_factory=LateFrameConfig)
    mask_filter: MaskFilterConfig = field(default_factory=MaskFilterConfig)
    surfaces: SurfaceConfig = field(default_factory=SurfaceConfig)
    object_motion: ObjectMotionConfig = field(default_factory=ObjectMotionConfig)


@dataclass(frozen=True)
class CropConfig:
    """Where the crop lies that a compact network is given, and how its numbers are scaled (`policies/networks`)."""

    side_per_spread: float = 4.3
    """Side of the crop, in standard deviations of the masks' pixels: it holds a disc or a bar with a margin."""
    least_side: float = 0.12
    """Least side, in widths of the image."""
    most_side: float = 1.2
    """Largest side, in widths of the image."""
    typical_side: float = 0.4
    """A side whose logarithm is given as 0."""
    typical_sigma: float = 0.05
    """An uncertainty of the distance whose logarithm is given as 0."""
    typical_width_m: float = 0.2
    """A width of the crop at the object whose logarithm is given as 0."""
    centre_scale: float = 4.0
    """The crop's place is given in units of one width of the image divided by this."""
    variance_scale: float = 20.0
    """A mask's variances are given in units of the crop's area divided by this."""
    least_area: float = 1e-4
    """A mask's area counts as at least this share of the crop's."""


@dataclass(frozen=True)
class ControlConfig:
    """How a goal is made safe and approached (`policies/goal_controller.py`)."""

    caution_m: float = 0.015
    """How far behind its goal a policy stays before anything is measured."""
    gap_m: tuple[float, float] = (0.385, 0.405)
    """Wanted distance from a goal to the object's nearest point; the paper's band allows 0.35 to 0.45 m."""
    widest_gap_m: float = 0.425
    """Largest distance where the hand is in the gripper's way."""
    hand_gap_m: float = 0.025
    """Wanted room between the open gripper's advance and the hand; a safe advance takes 0.01 m."""
    setback_m: tuple[float, float] = (-0.03, 0.161)
    """Setbacks of a goal that are tried: from the first to below the second."""
    setback_step_m: float = 0.005
    """Step between them."""
    hasty_frames: int = 10
    """Before so many frames the distance is too uncertain to declare but right at the goal."""
    haste: float = 0.25
    """Factor of the tolerance of declaring until then."""
    patient_frames: int = 18
    """After so many frames the tolerance grows where the pose at hand would do."""
    most_patience: float = 4.0
    """Factor of the tolerance at the episode's end."""
    patient_gap_m: float = 0.015
    """A pose would do that is nearer to the object than `gap_m` by this much at most."""
    episode_steps: int = MAX_EPISODE_STEPS
    """Actions of an episode."""
    standoff_m: float = STANDOFF_M
    """Length of the straight advance after declaring (s of Eq. 7)."""
    declaring_score: float = GRASP_SCORE_THRESHOLD
    """Grasp score at the tolerance's edge (tau_c)."""
    arrived_m: float = ARRIVED_M
    """Distance to the goal at the tolerance's edge."""
    arrived_rad: float = ARRIVED_RAD
    """Angle to the goal at the tolerance's edge."""
    step_m: float = STEP_M
    """Longest step."""
    step_rad: float = STEP_RAD
    """Largest rotation of a step."""
    settle_within_m: float = SETTLE_WITHIN_M
    """Nearer to the goal than this, position and rotation approach it together (d of Eq. 8)."""
    in_view_rad: float = IN_VIEW_RAD
    """There an object this far off the optical axis is tolerated."""


@dataclass(frozen=True)
class PolicyConfig:
    """Everything but the network's weights and layers that decides what a policy does.

    Attributes:
        camera: whose images the policy was trained on; its pixels are square, its principal point is the middle.
    """

    camera: PinholeCamera = HAND_EYE_CAMERA
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    crop: CropConfig = field(default_factory=CropConfig)
    control: ControlConfig = field(default_factory=ControlConfig)

    def __post_init__(self) -> None:
        camera = self.camera
        if camera.fx != camera.fy or 2 * camera.cx != camera.width or 2 * camera.cy != camera.height:
            raise CheckpointError(
                f"a policy's camera has square pixels and its principal point in the middle; got {camera.to_json()}"
            )
        low, high = self.control.setback_m
        count = (high - low) / self.control.setback_step_m if self.control.setback_step_m else math.inf
        if not 0 < count <= MAX_COUNT:
            raise CheckpointError(
                f"control.setback_m {low, high} in steps of {self.control.setback_step_m} m are {count:.0f} "
                f"setbacks; there must be 1 to {MAX_COUNT}"
            )

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> PolicyConfig:
        """Reads what `to_json` gave; every value must be there, and no other.

        Raises:
            CheckpointError: A value is unknown, missing, or not of its kind.
        """
        return from_json(cls, values, "policy")
