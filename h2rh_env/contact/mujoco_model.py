"""The MuJoCo model of a handover: gripper on a compliant arm, object in a soft hold, hand; compiled once a scene."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from ..core.geometry import SE3, Array
from ..core.gripper import GripperGeometry
from ..scenes.contact_shape import ContactShape
from .config import PhysicsConfig

GRAVITY = np.array([0.0, 0.0, -9.81])
MEETS_OBJECT, MEETS_HAND = 1, 2  # collision bits: object and hand meet the gripper, not each other
PAD_M = 0.003  # thickness of the pads, part of the fingers' thickness
ROUNDED_TIP_M = 0.004  # of each fingertip, where no pad is: an edge between rounded tips is not held
FINGER_KG = 0.3  # with what the gears add to its inertia
MOUNT_INERTIA = 0.02  # kg m2 about each axis: a wrist's rather than the bare gripper's
MOUNT_KG = 1.5  # of gripper and wrist together
BODY_FRICTION = 0.3  # of everything but the pads
STIFF_CONTACT = (0.01, 1.0)  # time constant, s, and damping ratio of the pads' contacts
STIFF_LIMIT = (0.005, 1.0)
ARENA_BYTES = 16 * 2**20  # a hundred times what the shipped scenes use
KEPT_MODELS = 32
PROBE_SPACING_M = 0.01
TORQUE_TOLERANCE_NM = 1e-6


@dataclass(frozen=True, eq=False)
class HandoverModel:
    """A compiled model and the addresses of what moves in it.

    Attributes:
        hand_geoms: how many geoms are the hand's; they come first.
        pad_geoms: of the left and the right pad.
        mount, object_body: ids of the gripper's and the object's body.
        qpos, dofs, actuators: addresses by name; object_x, _y, _z move the centre of mass along the scene's axes;
            mount_x to mount_z and mount_rx to mount_rz follow each other.
        masses, inertias: of the bodies, before a handover scales the object's.
        probes: (P, 3) points that stand for object and hand where only nearness matters, m, scene frame.
        scene_from_object: pose of the object's centre of mass frame as it is held.
    """

    model: Any
    data: Any
    gripper: GripperGeometry
    hand_geoms: int
    pad_geoms: tuple[int, int]
    mount: int
    object_body: int
    qpos: dict[str, int]
    dofs: dict[str, int]
    actuators: dict[str, int]
    masses: Array
    inertias: Array
    probes: Array
    scene_from_object: SE3
    lock: Lock = field(default_factory=Lock)


_models: OrderedDict[tuple[Any, ...], HandoverModel] = OrderedDict()
_models_lock = Lock()


def handover_model(shape: ContactShape, gripper: GripperGeometry, settings: PhysicsConfig) -> HandoverModel:
    """The model of a shape; compiled when it is first asked for, and kept while it is among the last in use."""
    key = (shape.digest, gripper, settings)
    with _models_lock:
        if key not in _models:
            _models[key] = compile_model(shape, gripper, settings)
            if len(_models) > KEPT_MODELS:
                _models.popitem(last=False)
        _models.move_to_end(key)
        return _models[key]


def compile_model(shape: ContactShape, gripper: GripperGeometry, settings: PhysicsConfig) -> HandoverModel:
    """Builds and compiles a model, and checks that gravity turns the free object about no axis."""
    spec = mujoco.MjSpec()
    _set_options(spec, settings)
    _add_hand(spec, shape)
    scene_from_object = SE3(shape.scene_from_shape.rotation, shape.scene_from_shape.apply(shape.centre_m))
    _add_object(spec, shape, scene_from_object, settings)
    _add_gripper(spec, gripper, settings)
    model = spec.compile()
    model.tree_sleep_policy[:] = int(mujoco.mjtSleepPolicy.mjSLEEP_NEVER)
    data = mujoco.MjData(model)
    joints = {model.joint(i).name: i for i in range(model.njnt)}
    compiled = HandoverModel(
        model, data, gripper, len(shape.hand_centres), (model.geom("left_pad").id, model.geom("right_pad").id),
        model.body("mount").id, model.body("object").id,
        {name: int(model.jnt_qposadr[i]) for name, i in joints.items()},
        {name: int(model.jnt_dofadr[i]) for name, i in joints.items()},
        {model.actuator(i).name: i for i in range(model.nu)},
        model.body_mass.copy(), model.body_inertia.copy(), _probes(shape), scene_from_object,
    )  # fmt: skip
    _check_torque_balance(compiled)
    return compiled


def _set_options(spec: Any, settings: PhysicsConfig) -> None:
    spec.memory = ARENA_BYTES
    option = spec.option
    option.timestep = settings.time_step_s
    option.gravity = GRAVITY
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = settings.impedance_ratio
    option.enableflags = int(mujoco.mjtEnableBit.mjENBL_SLEEP)  # what is fixed is not posed anew at each step


def _add_hand(spec: Any, shape: ContactShape) -> None:
    for centre in shape.hand_centres:
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[shape.hand_radius_m, 0, 0], pos=centre,
            contype=MEETS_HAND, conaffinity=0, condim=3, friction=[BODY_FRICTION, 0.005, 1e-4],
        )  # fmt: skip


def _add_object(spec: Any, shape: ContactShape, scene_from_object: SE3, settings: PhysicsConfig) -> None:
    """The object as a body with the origin at its centre of mass, on springs that stand for the giver's hold."""
    moments, axes = np.linalg.eigh(shape.inertia)
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    body = spec.worldbody.add_body(
        name="object", pos=scene_from_object.translation, quat=_wxyz(np.eye(3)), gravcomp=1.0,
        mass=shape.mass_kg, inertia=np.maximum(moments, 1e-9), ipos=[0, 0, 0],
        iquat=_wxyz(scene_from_object.rotation @ axes), explicitinertial=True,
    )  # fmt: skip
    for name, axis in (("object_x", [1, 0, 0]), ("object_y", [0, 1, 0]), ("object_z", [0, 0, 1])):
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
    body.add_joint(name="object_ball", type=mujoco.mjtJoint.mjJNT_BALL)
    turned = _wxyz(scene_from_object.rotation)
    for low, high in shape.box_corners_m - shape.centre_m:
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, size=(high - low) / 2, quat=turned,
            pos=scene_from_object.rotation @ ((low + high) / 2), contype=MEETS_OBJECT, conaffinity=0, condim=3,
            friction=[BODY_FRICTION, 0.005, 1e-4], mass=0,
        )  # fmt: skip


