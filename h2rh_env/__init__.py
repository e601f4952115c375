"""H2R handover: a Gymnasium environment on Gaussian Splatting scenes of people who hand over objects.

Units are metres, radians and seconds. The frame of a scene is metric with z up; cameras have OpenCV axes (x right,
y down, z forward); quaternions are wxyz; a transform is `target_from_source`. Shapes: N Gaussians, P points,
V views, H x W image, T steps, B batch.

Importing this package registers `H2RHandover-v0`, and `H2RHandoverMoving-v0`, whose giver moves. The names that users
need are attributes of the package, and a module is imported only when one of its names is used:

    import h2rh_env as h2rh

    scene = h2rh.load_scenes()[0]
    scene_from_camera = h2rh.look_at(scene.object_centre + [0.5, 0, 0.2], scene.object_centre)
    rgb = h2rh.make_rasteriser().render(scene.gaussians, h2rh.HAND_EYE_CAMERA, scene_from_camera).rgb
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

from .core.task import MAX_EPISODE_STEPS
from .utils.moved import answer_old_names

if TYPE_CHECKING:
    from .benchmark.evaluation import Episode as Episode
    from .benchmark.evaluation import evaluate as evaluate
    from .build import build_scene as build_scene
    from .captures.base import HandoverCapture as HandoverCapture
    from .captures.base import RgbdView as RgbdView
    from .captures.load import load_capture as load_capture
    from .captures.synthetic.generate import generate_capture as generate_capture
    from .core.action import decode_action as decode_action
    from .core.action import encode_action as encode_action
    from .core.camera import HAND_EYE_CAMERA as HAND_EYE_CAMERA
    from .core.camera import PinholeCamera as PinholeCamera
    from .core.episode import EpisodeRecord as EpisodeRecord
    from .core.errors import ActionError as ActionError
    from .core.errors import CaptureError as CaptureError
    from .core.errors import CheckpointError as CheckpointError
    from .core.errors import DatasetError as DatasetError
    from .core.errors import GraspError as GraspError
    from .core.errors import HandoverError as HandoverError
    from .core.errors import MissingPackageError as MissingPackageError
    from .core.errors import PolicyError as PolicyError
    from .core.errors import RenderError as RenderError
    from .core.errors import RobotError as RobotError
    from .core.errors import SceneError as SceneError
    from .core.errors import StateError as StateError
    from .core.geometry import SE3 as SE3
    from .core.geometry import look_at as look_at
    from .core.gripper import ROBOTIQ_2F85 as ROBOTIQ_2F85
    from .core.gripper import GripperGeometry as GripperGeometry
    from .core.labels import Label as Label
    from .core.policy import Observation as Observation
    from .core.policy import Policy as Policy
    from .core.spaces import action_space as action_space
    from .core.spaces import observation_space as observation_space
    from .datasets.minari import Demonstration as Demonstration
    from .datasets.minari import read_demonstrations as read_demonstrations
    from .envs.giver_motion import MovingGiver as MovingGiver
    from .envs.handover import H2RHandoverEnv as H2RHandoverEnv
    from .envs.handover_vector import H2RHandoverVectorEnv as H2RHandoverVectorEnv
    from .envs.initial_poses import sample_initial_poses as sample_initial_poses
    from .envs.metrics import EpisodeScore as EpisodeScore
    from .envs.metrics import Summary as Summary
    from .envs.metrics import score as score
    from .envs.metrics import summarise as summarise
    from .grasps.base import GraspCandidate as GraspCandidate
    from .grasps.base import GraspProposer as GraspProposer
    from .grasps.selection import select_grasp as select_grasp
    from .reconstruction.config import OptimiseConfig as OptimiseConfig
    from .rendering.base import Rasteriser as Rasteriser
    from .rendering.base import RenderedView as RenderedView
    from .rendering.select import make_rasteriser as make_rasteriser
    from .rendering.select import make_rasterizer as make_rasterizer
    from .scenes.gaussians import GaussianScene as GaussianScene
    from .scenes.handover_scene import HandoverScene as HandoverScene
    from .scenes.handover_scene import load_scenes as load_scenes
    from .scenes.ply import read_ply as read_ply
    from .scenes.ply import write_ply as write_ply

__version__ = "0.1.0"

_NAMES = {
    "benchmark.evaluation": "Episode evaluate",
    "build": "build_scene",
    "captures.base": "HandoverCapture RgbdView",
    "captures.load": "load_capture",
    "captures.synthetic.generate": "generate_capture",
    "core.action": "decode_action encode_action",
    "core.camera": "HAND_EYE_CAMERA PinholeCamera",
    "core.episode": "EpisodeRecord",
    "core.errors": "ActionError CaptureError CheckpointError DatasetError GraspError HandoverError "
    "MissingPackageError PolicyError RenderError RobotError SceneError StateError",
    "core.geometry": "SE3 look_at",
    "core.gripper": "GripperGeometry ROBOTIQ_2F85",
    "core.labels": "Label",
    "core.policy": "Observation Policy",
    "core.spaces": "action_space observation_space",
    "datasets.minari": "Demonstration read_demonstrations",
    "envs.giver_motion": "MovingGiver",
    "envs.handover": "H2RHandoverEnv",
    "envs.handover_vector": "H2RHandoverVectorEnv",
    "envs.initial_poses": "sample_initial_poses",
    "envs.metrics": "EpisodeScore Summary score summarise",
    "grasps.base": "GraspCandidate GraspProposer",
    "grasps.selection": "select_grasp",
    "reconstruction.config": "OptimiseConfig",
    "rendering.base": "Rasteriser RenderedView",
    "rendering.select": "make_rasteriser make_rasterizer",
    "scenes.gaussians": "GaussianScene",
    "scenes.handover_scene": "HandoverScene load_scenes",
    "scenes.ply": "read_ply write_ply",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = [*sorted(_MODULES)]

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
for _id, _giver in (("H2RHandover-v0", "still"), ("H2RHandoverMoving-v0", "moving")):
    register(
        id=_id,
        entry_point="h2rh_env.envs.handover:H2RHandoverEnv",
        vector_entry_point="h2rh_env.envs.handover_vector:H2RHandoverVectorEnv",
        max_episode_steps=MAX_EPISODE_STEPS,
        kwargs={"giver": _giver},
    )
