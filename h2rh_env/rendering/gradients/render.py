"""Rendering with gradients: the CPU rasteriser as a torch function of a scene's raw parameters and the pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...core.camera import PinholeCamera
from ...core.errors import RenderError
from ...core.geometry import SE3
from ...scenes.gaussians import SH_COUNTS
from ..base import camera_from_world
from ..cpu.blend import PLANES, blend_tiles
from ..cpu.frame import Strip, Workspace, strips
from ..cpu.memory import empty, zeros
from ..cpu.project import pack_camera
from ..cpu.scene import ACTIVATIONS, COLOUR, Rows, lane_bits, pack, row_index
from ..cpu.threads import Threads, cores
from ..simd.vector import LANES
from .blend import GRADIENT, backward_tiles
from .project import POSE, project_backward


@dataclass(frozen=True, eq=False)
class RenderedTensors:
    """A `RenderedView` in tensors; gradients flow through all but `median_depth`."""

    rgb: Tensor
    alpha: Tensor
    labels: Tensor
    expected_depth: Tensor
    median_depth: Tensor


def render_gaussians(
    means: Tensor,
    wxyz: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    sh: Tensor,
    labels: Tensor,
    camera: PinholeCamera,
    world_from_camera: Tensor,
    antialiased: bool = False,
    threads: int = 2,
) -> RenderedTensors:
    """Renders one view on the CPU; shapes and meaning of the parameters are those of `GaussianScene`.

    It is a third faster for Gaussians in `cpu.scene.spatial_order`, to be sorted once before optimisation.

    Args:
        means: (N, 3), m.
        wxyz: (N, 4).
        log_scales: (N, 3).
        opacity_logits: (N,).
        sh: (N, K, 3).
        labels: (N,) uint8.
        camera: the intrinsics.
        world_from_camera: (4, 4), a rigid motion; its gradient treats the inverse rotation as the transpose.
        antialiased: see `GaussianScene`.
        threads: 1 or 2; the result is the same, bit for bit.

    Raises:
        RenderError: A shape is wrong, or the pose is not finite.
    """
    n, coefficients = len(means), sh.shape[1] if sh.ndim == 3 else -1
    shapes = {
        "means": (means, (n, 3)),
        "wxyz": (wxyz, (n, 4)),
        "log_scales": (log_scales, (n, 3)),
        "opacity_logits": (opacity_logits, (n,)),
        "sh": (sh, (n, coefficients, 3)),
        "labels": (labels, (n,)),
        "world_from_camera": (world_from_camera, (4, 4)),
    }
    for name, (tensor, shape) in shapes.items():
        if tuple(tensor.shape) != shape:
            raise RenderError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")
    if coefficients not in SH_COUNTS:
        raise RenderError(f"sh has shape {tuple(sh.shape)}; expected ({n}, 1 | 4 | 9 | 16, 3)")
    inputs = means, wxyz, log_scales, opacity_logits, sh, world_from_camera
    planes = _Render.apply(*inputs, labels, camera, antialiased, threads)  # type: ignore[no-untyped-call]
    return RenderedTensors(*planes)


# A view is drawn in two parts at once; always two, so that sums do not depend on the number of cores.
PARTS = 2
_threads = {1: Threads(1), 2: Threads(min(PARTS, cores()))}
_spare: list[Workspace] = []  # scratch memory of views whose backward is done


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        wxyz: Tensor,
        log_scales: Tensor,
        opacity_logits: Tensor,
        sh: Tensor,
        world_from_camera: Tensor,
        labels: Tensor,
        camera: PinholeCamera,
        antialiased: bool,
        threads: int,
    ) -> tuple[Tensor, ...]:
        pose = world_from_camera.detach().double().numpy()
        packed = pack_camera(camera, camera_from_world(SE3(pose[:3, :3], pose[:3, 3])))
        memory = _spare.pop() if _spare else Workspace()
        rows, activations = _pack(memory, means, wxyz, log_scales, opacity_logits, sh, labels, antialiased)
        planes = None
        drawn: list[Strip] = []
        for strip in strips(rows, camera, packed, memory):
            if planes is None:
                planes = zeros(
                    (PLANES, camera.height, camera.width), np.float32, (..., *strip.extent(camera))
                )
            _blend(strip, camera, memory, planes.reshape(-1), _threads[threads])
            drawn.append(strip)
        if planes is None:
            planes = zeros((PLANES, camera.height, camera.width), np.float32)
        if any(ctx.needs_input_grad):
            ctx.view = _View(
                len(means), camera, packed, pose, rows, activations, planes, drawn, _threads[threads], memory
            )
            ctx.set_materialize_grads(False)
        else:
            _spare.append(memory)
        image = torch.from_numpy(planes)
        rgb, summed_labels = image[:3].permute(1, 2, 0), image[3:5].permute(1, 2, 0)
        outputs = rgb, image[5], summed_labels, image[6], image[7]
        ctx.mark_non_differentiable(outputs[4])
        return outputs

    @staticmethod
    def backward(ctx: Any, *received: Tensor | None) -> tuple[Tensor | None, ...]:
        rgb, alpha, labels, depth, _ = received
        view: _View = ctx.view
        gradients = view.backward(
            _plane(rgb, 3, view.camera),
            _plane(alpha, 1, view.camera),
            _plane(labels, 2, view.camera),
            _plane(depth, 1, view.camera),
        )
        wanted = zip(gradients, ctx.needs_input_grad, strict=False)
        return (*(torch.from_numpy(g) if need else None for g, need in wanted), None, None, None, None)


def _blend(
    strip: Strip, camera: PinholeCamera, memory: Workspace, planes: npt.NDArray[np.float32], threads: Threads
) -> None:
    def blend(part: int) -> None:
        blend_tiles(
            strip.records,
            *strip.pairs,
            camera.width,
            camera.height,
            parts[part],
            memory.chunk(part),
            memory.array(f"block {part}", 256, np.float32),
            planes,
        )

    parts = strip.parts(PARTS)
    threads.map(blend, range(PARTS))


def _pack(
    memory: Workspace,
    means: Tensor,
    wxyz: Tensor,
    log_scales: Tensor,
    opacity_logits: Tensor,
    sh: Tensor,
    labels: Tensor,
    antialiased: bool,
) -> tuple[Rows, npt.NDArray[np.float32]]:
    """Returns the parameters in rows, and what is needed to undo their activations."""
    raw: Any = [
        t.detach().float().contiguous().numpy() for t in (means, wxyz, log_scales, opacity_logits, sh)
    ]
    index = row_index(np.arange(len(means)))
    values, activations = (
        memory.array(name, len(index) * size, np.float32)[: len(index) * size].reshape(-1, size, LANES)
        for name, size in (("values", COLOUR + 3 * sh.shape[1]), ("activations", ACTIVATIONS))
    )
    raw.append(labels.to(torch.uint8).contiguous().numpy())
    fill: Any = pack
    fill(*raw, index, values, activations)
    return Rows(values, lane_bits(index >= 0), index, SH_COUNTS[sh.shape[1]], antialiased), activations


@lru_cache(maxsize=8)
def _nothing(size: int) -> npt.NDArray[np.float32]:
    """Returns zeros that are only read."""
    return np.zeros(size, np.float32)


def _plane(gradient: Tensor | None, channels: int, camera: PinholeCamera) -> npt.NDArray[np.float32]:
    """Returns a derivative by (H, W, C) or (H, W) as flat planes; zeros for none."""
    if gradient is None:
        return _nothing(channels * camera.height * camera.width)
    planes = gradient.permute(2, 0, 1) if gradient.ndim == 3 else gradient
    return planes.detach().float().contiguous().numpy().reshape(-1)


@dataclass
class _View:
    """What the forward pass leaves for the backward pass."""

    count: int
    camera: PinholeCamera
    packed: npt.NDArray[np.float32]
    world_from_camera: npt.NDArray[np.float64]
    rows: Rows
    activations: npt.NDArray[np.float32]
    planes: npt.NDArray[np.float32]
    drawn: list[Strip]
    threads: Threads
    memory: Workspace | None

    def backward(
        self,
        g_rgb: npt.NDArray[np.float32],
        g_alpha: npt.NDArray[np.float32],
        g_labels: npt.NDArray[np.float32],
        g_depth: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[Any], ...]:
        """Returns the derivatives by means, wxyz, log_scales, opacity_logits, sh and world_from_camera."""
        if self.memory is None:
            raise RenderError("a view's backward can run once; render it again")
        camera, rows, memory = self.camera, self.rows, self.memory
        size = (self.drawn[0].count if self.drawn else 0) * GRADIENT
        gradients = [memory.array(f"gradients {part}", size, np.float32)[:size] for part in range(PARTS)]
        for part in gradients:
            part[:] = 0
        # The pairs of a single strip still lie in the workspace; of several only the last do.
        for strip in self.drawn if len(self.drawn) <= 1 else strips(rows, camera, self.packed, memory):
            self._blend_backward(strip, memory, g_rgb, g_labels, g_alpha, g_depth, gradients)
        coefficients = (rows.values.shape[1] - COLOUR) // 3
        shapes = (
            (self.count, 3),
            (self.count, 4),
            (self.count, 3),
            (self.count,),
            (self.count, coefficients, 3),
        )
        results: Any = [(empty if self.drawn else zeros)(shape, np.float32) for shape in shapes]
        g_pose = np.zeros(POSE)
        if self.drawn:
            finish: Any = project_backward
            finish(
                rows.values,
                self.activations,
                rows.degree,
                rows.antialiased,
                self.packed,
                self.drawn[0].sources,
                self.drawn[0].count,
                *gradients,
                memory.array("backward", 2048, np.float32),
                *results,
                g_pose,
            )
        _spare.append(memory)
        self.memory = None
        return (*results, _pose_gradient(g_pose, self.world_from_camera).astype(np.float32))

    def _blend_backward(
        self,
        strip: Strip,
        memory: Workspace,
        g_rgb: npt.NDArray[np.float32],
        g_labels: npt.NDArray[np.float32],
        g_alpha: npt.NDArray[np.float32],
        g_depth: npt.NDArray[np.float32],
        gradients: list[npt.NDArray[np.float32]],
    ) -> None:
        def backward(part: int) -> None:
            backward_tiles(
                strip.records,
                *strip.pairs,
                self.camera.width,
                self.camera.height,
                parts[part],
                memory.chunk(part),
                memory.array(f"block {part}", 256, np.float32),
                self.planes.reshape(-1),
                g_rgb,
                g_labels,
                g_alpha,
                g_depth,
                gradients[part],
            )

        parts = strip.parts(PARTS)
        self.threads.map(backward, range(PARTS))


def _pose_gradient(g_pose: npt.NDArray[np.float64], pose: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Maps a gradient by camera_from_world = [R^T | -R^T e] and the eye e to world_from_camera = [R | e], (4, 4)."""
    g_rotation, g_translation, g_eye = g_pose[:9].reshape(3, 3), g_pose[9:12], g_pose[12:]
    result = np.zeros((4, 4))
    result[:3, :3] = g_rotation.T - np.outer(pose[:3, 3], g_translation)
    result[:3, 3] = g_eye - pose[:3, :3] @ g_translation
    return result
