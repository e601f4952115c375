"""Demonstrations as a LeRobot data set of format v3.0 (extra `lerobot`)."""
