"""Old names of modules: importing one answers with what it is called now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

SYNTHETIC = "h2rh_env.captures.synthetic"
MOVES = (  # from, to, and the modules that went; `old=new` where the name changed too
    ("experts", "experts.inspect", "figure preview statistics"),
    ("h2rh_env.captures", "h2rh_env.captures.checks", "agreement"),
    ("h2rh_env", "h2rh_env.benchmark", "evaluation suites"),
    ("h2rh_env", "h2rh_env.core", "camera clearance errors geometry gripper"),
    ("h2rh_env", "h2rh_env.core.clearance", "numba_distance=numba_clearance"),
    ("h2rh_env", "h2rh_env.datasets", "demonstrations=minari lerobot"),
    ("h2rh_env", "h2rh_env.envs", "env=handover episode_state=state metrics moving=giver_motion reward"),
    ("h2rh_env", "h2rh_env.envs", "start_poses=initial_poses vector_env=handover_vector world=simulator"),
    ("h2rh_env", "h2rh_env.perturbations", "conditions disturbed=demonstrations"),
    ("h2rh_env", "h2rh_env.scenes", "handover_scene"),
    ("h2rh_env", "h2rh_env.utils", "cli cluster=parallel files plugins rates=proportions video"),
    (SYNTHETIC, f"{SYNTHETIC}.objects", "household more_objects=ycb_objects"),
    (SYNTHETIC, f"{SYNTHETIC}.objects", "scan things=parts toys"),
    (SYNTHETIC, f"{SYNTHETIC}.person", "approaches=reach_directions giver grip hand skin"),
    (SYNTHETIC, f"{SYNTHETIC}.rendering", "paints rig room sensor"),
    (SYNTHETIC, f"{SYNTHETIC}.rendering", "shading textures"),
    ("h2rh_env.contact", "h2rh_env.contact", "boxes=solids settings=config"),
    ("h2rh_env.core", "h2rh_env.core.clearance", "final_approach numba_clearance"),
    ("h2rh_env.core", "h2rh_env.utils", "proportions"),
    ("h2rh_env.grasps", "h2rh_env.grasps", "crowd=density"),
    ("h2rh_env.reconstruction", "h2rh_env.reconstruction.initialisation", "depth_scale fusion initialise painting"),
    ("h2rh_env.reconstruction", "h2rh_env.reconstruction.optimisation", "checkpoint config fsgs losses numba_ssim"),
    ("h2rh_env.reconstruction", "h2rh_env.reconstruction.optimisation", "optimise rig settings=config targets"),
    ("h2rh_env.rendering", "h2rh_env.rendering.cpu", "numba_bin=bin numba_blend=blend numba_cpu=rasteriser"),
    ("h2rh_env.rendering", "h2rh_env.rendering.cpu", "numba_frame=frame numba_project=project numba_scene=scene"),
    ("h2rh_env.rendering", "h2rh_env.rendering.cpu", "numba_sort=sort threads visibility zeros=memory"),
    ("h2rh_env.rendering", "h2rh_env.rendering.gradients", "differentiable=render numba_backward=blend"),
    ("h2rh_env.rendering", "h2rh_env.rendering.gradients", "numba_colour_backward=colour"),
    ("h2rh_env.rendering", "h2rh_env.rendering.gradients", "numba_project_backward=project"),
    ("h2rh_env.rendering", "h2rh_env.rendering.simd", "simd_functions=functions"),
    ("policies", "h2rh_env.utils", "strict_json"),
    ("policies", "policies", "handover_policy=learned servo=goal_controller"),
    ("policies", "policies.baselines", "ibvs reference"),
    ("policies", "policies.networks", "checkpoints compact network=base numba_window=numba_crop reading=inputs"),
    ("policies", "policies.networks", "resnet tensors=rotations"),
    ("policies", "policies.onnx", "export_onnx=export onnx_policy=policy onnx.__main__=export"),
    ("policies", "policies.rl", "reinforcement residual sb3=sb3_policy"),
    ("policies", "policies.tracking", "numba_register numba_sweep ranging=depth relief=surface_points"),
    ("policies", "policies.tracking", "specks=mask_filter sway=object_motion views=keyframes"),
    ("policies", "policies.training", "augmentation batches=dataset curves dagger losses processes=distributed"),
    ("policies", "policies.training", "rollouts"),
    ("real_robot", "real_robot.benchmark", "table2 video"),
    ("real_robot", "real_robot.calibration", "charuco"),
    ("real_robot", "real_robot.control", "grasp_alignment outcome taking=grasp_execution way_round=detour"),
    ("real_robot", "real_robot.drivers", "hardware hold_key live=threaded_camera"),
    ("real_robot", "real_robot.drivers", "realsense robotiq simulated ur5"),
    ("real_robot", "real_robot.drivers.ur", "kinematics servo=process"),
    ("real_robot.drivers", "real_robot.drivers.ur", "ur5_kinematics=kinematics ur5_messages=messages"),
    ("real_robot.drivers", "real_robot.drivers.ur", "ur5_process=process ur_dashboard=dashboard"),
    ("real_robot", "real_robot.emulator", "placement=base_placement"),
    ("real_robot", "real_robot.safety", "motion_guard perception replay trial_log"),
    ("real_robot", "real_robot.segmentation", "segmenter_changes=augmentation segmenter_network=network"),
    ("real_robot", "real_robot.segmentation", "segmenter_pictures=training_images segmenter_prompted=prompted"),
    ("real_robot", "real_robot.segmentation", "train_segmenter=train"),
)  # fmt: skip
DIVIDED = {
    "h2rh_env.interface": "h2rh_env.core: labels, action, spaces, episode, policy and motion_limits",
}


def new_places() -> dict[str, str]:
    """Returns each old module's full name with the new one's."""
    places = {}
    for source, target, modules in MOVES:
        for module in modules.split():
            old, _, new = module.partition("=")
            places[f"{source}.{old}"] = f"{target}.{new or old}"
    return places


class MovedModules(MetaPathFinder):
    """Is asked last, for a module that nobody found, and finds none; it only says where an old one went."""

    def __init__(self) -> None:
        self._places = new_places() | DIVIDED

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Does nothing for a name that was never a module's.

        Raises:
            ModuleNotFoundError: The module has moved; the message names its new place.
        """
        if fullname in self._places:
            raise ModuleNotFoundError(f"{fullname} has moved to {self._places[fullname]}", name=fullname)


def answer_old_names() -> None:
    """Puts the finder at the end of the import system's, once."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
