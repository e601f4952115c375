"""Measures how fast the renderer is: tables for the cameras, for an environment's images and for a training step.

    python benchmarks/rendering.py
    python benchmarks/rendering.py --scene hand_bottle_50k_sh0.ply --clock cpu
    python benchmarks/rendering.py --peer my_pkg.splat:render

Each figure is the median of interleaved runs. Without --scene, a bottle held by a fist is made up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numba import njit
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from h2rh_env.core.camera import HAND_EYE_CAMERA, PinholeCamera
from h2rh_env.core.errors import RenderError
from h2rh_env.core.geometry import SE3, look_at, uniform_directions
from h2rh_env.reconstruction.optimisation.losses import photometric_loss
from h2rh_env.rendering.base import camera_from_world
from h2rh_env.rendering.cpu.blend import CHUNK, capped_alpha, list_block, log2_alpha
from h2rh_env.rendering.cpu.frame import strips
from h2rh_env.rendering.cpu.project import LOG2_ALPHA_MIN, pack_camera
from h2rh_env.rendering.cpu.rasteriser import NumbaRasteriser
from h2rh_env.rendering.cpu.scene import spatial_order
from h2rh_env.rendering.cpu.threads import cores
from h2rh_env.rendering.gradients.render import RenderedTensors, render_gaussians
from h2rh_env.rendering.masks import rgb_to_uint8
from h2rh_env.rendering.reference import ReferenceRasteriser
from h2rh_env.rendering.select import make_rasteriser, why_no_gsplat
from h2rh_env.rendering.simd.vector import bits, block_x, block_y, fma, lane_sum, splat, where
from h2rh_env.scenes.gaussians import SH_C0, GaussianScene
from h2rh_env.scenes.ply import read_ply
from h2rh_env.utils import cli

# Of the fastest CPU peer that was measured, OpenSplat of 2024 at degree 3: forward, forward + backward, ms, on one
# Zen 4 core and the standard scene of 50,000 Gaussians.
PEER_MS = {"224 far": (37, 76), "224 near": (54, 95), "640 far": (57, 105), "640 near": (139, 241)}
FLOP_PER_BLEND = 35
TARGET = np.array([0.015, 0.0, 0.005])


@dataclass(frozen=True)
class RenderingBenchmark:
    """Settings of the benchmark."""

    scene: Path | None = None
    """3DGS PLY to render; a made-up one by default."""
    gaussians: int = 50_000
    """How many Gaussians to make up, or to keep of the scene."""
    environment_gaussians: int = 30_000
    """How many Gaussians an environment's scene has."""
    repeats: int = 25
    """Number of runs, of which the median is printed."""
    peer: str = ""
    """module:function of another renderer, (scene, camera, world_from_camera) -> rgb (H, W, 3), to time in turn."""
    clock: Literal["wall", "cpu"] = "wall"
    """Time by the wall, or, on a busy machine, by the thread's processor time (one-core figures only)."""


def main(config: RenderingBenchmark) -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    scene = read_ply(config.scene) if config.scene else made_up_scene(config.gaussians)
    if len(scene) > config.gaussians:
        scene = scene.select(np.random.default_rng(0).permutation(len(scene))[: config.gaussians])
    scene = scene.select(spatial_order(scene.means))  # as one does once before optimisation; views don't care
    now = time.perf_counter if config.clock == "wall" else time.thread_time
    console = Console(width=150)
    console.print(camera_table(scene, config, now))
    console.print(environment_table(scene, config))
    console.print(training_table(scene, config))


def made_up_scene(count: int) -> GaussianScene:
    """A bottle, a fist of tori about it, and a forearm: flat Gaussians on their surfaces."""
    rng = np.random.default_rng(0)
    around, along = rng.uniform(0, 2 * np.pi, count), rng.uniform(0, 1, count)
    circle = np.stack([np.cos(around), np.sin(around), np.zeros(count)], axis=1)
    bottle = 0.033 * circle + along[:, None] * [0, 0, 0.2] - [0, 0, 0.1]
    finger = rng.integers(0, 4, count)
    across = uniform_directions(rng, count)
    fist = 0.042 * circle + 0.009 * across + (0.02 * finger - 0.03)[:, None] * [0, 0, 1]
    arm = [0.07, 0, 0] + along[:, None] * [0.12, 0.02, -0.06] + 0.028 * circle[:, [2, 0, 1]]
    part = rng.choice(3, count, p=[0.45, 0.3, 0.25])
    means = np.choose(part[:, None], [bottle, fist, arm])
    colours = np.where(part[:, None] == 0, [0.2, 0.4, 0.7], [0.8, 0.6, 0.5]) + 0.1 * np.sin(90 * means)
    spacing = np.sqrt(0.1 / count)
    return GaussianScene(
        means=means.astype(np.float32),
        wxyz=rng.normal(size=(count, 4)).astype(np.float32),
        log_scales=np.log(spacing * rng.uniform(0.2, 1, (count, 3))).astype(np.float32),
        opacity_logits=rng.normal(2.3, 1.8, count).astype(np.float32),
        sh=((colours[:, None] - 0.5) / SH_C0).astype(np.float32),
        labels=np.where(part == 0, 1, 2).astype(np.uint8),
    )


