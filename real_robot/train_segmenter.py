"""Trains the built-in segmenter on invented captures, and measures it on captures whose labels are known.

    python -m real_robot.train_segmenter --minutes 15
    python -m real_robot.train_segmenter --minutes 0 --captures my_captures

Handovers are staged by the generator, photographed from where a hand-eye camera would be and from around, in front
of their own room, another one, or nothing; a third of the pictures come without depth.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch.nn import functional

from h2rh_env import cli
from h2rh_env.camera import HAND_EYE_CAMERA
from h2rh_env.captures.load import load_capture
from h2rh_env.captures.synthetic.generate import stage
from h2rh_env.captures.synthetic.rig import RigCamera
from h2rh_env.captures.synthetic.sensor import photograph
from h2rh_env.errors import CaptureError
from h2rh_env.geometry import SE3, look_at, rotation_from_euler_xyz, uniform_directions
from h2rh_env.interface import Label

from .segmenter_network import WEIGHTS, NetworkSegmenter, SegmenterNetwork, network_input

PICTURES_PER_STAGE = 16
STAGING_SHARE = 0.3  # of the time
BATCH, RATE = 16, 3e-3
CLASS_WEIGHTS = (0.6, 1.6, 1.2)  # background, object, hand
BRIGHTNESS = 0.23  # linear, of a picture's middle after exposure
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Train:
    """Staging, training and measuring within a budget of processor time."""

    minutes: float = 15.0
    """Processor time; 0 only measures."""
    seed: int = 0
    """Of the staged handovers and the training."""
    captures: Path | None = None
    """Folder of labelled captures, searched for everything that can be loaded, to measure on."""
    initial: Path | None = None
    """Weights to go on from."""
    out: Path = WEIGHTS
    """File of the weights."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """rgb (N, H, W, 3) uint8, depth_m (N, H, W) float16, labels (N, H, W) uint8."""

    rgb: Images
    depth_m: npt.NDArray[np.float16]
    labels: Images


def main(command: Train) -> None:
    torch.manual_seed(command.seed)
    if command.minutes > 0:
        pictures = take_pictures(command.seed, 60 * STAGING_SHARE * command.minutes)
        print(f"{len(pictures.rgb)} pictures", flush=True)
        fit(pictures, 60 * (1 - STAGING_SHARE) * command.minutes, command.seed, command.initial, command.out)
    if command.captures is not None:
        segmenter = NetworkSegmenter(command.out)
        for with_depth in (True, False):
            object_iou, hand_iou, count = measure(segmenter, command.captures, with_depth)
            kind = "with depth" if with_depth else "colour alone"
            print(f"IoU on {count} images, {kind}: object {object_iou:.3f}, hand {hand_iou:.3f}")


def take_pictures(seed: int, seconds: float) -> Pictures:
    """As many as fit into the processor time."""
    taken: list[tuple[Images, npt.NDArray[np.float16], Images]] = []
    deadline, number = time.process_time() + seconds, 0
    while time.process_time() < deadline or len(taken) < BATCH:
        number += 1
        rng = np.random.default_rng([seed, number])
        try:
            taken += _photographed(int(rng.integers(1 << 31)), rng)
        except CaptureError:  # this object does not go into this hand
            continue
    return Pictures(*(np.stack(part) for part in zip(*taken, strict=True)))


def _photographed(
    seed: int, rng: np.random.Generator
) -> Iterator[tuple[Images, npt.NDArray[np.float16], Images]]:
    scene = stage(seed)
    centre = scene.object_mesh.vertices.mean(axis=0)
    for k in range(PICTURES_PER_STAGE):
        if k % 4:
            world_from_camera = _hand_eye(centre, rng)
        else:
            world_from_camera = scene.rig[rng.integers(len(scene.rig))].world_from_camera
        camera = RigCamera(
            "hand-eye", HAND_EYE_CAMERA, world_from_camera, 1.0, np.exp(rng.normal(0, 0.06, 3))
        )
        picture = scene.studio.picture(HAND_EYE_CAMERA, world_from_camera)
        if not (picture.labels == Label.OBJECT).any():
            continue
        middle = float(np.percentile(picture.linear.mean(axis=2), 60))
        exposure = np.full(3, BRIGHTNESS * np.exp(rng.normal(0, 0.35)) / max(middle, 1e-3))
        view = photograph(picture, exposure, camera, rng)
        yield view.rgb, view.depth_m.astype(np.float16), view.labels


def _hand_eye(centre: npt.NDArray[np.float64], rng: np.random.Generator) -> SE3:
    """Above the table, 0.3 to 1.1 m from the object, looking more or less at it."""
    away = uniform_directions(rng, 1)[0]
    away[2] = abs(away[2]) if centre[2] < 0.3 else max(away[2], -0.3)
    seen = look_at(centre + rng.uniform(0.3, 1.1) * away / np.linalg.norm(away), centre)
    shaken = rotation_from_euler_xyz(np.array([*rng.normal(0, 0.12, 2), rng.normal(0, 0.4)]))
    return seen @ SE3(shaken, np.zeros(3))


def fit(pictures: Pictures, seconds: float, seed: int, initial: Path | None, out: Path) -> None:
    """Trains for the processor time given, with a rate that falls to nothing, and saves the weights."""
    rng, network = np.random.default_rng(seed), SegmenterNetwork()
    if initial is not None:
        network.load_state_dict(load_file(initial))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    weights, began, losses = torch.tensor(CLASS_WEIGHTS), time.process_time(), []
    while (done := (time.process_time() - began) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, 20 * done + 0.05) * 0.5 * (1 + np.cos(np.pi * done))
        images, labels = _batch(pictures, rng)
        loss = functional.cross_entropy(network(images), labels, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if len(losses) % 50 == 0:
            print(f"{100 * done:3.0f} %  step {len(losses)}  loss {np.mean(losses[-50:]):.3f}", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), out)


def _batch(pictures: Pictures, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (B, 4, H, W) and labels (B, H/2, W/2), each picture changed at random."""
    images, labels = [], []
    for number, other in rng.integers(len(pictures.rgb), size=(BATCH, 2)):
        rgb, depth = pictures.rgb[number].astype(np.float32), pictures.depth_m[number].astype(np.float32)
        label = pictures.labels[number]
        rgb, depth = _another_background(rgb, depth, label, pictures, other, rng)
        rgb = rgb * np.exp(rng.normal(0, 0.15, 3)) * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 8)
        if rng.random() < 0.3:
            rgb = ndimage.gaussian_filter(rgb, (*[rng.uniform(0.3, 1.5)] * 2, 0))
        if rng.random() < 0.33:
            depth = np.zeros_like(depth)
        if rng.random() < 0.5:
            rgb, depth, label = rgb[:, ::-1], depth[:, ::-1], label[:, ::-1]
        images.append(network_input(np.clip(rgb, 0, 255).astype(np.uint8), depth))
        labels.append(torch.from_numpy(label[::2, ::2].astype(np.int64)))
    return torch.stack(images), torch.stack(labels)


