"""The task's numbers, as the paper fixes them: how near, how long, how sure."""

from typing import Literal

Task = Literal[
    "reach", "grasp"
]  # an episode ends where a grasp is declared, or goes on until the fingers close

MAX_EPISODE_STEPS = 30  # Sec. IV-A
MAX_GRASP_STEPS = 60  # of an episode that goes on to the grasp
EPISODE_STEPS: dict[Task, int] = {"reach": MAX_EPISODE_STEPS, "grasp": MAX_GRASP_STEPS}
GRASP_SCORE_THRESHOLD = 0.7  # tau_c in simulation, Sec. IV-A
STANDOFF_M = 0.3  # s, Eq. 7
CLEARANCE_M = 0.1  # d_min, Eq. 14
OBJECT_DENSITY_KG_M3 = 400.0  # of a household object, full and empty ones together
DISTANCE_BAND_M = (0.35, 0.45)  # Sec. IV-B
