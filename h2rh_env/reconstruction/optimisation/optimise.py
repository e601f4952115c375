"""Optimises Gaussians until they explain a capture's images: colours, masks and metric depth.

Each step of gradient descent renders one view, cropped to object and hand, some at half the resolution. Labels stay
as they are, opacities are never reset, and no Gaussian strays more than 5 mm from where depth put it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...captures.base import HandoverCapture
from ...core.camera import PinholeCamera
from ...rendering.cpu.rasteriser import NumbaRasteriser
from ...rendering.cpu.scene import spatial_order
from ...rendering.gradients.render import RenderedTensors
from ...rendering.select import make_renderer
from ...scenes.gaussians import GaussianScene
from ..initialisation.frame_bias import aligned
from . import checkpoint, fsgs
from .config import OptimiseConfig
from .losses import photometric_loss
from .rig import RigCorrection
from .shared_colour import with_shared_colour
from .targets import Target, targets_of

RATES = {  # of Adam at the first step; means in m
    "means": 3e-5,
    "wxyz": 1e-3,
    "log_scales": 5e-3,
    "opacity_logits": 2e-2,
    "sh": 5e-3,
    "sh_rest": 2.5e-4,
    "twists": 1e-4,
}
LAST_RATE = 0.05  # of the first, reached exponentially
MAX_STRAY_M = 0.005
LOG_SCALE_RANGE = (-1.5, 1.0)  # about the first log scale
RIM_WEIGHT = 0.3  # of object or hand that costs nothing just outside silhouettes: edges are soft
RIM_FACTOR = 8  # more costs so many times what it costs elsewhere: it counts as object or hand from a half on
OUTLIER_M = 0.01  # measured depth this far off says nothing
REPORT_EVERY = 10
SAVE_EVERY = 100

Progress = Callable[[int, float, float], None]


def optimise(
    scene: GaussianScene,
    capture: HandoverCapture,
    settings: OptimiseConfig,
    progress: Progress = lambda *_: None,
    checkpoint_file: Path | None = None,
    corrections: Callable[[dict[str, Any]], None] = lambda _: None,
) -> GaussianScene:
    """Improves first Gaussians; the same settings give the same result, interrupted or not.

    Args:
        scene: the first Gaussians, from `initialise`.
        capture: what they were made from.
        settings: what is optimised and how.
        progress: called every ten steps with the steps done, the loss, and the PSNR on object and hand, dB.
        checkpoint_file: where an interrupted run left its state and finds it again; it is removed in the end.
        corrections: called once with what was taken out of the cameras' depth and colours, as JSON values.
    """
    if not settings.steps:
        return scene
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors are small; the renderer has its own threads
    try:
        optimisation = Optimisation(scene, capture, settings)
        corrections(optimisation.corrections())
        return _run(optimisation, settings, progress, checkpoint_file)
    finally:
        torch.set_num_threads(threads)


def _run(
    optimisation: Optimisation, settings: OptimiseConfig, progress: Progress, file: Path | None
) -> GaussianScene:
    begin = optimisation.restore(*checkpoint.read(file, optimisation.key)) if file else 0
    for step in range(begin, settings.steps):
        loss, psnr_db = optimisation.step(step)
        done = step + 1
        if done % REPORT_EVERY == 0 or done == settings.steps:
            progress(done, loss, psnr_db)
        if file and done % SAVE_EVERY == 0 and done < settings.steps:
            checkpoint.write(file, optimisation.key, done, optimisation.state())
    if file:
        file.unlink(missing_ok=True)
    return optimisation.scene()


class Optimisation:
    """The state of a run: parameters, corrections of the cameras, and Adam's moments."""

    def __init__(self, scene: GaussianScene, capture: HandoverCapture, settings: OptimiseConfig) -> None:
        self.settings = settings
        self.key = checkpoint.key_of(scene, json.dumps(asdict(settings)))
        self._order = spatial_order(np.asarray(scene.means)).astype(np.int64)
        self._alignment = aligned(capture)
        views = self._alignment.capture.views
        self._names = [view.name for view in views]
        self._log_gains = np.zeros((len(views), 3))
        if settings.shared_degree or settings.even_exposure:
            scene, self._log_gains = with_shared_colour(scene, views, settings.shared_degree)
        self._first = scene.select(self._order)
        self._draw = make_renderer(settings.renderer)
        self._surface = NumbaRasteriser(1)
        self.targets = targets_of(views, self._first, self._surface, settings.rim_px)
        if settings.even_exposure:
            self.targets = [target.brightened(-self._log_gains[target.index]) for target in self.targets]
        self.coarse_targets = [target.halved() for target in self.targets]
        self.rig = RigCorrection(capture, scene.means.mean(axis=0))
        coefficients = (settings.sh_degree + 1) ** 2
        sh = np.zeros((len(scene), max(coefficients, scene.sh.shape[1]), 3), np.float32)
        sh[:, : scene.sh.shape[1]] = self._first.sh
        values = {
            "means": self._first.means,
            "wxyz": self._first.wxyz,
            "log_scales": self._first.log_scales,
            "opacity_logits": self._first.opacity_logits,
            "sh": sh[:, :1],
            "sh_rest": sh[:, 1:],
        }
        self.parameters = {k: torch.tensor(np.array(v)).requires_grad_() for k, v in values.items()}
        # What stays: labels, and the bounds about the first places and sizes.
        self.fixed = {
            "labels": torch.tensor(np.array(self._first.labels)),
            "first_means": self.parameters["means"].detach().clone(),
            "first_log_scales": self.parameters["log_scales"].detach().clone(),
        }
        self.adam = self._new_adam()

    def step(self, step: int) -> tuple[float, float]:
        """Renders one view and follows its gradient; returns the loss, and every ten steps the PSNR, dB, else 0."""
        s = self.settings
        if s.unpool_every and step and step % s.unpool_every == 0 and step <= s.steps // 2:
            self._unpool()
        for group in self.adam.param_groups:
            group["lr"] = RATES[group["name"]] * LAST_RATE ** (step / s.steps)
        order = np.random.default_rng([s.seed, 0, step // len(self.targets)]).permutation(len(self.targets))
        coarse = s.coarse_every > 0 and step % s.coarse_every == s.coarse_every - 1
        target = (self.coarse_targets if coarse else self.targets)[order[step % len(order)]]
        rng = np.random.default_rng([s.seed, 1, step])
        background = torch.tensor(rng.uniform(size=3) if s.random_background else np.zeros(3)).float()
        view = self._render(target.camera, self.rig.world_from_camera(target.index))
        image = view.rgb + (1 - view.alpha[..., None]) * background
        wanted = target.rgb + (1 - target.coverage[..., None]) * background
        wanted = torch.where((target.hidden | target.rim)[..., None], image.detach(), wanted)
        loss = photometric_loss(image, wanted) + self._geometry_loss(view, target, rng)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self._bound()
        reports = (step + 1) % REPORT_EVERY == 0 or step + 1 == s.steps
        error = (
            (image.detach() - wanted)[target.mask].square().mean().clamp_min(1e-10)
            if reports
            else torch.ones(1)
        )
        return float(loss.detach()), float(-10 * torch.log10(error))

    def _geometry_loss(self, view: RenderedTensors, target: Target, rng: np.random.Generator) -> Tensor:
        s, loss = self.settings, torch.zeros(())
        if s.mask_weight:
            over = RIM_FACTOR * (view.labels - RIM_WEIGHT).clamp_min(0)
            off = torch.where(target.rim[..., None], over, (view.labels - target.labels).abs())
            loss = loss + s.mask_weight * torch.where(target.hidden[..., None], 0, off).mean()
        if s.depth_weight or s.pearson_weight:
            gap = (view.expected_depth - target.depth_m).abs()
            good = (target.depth_m > 0) & (gap.detach() < OUTLIER_M) & (view.alpha.detach() > 0.5)
            loss = loss + s.depth_weight * torch.where(good, gap, 0).mean()
            if s.pearson_weight:
                loss = loss + s.pearson_weight * fsgs.decorrelation(view.expected_depth, target.depth_m, good)
        if s.pseudo_weight:
            camera, pose = fsgs.pseudo_view(self.targets, self.rig, self._first.means, rng)
            depth_m = torch.tensor(self._surface.render(self._first, camera, pose).median_depth)
            seen = self._render(camera, torch.tensor(pose.matrix))
            good = (depth_m > 0) & (seen.alpha.detach() > 0.5)
            loss = loss + s.pseudo_weight * fsgs.decorrelation(seen.expected_depth, depth_m, good)
        return loss

    def _render(self, camera: PinholeCamera, world_from_camera: Tensor) -> RenderedTensors:
        p = self.parameters
        return self._draw(
            p["means"],
            p["wxyz"],
            p["log_scales"],
            p["opacity_logits"],
            torch.cat([p["sh"], p["sh_rest"]], 1),
            self.fixed["labels"],
            camera,
            world_from_camera,
            self._first.antialiased,
        )

    @torch.no_grad()
    def _bound(self) -> None:
        first, scales = self.fixed["first_means"], self.fixed["first_log_scales"]
        self.parameters["means"].clamp_(first - MAX_STRAY_M, first + MAX_STRAY_M)
        self.parameters["log_scales"].clamp_(scales + LOG_SCALE_RANGE[0], scales + LOG_SCALE_RANGE[1])

    def _learnt(self) -> dict[str, Tensor]:
        cameras = {"twists": self.rig.twists} if self.settings.pose else {}
        return {k: v for k, v in (self.parameters | cameras).items() if v.numel()}

    def _new_adam(self) -> torch.optim.Adam:
        groups = [{"params": [value], "name": name} for name, value in self._learnt().items()]
        return torch.optim.Adam(groups, lr=0.0, eps=1e-15, fused=True)

    def _unpool(self) -> None:
        """Adds Gaussians between distant neighbours; Adam begins anew."""
        means, source = fsgs.unpooled(self.parameters["means"].detach().numpy(), self.settings.max_gaussians)
        grown = {k: torch.cat([v.detach(), v.detach()[source]]) for k, v in self._gaussians().items()}
        for name in ("means", "first_means"):
            grown[name][len(grown[name]) - len(means) :] = torch.from_numpy(means)
        self._set_gaussians(grown)
        self.adam = self._new_adam()

    def _gaussians(self) -> dict[str, Tensor]:
        return self.parameters | self.fixed

    def _set_gaussians(self, values: dict[str, Tensor]) -> None:
        self.parameters = {k: values[k].clone().requires_grad_() for k in self.parameters}
        self.fixed = {k: values[k].clone() for k in self.fixed}

    def corrections(self) -> dict[str, Any]:
        """Returns JSON values: what was taken out of each camera's depth and colours, and the degree of colours."""
        cameras = zip(
            self._names,
            self._alignment.scale_errors,
            self._alignment.biases_m,
            np.exp(self._log_gains),
            strict=True,
        )
        return {
            "cameras": {
                name: {
                    "depth_scale": round(1 + float(scale), 5),
                    "depth_bias_mm": round(1000 * float(bias), 2),
                    "gains": [round(float(gain), 3) for gain in gains],
                }
                for name, scale, bias, gains in cameras
            },
            "colour_degree": self._first.sh_degree,
        }

    def state(self) -> dict[str, Tensor]:
        """Returns all that changes, by name; Adam's moments are called "adam.<what>.<parameter>"."""
        state = {k: v.detach() for k, v in (self._gaussians() | self._learnt()).items()}
        for name, value in self._learnt().items():
            state |= {f"adam.{what}.{name}": moment for what, moment in self.adam.state[value].items()}
        return state

    def restore(self, step: int, state: dict[str, Tensor]) -> int:
        """Continues from the `state` after `step` steps; returns that number, 0 for an empty state."""
        if not state:
            return 0
        self._set_gaussians(state)
        if "twists" in state:
            self.rig.twists = state["twists"].clone().requires_grad_()
        self.adam = self._new_adam()
        for name, value in self._learnt().items():
            self.adam.state[value] = {
                what: state[f"adam.{what}.{name}"].clone() for what in ("step", "exp_avg", "exp_avg_sq")
            }
        return step

    def scene(self) -> GaussianScene:
        """Returns the Gaussians in the order in which they came; grown ones follow."""
        values = {k: v.detach().numpy() for k, v in self._gaussians().items()}
        order = np.concatenate([np.argsort(self._order), np.arange(len(self._order), len(values["means"]))])
        return GaussianScene(
            values["means"][order],
            values["wxyz"][order],
            values["log_scales"][order],
            values["opacity_logits"][order],
            np.concatenate([values["sh"], values["sh_rest"]], axis=1)[order],
            values["labels"][order],
            self._first.antialiased,
        )