def _add_gripper(spec: Any, gripper: GripperGeometry, settings: PhysicsConfig) -> None:
    """The mount's joints leave the pose that its body is set to; fingers slide from open (0) to closed."""
    mount = spec.worldbody.add_body(
        name="mount", gravcomp=1.0, mass=MOUNT_KG, inertia=[MOUNT_INERTIA] * 3, ipos=[0, 0, 0], explicitinertial=True
    )  # fmt: skip
    for name, axis in (("mount_x", [1, 0, 0]), ("mount_y", [0, 1, 0]), ("mount_z", [0, 0, 1])):
        mount.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        _add_servo(
            spec, name, name, settings.arm_stiffness_npm, MOUNT_KG + 2 * FINGER_KG, settings.arm_force_n
        )
    mount.add_joint(name="mount_ball", type=mujoco.mjtJoint.mjJNT_BALL)
    for k, name in enumerate(("mount_rx", "mount_ry", "mount_rz")):
        servo = _add_servo(
            spec, name, "mount_ball", settings.arm_stiffness_nmprad, MOUNT_INERTIA, settings.arm_torque_nm
        )
        servo.gear = np.eye(6)[k]
    left, right, palm = gripper.boxes()
    _add_box(mount, palm)
    for name, box, side in (("left", left, 1.0), ("right", right, -1.0)):
        _add_finger(spec, mount, name, box, side, gripper, settings)
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT, name1="left", name2="right", objtype=mujoco.mjtObj.mjOBJ_JOINT,
        data=[0, 1, *[0] * 10], solref=STIFF_LIMIT,
    )  # fmt: skip


