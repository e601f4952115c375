"""Motion limits: how far one action may move the camera, and how demonstrations and the goal controller move it."""

MAX_STEP_ROTATION_RAD = 0.25  # bound of each Euler angle of one action
MAX_STEP_TRANSLATION_M = 0.06  # bound of each component of one action's translation
# How demonstrations move, and what follows them: well inside the action space, so that 30 steps suffice.
STEP_M = 0.05
STEP_RAD = 0.12
SETTLE_WITHIN_M = 0.5  # d of Eq. 8
IN_VIEW_RAD = 0.35  # within d, phase 3 tolerates an object this far off the optical axis
ARRIVED_M, ARRIVED_RAD = 0.02, 0.07  # from the pre-grasp pose: what a learner takes for being there (Cls = 1)
# Of the final approach: 0.1 m/s at ten actions a second.
FINAL_STEP_M = 0.01
FINAL_STEP_RAD = 0.05