def cameras() -> dict[str, tuple[PinholeCamera, SE3]]:
    """Makes cameras of two sizes at two distances, with 60 degrees of view."""
    result = {}
    for (width, height), size in (((224, 224), "224"), ((640, 480), "640")):
        focal = 0.5 * width / np.tan(np.pi / 6)
        for distance, place in ((0.7, "far"), (0.3, "near")):
            eye = TARGET + distance * np.array([-0.05, -0.98, 0.17])
            camera = PinholeCamera(width, height, focal, focal, width / 2, height / 2)
            result[f"{size} {place}"] = camera, look_at(eye, TARGET)
    return result


def camera_table(scene: GaussianScene, config: RenderingBenchmark, now: Callable[[], float]) -> Table:
    """Times rendering, and rendering with its gradient, on one core."""
    table = Table(
        title=f"{len(scene)} Gaussians, degree {scene.sh_degree}, 8 channels, 1 thread, {config.clock} time"
    )
    headings = (
        "camera",
        "device",
        "forward ms",
        "to peer",
        "fwd + bwd ms",
        "to peer",
        "images/s",
        "PSNR dB",
        "MB",
        "blends M",
        "lanes used",
        "of peak",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    fast = NumbaRasteriser(threads=1)
    parameters = tensors(scene)
    runs: dict[str, Callable[[], Any]] = {}
    for name, (camera, pose) in cameras().items():
        runs[f"{name} forward"] = partial(fast.render, scene, camera, pose)
        runs[f"{name} both"] = partial(forward_backward, parameters, scene, camera, pose, received(camera))
    if config.peer:
        peer = peer_named(config.peer)
        for name, (camera, pose) in cameras().items():
            runs[f"{name} peer"] = partial(peer, scene, camera, pose)
    seconds = medians(runs, config.repeats, now)
    peak = peak_flops(now)
    for name, (camera, pose) in cameras().items():
        forward, both = seconds[f"{name} forward"], seconds[f"{name} both"]
        evaluated, blends = count_blends(fast, scene, camera, pose)
        true = ReferenceRasteriser().render(scene, camera, pose).rgb
        error = np.mean((fast.render(scene, camera, pose).rgb.astype(np.float64) - true) ** 2)
        table.add_row(
            name,
            "cpu",
            f"{forward * 1e3:.2f}",
            f"{PEER_MS[name][0] / forward / 1e3:.1f}x",
            f"{both * 1e3:.2f}",
            f"{PEER_MS[name][1] / both / 1e3:.1f}x",
            f"{1 / forward:.0f}",
            f"{-10 * np.log10(error + 1e-30):.1f}",
            f"{(fast.workspace().nbytes + 32 * camera.width * camera.height) / 1e6:.1f}",
            f"{blends / 1e6:.2f}",
            f"{blends / evaluated:.0%}",
            f"{FLOP_PER_BLEND * blends / forward / peak:.0%}",
        )
    for name in cameras() if config.peer else ():
        other = seconds[f"{name} peer"]
        table.add_row(name, config.peer, f"{other * 1e3:.2f}", f"{PEER_MS[name][0] / other / 1e3:.1f}x")
    if not why_no_gsplat():
        gpu = make_rasteriser("gsplat")
        for name, (camera, pose) in cameras().items():
            on_gpu = medians({name: partial(gpu.render, scene, camera, pose)}, config.repeats, now)[name]
            table.add_row(name, "cuda", f"{on_gpu * 1e3:.2f}", f"{PEER_MS[name][0] / on_gpu / 1e3:.1f}x")
    gsplat = escape(why_no_gsplat()) or "measured"
    table.caption = f"peak: {peak / 1e9:.0f} Gflop/s of fused multiply-adds; gsplat: {gsplat}"
    return table


def peer_named(name: str) -> Callable[[GaussianScene, PinholeCamera, SE3], Any]:
    """Imports a renderer by name.

    Raises:
        RenderError: There is no such function.
    """
    module, _, function = name.partition(":")
    try:
        found: Callable[[GaussianScene, PinholeCamera, SE3], Any] = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise RenderError(f"--peer {name} cannot be found ({error}); expected module:function") from None
    return found


def environment_table(scene: GaussianScene, config: RenderingBenchmark) -> Table:
    """8-bit observations from 0.4 to 0.7 m, in batches, beside full views."""
    count = min(config.environment_gaussians, len(scene))
    scene = scene.select(np.random.default_rng(1).permutation(len(scene))[:count])
    rng, camera, batch = np.random.default_rng(2), HAND_EYE_CAMERA, 64
    directions, distances = uniform_directions(rng, batch), rng.uniform(0.4, 0.7, (batch, 1))
    poses = [look_at(TARGET + offset, TARGET) for offset in directions * distances]
    table = Table(title=f"{count} Gaussians, {camera.width}x{camera.height}, batches of {batch}, wall time")
    for heading in ("path", "threads", "first batch ms", "images/s", "worst PSNR dB", "median PSNR dB"):
        table.add_column(heading, justify="right")
    for threads in dict.fromkeys((1, cores())):
        fast = NumbaRasteriser(threads)
        full = np.stack([rgb_to_uint8(view) for view in fast.render_batch([scene] * batch, camera, poses)])
        begin = time.perf_counter()
        rgb, _ = fast.render_observations([scene] * batch, camera, poses)
        first = time.perf_counter() - begin
        runs: dict[str, Callable[[], Any]] = {
            "full views": partial(fast.render_batch, [scene] * batch, camera, poses),
            "observations": partial(fast.render_observations, [scene] * batch, camera, poses),
        }
        errors = np.mean(((rgb.astype(np.float64) - full) / 255) ** 2, axis=(1, 2, 3))
        psnr = -10 * np.log10(errors + 1e-10)
        for name, seconds in medians(runs, max(5, config.repeats // 3), time.perf_counter).items():
            quality = (
                f"{first * 1e3:.0f}",
                f"{batch / seconds:.0f}",
                f"{psnr.min():.1f}",
                f"{np.median(psnr):.1f}",
            )
            table.add_row(
                name, str(threads), *(quality if name == "observations" else ("", quality[1], "", ""))
            )
    return table


def training_table(scene: GaussianScene, config: RenderingBenchmark) -> Table:
    """Render, loss, backward and Adam at 640x480, cropped to what is drawn."""
    table = Table(
        title=f"Training step, {len(scene)} Gaussians, degree {scene.sh_degree}, 2 threads, wall time"
    )
    for heading in ("camera", "crop", "render ms", "loss ms", "backward ms", "Adam ms", "step ms"):
        table.add_column(heading, justify="right")
    for name in ("640 far", "640 near"):
        camera, pose = cameras()[name]
        drawn = np.argwhere(NumbaRasteriser(1).render(scene, camera, pose).alpha > 0)
        (top, left), (bottom, right) = drawn.min(axis=0).tolist(), (drawn.max(axis=0) + 1).tolist()
        parameters = tensors(scene)
        optimiser = torch.optim.Adam(parameters, lr=1e-6, fused=True)
        target = torch.rand(camera.height, camera.width, 3)
        steps = []
        for _ in range(config.repeats):
            times = [time.perf_counter()]
            view = render(parameters, scene, camera, pose, threads=2)
            times.append(time.perf_counter())
            loss = photometric_loss(view.rgb, target, crop=(top, left, bottom, right))
            times.append(time.perf_counter())
            optimiser.zero_grad()
            loss.backward()
            times.append(time.perf_counter())
            optimiser.step()
            times.append(time.perf_counter())
            steps.append(np.diff(times) * 1e3)
        parts = np.median(steps, axis=0)
        total = np.median(np.sum(steps, axis=1))
        table.add_row(
            name, f"{right - left}x{bottom - top}", *(f"{part:.1f}" for part in parts), f"{total:.1f}"
        )
    return table


def tensors(scene: GaussianScene) -> list[torch.Tensor]:
    arrays = scene.means, scene.wxyz, scene.log_scales, scene.opacity_logits, scene.sh
    return [torch.tensor(np.array(array)).requires_grad_() for array in arrays]


def render(
    parameters: list[torch.Tensor], scene: GaussianScene, camera: PinholeCamera, pose: SE3, threads: int
) -> RenderedTensors:
    means, wxyz, log_scales, opacity_logits, sh = parameters
    labels = torch.tensor(np.array(scene.labels))
    world_from_camera = torch.tensor(pose.matrix)
    return render_gaussians(
        means,
        wxyz,
        log_scales,
        opacity_logits,
        sh,
        labels,
        camera,
        world_from_camera,
        scene.antialiased,
        threads,
    )


def received(camera: PinholeCamera) -> tuple[torch.Tensor, torch.Tensor]:
    """Derivatives by rgb and alpha, in the layout in which `photometric_loss` gives them."""
    size = camera.height, camera.width
    return torch.ones(3, *size).permute(1, 2, 0), torch.ones(size)


def forward_backward(
    parameters: list[torch.Tensor],
    scene: GaussianScene,
    camera: PinholeCamera,
    pose: SE3,
    derivatives: tuple[torch.Tensor, torch.Tensor],
) -> None:
    view = render(parameters, scene, camera, pose, threads=1)
    torch.autograd.grad((view.rgb, view.alpha), parameters, derivatives)


def medians(runs: dict[str, Callable[[], Any]], repeats: int, now: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each run; the runs take turns, so that a busy moment hurts all alike."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begin = now()
            run()
            seconds[name].append(now() - begin)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def count_blends(
    fast: NumbaRasteriser, scene: GaussianScene, camera: PinholeCamera, pose: SE3
) -> tuple[int, int]:
    """How many (pixel, Gaussian) pairs the kernel evaluates, and how many of them change the pixel."""
    rows, packed = fast.rows_of(scene), pack_camera(camera, camera_from_world(pose))
    evaluated = blended = 0
    for strip in strips(rows, camera, packed, fast.workspace()):
        counts = _count(
            strip.records, *strip.pairs, camera.width, strip.parts(1)[0], fast.workspace().chunk()
        )
        evaluated, blended = evaluated + counts[0], blended + counts[1]
    if not evaluated:
        raise RenderError("the scene is not in view of the benchmark's cameras, which look at its origin")
    return evaluated, blended


@njit(cache=True)
def _count(records: Any, starts: Any, offsets: Any, touched: Any, width: int, tiles: Any, chunk: Any) -> Any:
    f32 = np.float32
    evaluated, blended = 0, 0
    tiles_x = (width + 15) >> 4
    zero, one, stop = splat(f32(0)), splat(f32(1)), splat(f32(1e-4))
    for tile in range(tiles[1], tiles[2]):
        y, x = 16 * (tiles[0] + tile // tiles_x), 16 * (tile % tiles_x)
        for b in range(16):
            px, py = block_x() + splat(f32(x + 4 * (b & 3))), block_y() + splat(f32(y + 4 * (b >> 2)))
            transmittance, begin, last = one, starts[tile], starts[tile + 1]
            while begin < last:
                length = list_block(offsets, touched, begin, min(begin + CHUNK, last), b, chunk)
                begin += CHUNK
                for i in range(length):
                    exponent = log2_alpha(records, np.uint64(chunk[i]), px, py)
                    hit = exponent >= splat(f32(LOG2_ALPHA_MIN))
                    after = transmittance * (one - where(hit, capped_alpha(exponent), zero))
                    going = after > stop
                    transmittance = where(going, after, zero)
                    evaluated += 16
                    blended += int(lane_sum(where(hit & going, one, zero)))
                    if bits(going) == 0:
                        begin = last
                        break
    return evaluated, blended


def peak_flops(now: Callable[[], float]) -> float:
    """Floating-point operations a second of independent fused multiply-adds on one core."""
    rounds = 2_000_000
    start = np.float32(1e-3)
    _multiply_add(10, start)
    best = np.inf
    for _ in range(5):
        begin = now()
        _multiply_add(rounds, start)
        best = min(best, now() - begin)
    return rounds * 12 * 16 * 2 / best


@njit(cache=True)
def _multiply_add(rounds: int, start: Any) -> Any:
    x = splat(np.float32(start))
    a, b, c, d, e, f = x, x + x, x * x, x - x, x, x
    g, h, i, j, k, m = x, x, x + x, x, x * x, x
    for _ in range(rounds):
        a, b, c, d, e, f = fma(a, x, x), fma(b, x, x), fma(c, x, x), fma(d, x, x), fma(e, x, x), fma(f, x, x)
        g, h, i, j, k, m = fma(g, x, x), fma(h, x, x), fma(i, x, x), fma(j, x, x), fma(k, x, x), fma(m, x, x)
    return lane_sum(a + b + c + d + e + f + g + h + i + j + k + m)


if __name__ == "__main__":
    cli.run(main, RenderingBenchmark, __doc__)
