"""The loop: eight lines of Gymnasium, no download. Run: python examples/loop.py"""

import gymnasium as gym, h2rh_env

env = gym.make("H2RHandover-v0")
observation, info = env.reset(seed=0)  # rgb (168, 224, 3), masks of object and hand (168, 224, 2)
for _ in range(30):
    action = env.action_space.sample()  # rotation (3, rad), translation (3, m), score (0 to 1)
    observation, reward, terminated, truncated, info = env.step(action)
    if terminated or truncated:
        break
