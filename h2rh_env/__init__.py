"""H2R handover: a Gymnasium world of Gaussian Splatting scenes in which a hand-eye camera reaches for an object.

Units are metres, radians and seconds. The world frame is metric with z up; cameras have OpenCV axes (x right,
y down, z forward); quaternions are wxyz; a transform is `target_from_source`. Shapes: N Gaussians, P points,
V views, H x W image, T steps, B batch.

Importing this package registers `H2RHandover-v0`, and `H2RHandoverMoving-v0`, whose giver moves.
"""

from gymnasium.envs.registration import register

from .core.task import MAX_EPISODE_STEPS

__version__ = "0.1.0"

for _id, _giver in (("H2RHandover-v0", "still"), ("H2RHandoverMoving-v0", "moving")):
    register(
        id=_id,
        entry_point="h2rh_env.envs.handover:H2RHandoverEnv",
        vector_entry_point="h2rh_env.envs.handover_vector:H2RHandoverVectorEnv",
        max_episode_steps=MAX_EPISODE_STEPS,
        kwargs={"giver": _giver},
    )
