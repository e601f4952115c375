"""What the paper reports, to lay ours beside."""

from __future__ import annotations

# Table I: object, seen in training, mean distance and its deviation (m), safe and centred of 10.
TABLE_I: dict[str, tuple[bool, float, float, int, int]] = {
    "mustard_bottle": (True, 0.37, 0.10, 10, 10),
    "tomato_soup_can": (True, 0.44, 0.01, 10, 10),
    "potted_meat_can": (True, 0.36, 0.05, 10, 10),
    "blue_kettle": (True, 0.44, 0.04, 10, 10),
    "gelatin_box": (True, 0.44, 0.04, 10, 10),
    "red_bowl": (True, 0.52, 0.04, 10, 10),
    "scissors": (True, 0.25, 0.03, 10, 10),
    "banana": (True, 0.35, 0.01, 9, 10),
    "power_drill": (True, 0.38, 0.01, 10, 10),
    "master_chef_can": (False, 0.46, 0.04, 8, 8),
    "cracker_box": (False, 0.37, 0.19, 8, 8),
}
