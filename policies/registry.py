"""Names of policies: "module:Class", resolved on use; checkpoint folders and model files count as names too."""

from __future__ import annotations

import difflib
from pathlib import Path

from h2rh_env.core.errors import PolicyError
from h2rh_env.core.policy import Policy
from h2rh_env.core.task import Task
from h2rh_env.utils.plugins import make_plugin

POLICIES = {
    "expert": "experts.three_phase:ThreePhaseExpert",
    "learned": "policies.registry:shipped_policy",
    "learned-reach": "policies.registry:shipped_policy_that_declares",
    "ibvs-mask": "policies.baselines.ibvs:IbvsMask",
    "ranging": "policies.registry:ranging_policy",
    "zeros": "policies.registry:shipped_policy_without_weights",
    "zeros-reach": "policies.registry:shipped_policy_without_weights_that_declares",
    "blind": "policies.baselines.reference:Blind",
    "random": "policies.baselines.reference:RandomPolicy",
}
SHIPPED_CHECKPOINT, RANGING_CHECKPOINT = "assets/checkpoints/grasping", "assets/checkpoints/ranging"
LEROBOT: dict[str, Task] = {"lerobot": "reach", "lerobot-grasp": "grasp"}
METHODS = {"reset": "reset(seed)", "act": "act(observation) -> action (7,)"}


def make_policy(name: str) -> Policy:
    """A policy by name.

    Args:
        name: one of `POLICIES`, a checkpoint folder, an ONNX file (.onnx), a Stable-Baselines3 model file (.zip),
            "lerobot:FOLDER" of LeRobot's trainer ("lerobot-grasp:FOLDER" of one that closes the fingers itself), or
            "module:Class" of anyone's, looked for in the working directory too. The class is called without
            arguments.

    Raises:
        PolicyError: nothing of that name, or it does not follow the protocol.
        CheckpointError: the folder is not a checkpoint.
        MissingPackageError: what the policy needs is not installed.
    """
    if name in POLICIES:
        return _made(POLICIES[name])
    path = Path(name)
    if path.is_dir():
        return _from_folder(path)
    if path.suffix == ".onnx" and path.is_file():
        from .onnx.policy import OnnxPolicy

        return OnnxPolicy(path)
    if path.suffix == ".zip" and path.is_file():
        from .rl.sb3_policy import Sb3Policy

        return Sb3Policy(path)
    kind, _, folder = name.partition(":")
    if kind in LEROBOT:
        from .lerobot_policy import LeRobotPolicy

        return LeRobotPolicy(folder, LEROBOT[kind])
    if ":" in name:
        return _made(name)
    raise PolicyError(
        f"there is no policy {name!r}{_closest(name)}; known are {', '.join(POLICIES)}, "
        "a checkpoint folder, a .onnx file, a Stable-Baselines3 .zip file, lerobot:FOLDER, and module:Class"
    )


def _from_folder(folder: Path) -> Policy:
    from .grasping.checkpoint import is_checkpoint

    if is_checkpoint(folder):
        from .grasping.policy import GraspingPolicy

        return GraspingPolicy.load(folder)
    from .learned import HandoverPolicy

    return HandoverPolicy.load(folder)


def shipped_policy() -> Policy:
    """The policy that ships with the package: it takes the object."""
    from .grasping.policy import GraspingPolicy

    return GraspingPolicy.load(checkpoint_folder(SHIPPED_CHECKPOINT))


def shipped_policy_that_declares() -> Policy:
    """The same, but it declares the pre-grasp pose of its grasp, and somebody else drives on and closes."""
    from .grasping.policy import GraspingPolicy

    return GraspingPolicy.load(checkpoint_folder(SHIPPED_CHECKPOINT), task="reach")


def shipped_policy_without_weights() -> Policy:
    """The same policy with every weight of its network set to zero: what the rules about the network do alone."""
    from .baselines.reference import zero_weights
    from .grasping.policy import GraspingPolicy

    policy = GraspingPolicy.load(checkpoint_folder(SHIPPED_CHECKPOINT))
    zero_weights(policy.network)
    return policy


def shipped_policy_without_weights_that_declares() -> Policy:
    """The same, but it declares the pre-grasp pose, as a robot session wants it."""
    from .baselines.reference import zero_weights
    from .grasping.policy import GraspingPolicy

    policy = GraspingPolicy.load(checkpoint_folder(SHIPPED_CHECKPOINT), task="reach")
    zero_weights(policy.network)
    return policy


def ranging_policy() -> Policy:
    """The policy that shipped before, which finds its range by rules and declares the pre-grasp pose."""
    from .learned import HandoverPolicy

    return HandoverPolicy.load(checkpoint_folder(RANGING_CHECKPOINT))


def checkpoint_folder(name: str) -> Path:
    """The folder of a checkpoint that ships with the package."""
    import h2rh_env

    return Path(h2rh_env.__file__).parent / name


def _made(target: str) -> Policy:
    policy: Policy = make_plugin(target, "policy", METHODS, PolicyError)
    return policy


def _closest(name: str) -> str:
    close = difflib.get_close_matches(name, POLICIES, n=1)
    return f"; did you mean {close[0]!r}" if close else ""
