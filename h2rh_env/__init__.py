"""H2R handover: a Gymnasium environment on Gaussian Splatting scenes of people who hand over objects.

Units are metres, radians and seconds. The frame of a scene is metric with z up; cameras have OpenCV axes (x right,
y down, z forward); quaternions are wxyz; a transform is `target_from_source`. Shapes: N Gaussians, P points,
V views, H x W image, T steps, B batch.

Importing this package registers `H2RHandover-v0`, `H2RHandoverMoving-v0`, whose giver moves, and
`H2RHandoverGrasp-v0`, whose episodes go on until the fingers close and contact has decided. The names that users
need are attributes of the package, and a module is imported only when one of its names is used:

    import h2rh_env as h2rh

    scene = h2rh.load_scenes()[0]
    scene_from_camera = h2rh.look_at(scene.object_centre + [0.5, 0, 0.2], scene.object_centre)
    rgb = h2rh.make_rasteriser().render(scene.gaussians, h2rh.HAND_EYE_CAMERA, scene_from_camera).rgb
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

from .core.task import MAX_EPISODE_STEPS, MAX_GRASP_STEPS
from .utils.kernel_cache import ensure_kernel_cache
from .utils.moved import answer_old_names

if TYPE_CHECKING:
    from .benchmark.evaluation import evaluate
    from .benchmark.rollout import Episode
    from .build import build_scene
    from .captures.base import HandoverCapture, RgbdView
    from .captures.folder import write_folder
    from .captures.load import load_capture
    from .captures.synthetic.generate import generate_capture
    from .contact.handover import simulate_handover
    from .contact.outcome import HandoverOutcome
    from .core.action import decode_action, encode_action
    from .core.camera import HAND_EYE_CAMERA, PinholeCamera
    from .core.episode import EpisodeRecord
    from .core.errors import (
        ActionError,
        CaptureError,
        CheckpointError,
        DatasetError,
        GraspError,
        HandoverError,
        MissingPackageError,
        PolicyError,
        RenderError,
        RobotError,
        SceneError,
        StateError,
    )
    from .core.geometry import SE3, look_at
    from .core.gripper import ROBOTIQ_2F85, GripperGeometry
    from .core.labels import Label
    from .core.policy import CameraAware, Observation, OdometryPolicy, Policy, PrivilegedPolicy
    from .core.spaces import action_space, observation_space
    from .datasets.read import Demonstration, Views, read_demonstrations, read_views
    from .envs.giver_motion import MovingGiver
    from .envs.handover import H2RHandoverEnv
    from .envs.handover_vector import H2RHandoverVectorEnv
    from .envs.initial_poses import sample_initial_poses
    from .envs.metrics import EpisodeScore, Summary, score, summarise
    from .grasps.base import GraspCandidate, GraspProposer
    from .grasps.selection import select_grasp
    from .reconstruction.optimisation.config import OptimiseConfig
    from .rendering.base import Rasteriser, RenderedView
    from .rendering.select import make_rasteriser, make_rasterizer
    from .scenes.gaussians import GaussianScene
    from .scenes.handover_scene import HandoverScene, load_scenes
    from .scenes.ply import read_ply, write_ply

__all__ = [
    "HAND_EYE_CAMERA",
    "ROBOTIQ_2F85",
    "SE3",
    "ActionError",
    "CameraAware",
    "CaptureError",
    "CheckpointError",
    "DatasetError",
    "Demonstration",
    "Episode",
    "EpisodeRecord",
    "EpisodeScore",
    "GaussianScene",
    "GraspCandidate",
    "GraspError",
    "GraspProposer",
    "GripperGeometry",
    "H2RHandoverEnv",
    "H2RHandoverVectorEnv",
    "HandoverCapture",
    "HandoverError",
    "HandoverOutcome",
    "HandoverScene",
    "Label",
    "MissingPackageError",
    "MovingGiver",
    "Observation",
    "OdometryPolicy",
    "OptimiseConfig",
    "PinholeCamera",
    "Policy",
    "PolicyError",
    "PrivilegedPolicy",
    "Rasteriser",
    "RenderError",
    "RenderedView",
    "RgbdView",
    "RobotError",
    "SceneError",
    "StateError",
    "Summary",
    "Views",
    "action_space",
    "build_scene",
    "decode_action",
    "encode_action",
    "evaluate",
    "generate_capture",
    "load_capture",
    "load_scenes",
    "look_at",
    "make_rasteriser",
    "make_rasterizer",
    "observation_space",
    "read_demonstrations",
    "read_ply",
    "read_views",
    "sample_initial_poses",
    "score",
    "select_grasp",
    "simulate_handover",
    "summarise",
    "write_folder",
    "write_ply",
]

__version__ = "0.1.0"

_NAMES = {
    "benchmark.evaluation": "evaluate",
    "benchmark.rollout": "Episode",
    "build": "build_scene",
    "captures.base": "HandoverCapture RgbdView",
    "captures.folder": "write_folder",
    "captures.load": "load_capture",
    "captures.synthetic.generate": "generate_capture",
    "contact.handover": "simulate_handover",
    "contact.outcome": "HandoverOutcome",
    "core.action": "decode_action encode_action",
    "core.camera": "HAND_EYE_CAMERA PinholeCamera",
    "core.episode": "EpisodeRecord",
    "core.errors": "ActionError CaptureError CheckpointError DatasetError GraspError HandoverError "
    "MissingPackageError PolicyError RenderError RobotError SceneError StateError",
    "core.geometry": "SE3 look_at",
    "core.gripper": "GripperGeometry ROBOTIQ_2F85",
    "core.labels": "Label",
    "core.policy": "CameraAware Observation OdometryPolicy Policy PrivilegedPolicy",
    "core.spaces": "action_space observation_space",
    "datasets.read": "Demonstration Views read_demonstrations read_views",
    "envs.giver_motion": "MovingGiver",
    "envs.handover": "H2RHandoverEnv",
    "envs.handover_vector": "H2RHandoverVectorEnv",
    "envs.initial_poses": "sample_initial_poses",
    "envs.metrics": "EpisodeScore Summary score summarise",
    "grasps.base": "GraspCandidate GraspProposer",
    "grasps.selection": "select_grasp",
    "reconstruction.optimisation.config": "OptimiseConfig",
    "rendering.base": "Rasteriser RenderedView",
    "rendering.select": "make_rasteriser make_rasterizer",
    "scenes.gaussians": "GaussianScene",
    "scenes.handover_scene": "HandoverScene load_scenes",
    "scenes.ply": "read_ply write_ply",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # else a type checker would take any name for one of the package's

    def __getattr__(name: str) -> Any:
        """Imports the module of a public name when the name is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


answer_old_names()
ensure_kernel_cache(Path(__file__).parent)
for _id, _steps, _arguments in (
    ("H2RHandover-v0", MAX_EPISODE_STEPS, {"giver": "still"}),
    ("H2RHandoverMoving-v0", MAX_EPISODE_STEPS, {"giver": "moving"}),
    ("H2RHandoverGrasp-v0", MAX_GRASP_STEPS, {"task": "grasp"}),
):
    register(
        id=_id,
        entry_point="h2rh_env.envs.handover:H2RHandoverEnv",
        vector_entry_point="h2rh_env.envs.handover_vector:H2RHandoverVectorEnv",
        max_episode_steps=_steps,
        kwargs=_arguments,
    )
