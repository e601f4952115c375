"""What the grasping network learns from: samples of scenes, losses, a fit, and rounds of its own rollouts."""