def _another_background(
    rgb: npt.NDArray[np.float32], depth: npt.NDArray[np.float32], label: Images, pictures: Pictures, other: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:  # fmt: skip
    """Half of the pictures keep theirs; the others get another one's, a plain colour, or black without depth."""
    kind, behind = rng.random(), (label == Label.BACKGROUND)
    if kind < 0.5:
        return rgb, depth
    if kind < 0.75:
        elsewhere = pictures.labels[other] == Label.BACKGROUND
        use = behind & elsewhere
        rgb = np.where(use[..., None], pictures.rgb[other], rgb)
        return rgb, np.where(use, np.maximum(pictures.depth_m[other], depth), depth).astype(np.float32)
    colour = np.zeros(3) if kind < 0.85 else rng.uniform(0, 255, 3)
    far = 0.0 if kind < 0.85 else float(depth.max()) + 0.2
    rgb = np.where(behind[..., None], colour + rng.normal(0, 3, rgb.shape), rgb)
    return rgb.astype(np.float32), np.where(behind, np.float32(far), depth)


def measure(segmenter: NetworkSegmenter, folder: Path, with_depth: bool) -> tuple[float, float, int]:
    """IoU of object and of hand over all pixels of every image below a folder, and how many images."""
    both, either, count = np.zeros(3), np.zeros(3), 0
    for path in [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]:
        try:
            capture = load_capture(path)
        except CaptureError:
            continue
        for view in capture.views:
            depth = view.depth_m if with_depth else np.zeros_like(view.depth_m)
            found = segmenter.labels(view.rgb, depth)
            for part in (Label.OBJECT, Label.HAND):
                both[part] += ((found == part) & (view.labels == part)).sum()
                either[part] += ((found == part) | (view.labels == part)).sum()
            count += 1
    iou = both / np.maximum(either, 1)
    return float(iou[Label.OBJECT]), float(iou[Label.HAND]), count


if __name__ == "__main__":
    cli.run(main, Train, __doc__)
