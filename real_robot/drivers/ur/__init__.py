"""The parts of `UR5Arm`: kinematics, the process that alone talks to the controller, its messages, the dashboard."""
