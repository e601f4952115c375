"""The learnt grasp: a network that looks at hand and object and says where fingers would hold, and what acts on it."""
