"""The learnt grasp: a network that says where fingers would hold, and what acts on it."""