def _add_finger(
    spec: Any, mount: Any, name: str, box: Array, side: float, gripper: GripperGeometry,
    settings: PhysicsConfig,
) -> None:  # fmt: skip
    finger = mount.add_body(
        name=name, gravcomp=1.0, mass=FINGER_KG, inertia=[1e-4] * 3, ipos=box.mean(axis=0), explicitinertial=True
    )  # fmt: skip
    finger.add_joint(
        name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[side, 0, 0], limited=True,
        range=[0, gripper.max_width_m / 2], solref_limit=STIFF_LIMIT,
    )  # fmt: skip
    _add_servo(spec, name, name, settings.finger_stiffness_npm, FINGER_KG, gripper.grip_force_n)
    pad, back = box.copy(), box.copy()
    inner = 1 if side > 0 else 0  # the corner whose x faces the other finger
    pad[1 - inner, 0] = back[inner, 0] = box[inner, 0] - side * PAD_M
    pad[1, 2] -= ROUNDED_TIP_M
    _add_box(finger, back)
    geom = _add_box(finger, pad)
    geom.name = f"{name}_pad"
    geom.condim, geom.priority, geom.solref = 4, 1, STIFF_CONTACT
    geom.friction = [0.5, settings.torsion_m, 1e-4]  # each handover sets the first


def _add_box(body: Any, box: Array) -> Any:
    return body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, size=(box[1] - box[0]) / 2, pos=box.mean(axis=0), mass=0, contype=0,
        conaffinity=MEETS_OBJECT | MEETS_HAND, condim=3, friction=[BODY_FRICTION, 0.005, 1e-4],
    )  # fmt: skip


def _add_servo(spec: Any, name: str, joint: str, stiffness: float, inertia: float, most: float) -> Any:
    """A setpoint control with critical damping and a limited force."""
    servo = spec.add_actuator(
        name=name,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        forcelimited=True,
        forcerange=[-most, most],
    )
    servo.set_to_position(kp=stiffness, kv=damping(stiffness, inertia))
    return servo


def damping(stiffness: float, inertia: float) -> float:
    """Critical damping of a spring."""
    return 2 * float(np.sqrt(stiffness * inertia))


def _wxyz(rotation: Array) -> Array:
    return np.asarray(Rotation.from_matrix(rotation).as_quat(scalar_first=True))


def _probes(shape: ContactShape) -> Array:
    """Points on a lattice over each box, and the hand's centres, m, scene frame."""
    points = []
    for low, high in shape.box_corners_m:
        counts = np.ceil((high - low) / PROBE_SPACING_M).astype(int) + 1
        lattice = np.indices(counts).reshape(3, -1).T / np.maximum(counts - 1, 1)
        points.append(low + lattice * (high - low))
    thinned = (
        np.unique(np.round(np.concatenate(points) / (PROBE_SPACING_M / 2)), axis=0) * PROBE_SPACING_M / 2
    )
    return np.concatenate([shape.scene_from_shape.apply(thinned), shape.hand_centres])


def _check_torque_balance(compiled: HandoverModel) -> None:
    """Gravity on the free object: its weight through the centre of mass, and no torque about it.

    A centre of mass left at the scene's origin, which a model compiles with silently, would let nothing be held.
    """
    model, data = compiled.model, compiled.data
    mujoco.mj_resetData(model, data)
    mujoco.mj_forward(model, data)
    first = compiled.dofs["object_x"]
    bias = data.qfrc_bias[first : first + 6]
    weight = -GRAVITY * model.body_mass[compiled.object_body]
    assert np.allclose(bias[:3], weight, rtol=1e-6), f"the object weighs {bias[:3]} N; expected {weight} N"
    assert np.abs(bias[3:]).max() < TORQUE_TOLERANCE_NM, f"gravity turns the object by {bias[3:]} N m"
