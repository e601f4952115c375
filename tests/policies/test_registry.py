from pathlib import Path

import numpy as np
import pytest

from h2rh_env.core.errors import PolicyError
from h2rh_env.core.policy import Policy
from policies.baselines.ibvs import IbvsMask
from policies.networks.checkpoints import save_checkpoint
from policies.networks.factory import make_network
from policies.registry import make_policy

FOREIGN = """
import numpy as np

class Still:
    def reset(self, seed): ...
    def act(self, observation): return np.zeros(7, np.float32)

class Forgetful:
    def act(self, observation): return np.zeros(7, np.float32)

class Demanding:
    def __init__(self, path): ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreign_policies.py").write_text(FOREIGN)
    return tmp_path


def test_a_known_name_gives_its_policy() -> None:
    assert isinstance(make_policy("ibvs-mask"), IbvsMask)


def test_a_checkpoint_folder_is_a_name(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "mine", "compact", make_network("compact", {"window": 32}))
    assert isinstance(make_policy(str(tmp_path / "mine")), Policy)


def test_a_strangers_class_is_found_in_the_working_directory(here: Path) -> None:
    policy = make_policy("foreign_policies:Still")
    policy.reset(0)
    np.testing.assert_array_equal(policy.act({}), np.zeros(7))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("ibvs", "did you mean 'ibvs-mask'.*expert, learned, learned-reach"),
        ("zzz", "known are expert"),
        ("foreign_policies:Forgetful", "lacks reset"),
        ("foreign_policies:Demanding", "without arguments"),
        ("foreign_policies:Absent", "has no 'Absent'"),
        ("no_such_module:Policy", "cannot be imported"),
    ],
)
def test_what_cannot_be_a_policy_is_answered_with_what_can(here: Path, name: str, answer: str) -> None:
    with pytest.raises(PolicyError, match=answer):
        make_policy(name)
