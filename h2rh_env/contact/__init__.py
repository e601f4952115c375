"""The physics of a handover: what the gripper touches, holds, pushes and drops (MuJoCo)."""
