"""A UR controller with its arm and a 2F-85 on loopback sockets, good enough that the real clients can't tell."""
