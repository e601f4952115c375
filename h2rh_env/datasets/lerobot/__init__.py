"""Demonstrations as a LeRobot dataset of format v3.0 (extra `lerobot`)."""
