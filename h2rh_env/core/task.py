"""The task's numbers, as the paper fixes them: how near, how long, how sure."""

MAX_EPISODE_STEPS = 30  # Sec. IV-A
MAX_GRASP_STEPS = 60  # of an episode that goes on to the grasp
GRASP_SCORE_THRESHOLD = 0.7  # tau_c in simulation, Sec. IV-A
STANDOFF_M = 0.3  # s, Eq. 7
CLEARANCE_M = 0.1  # d_min, Eq. 14
DISTANCE_BAND_M = (0.35, 0.45)  # Sec. IV-B
