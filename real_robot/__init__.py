"""The robot: device protocols and drivers, the motion guard, one handover, and its rehearsal without a robot.

Research software, not safety-rated: it cannot replace the limits set on the robot's own pendant.
"""

from h2rh_env.utils.moved import answer_old_names

answer_old_names()
