"""Trains the built-in segmenter on invented captures, and measures it on captures whose labels are known.

    python -m real_robot.segmentation.train --take-minutes 8 --minutes 24
    python -m real_robot.segmentation.train --captures my_captures

Handovers are staged by the generator and photographed from where a hand-eye camera would be and from around; their
pictures are kept in a folder, so that more can be added and training be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from h2rh_env.captures.load import load_capture
from h2rh_env.core.errors import CaptureError
from h2rh_env.core.labels import Label
from h2rh_env.utils import cli

from .augmentation import Sample, changed
from .network import WEIGHTS, WHAT_PX, WHERE_PX, NetworkSegmenter, SegmenterNetwork, what_input, where_input
from .training_images import Pictures, take_pictures

SHARES = {"where": 0.2, "what": 0.8}  # of the time
BATCH, RATE = 16, 2e-3
CLASS_WEIGHTS = (0.7, 1.5, 1.3)  # background, object, hand
CUT_CHANCE = 0.3  # of a picture whose arm is cut off, against one that shows the hand's end at the wrist
MEMORY = 0.998  # of the mean over the weights of past steps, which is what is kept
MIDDLE_OFF_M = 0.03  # by which the first net misjudges how far what is held is


@dataclass(frozen=True)
class Train:
    """GraspExecution pictures, training and measuring, each within a budget of processor time."""

    take_minutes: float = 0.0
    """Processor time for pictures, added to those in the folder; another seed takes others."""
    minutes: float = 0.0
    """Processor time for training on every picture in the folder; 0 trains nothing."""
    pictures: Path = Path("segmenter_pictures")
    """Folder of the pictures."""
    seed: int = 0
    """Seed of the staged handovers and of the training."""
    captures: Path | None = None
    """Folder of labelled captures, searched for everything that can be loaded, to measure on."""
    initial: Path | None = None
    """Weights to go on from."""
    nets: tuple[Literal["where", "what"], ...] = ("where", "what")
    """Which net to train: the one that finds what is held, or the one that tells object from hand, or both."""
    out: Path = WEIGHTS
    """File of the weights."""


def main(command: Train) -> None:
    torch.manual_seed(command.seed)
    if command.take_minutes > 0:
        taken = take_pictures(command.seed, 60 * command.take_minutes)
        taken.save(command.pictures / f"pictures-{command.seed}.npz")
        print(f"{len(taken)} pictures taken", flush=True)
    if command.minutes > 0:
        pictures = Pictures.load(command.pictures)
        print(f"training on {len(pictures)} pictures", flush=True)
        train(pictures, 60 * command.minutes, command.seed, command.initial, command.out, command.nets)
    if command.captures is not None:
        segmenter = NetworkSegmenter(command.out)
        for with_depth in (True, False):
            object_iou, hand_iou, count = measure(segmenter, command.captures, with_depth)
            kind = "with depth" if with_depth else "colour alone"
            print(f"IoU on {count} images, {kind}: object {object_iou:.3f}, hand {hand_iou:.3f}")


def train(
    pictures: Pictures,
    seconds: float,
    seed: int,
    initial: Path | None,
    out: Path,
    nets: Sequence[str] = tuple(SHARES),
) -> None:
    """Trains the nets for the processor time given in all, and saves both with half their bits."""
    network = SegmenterNetwork()
    if initial is not None:
        network.load_state_dict(load_file(initial))
    for net in nets:
        close, share = net == "what", SHARES[net] / sum(SHARES[name] for name in nets)
        fit(
            getattr(network, net),
            pictures.of(close),
            close,
            share * seconds,
            np.random.default_rng([seed, close]),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: _stored(value) for name, value in network.state_dict().items()}, out)


def fit(
    net: torch.nn.Module, pictures: Pictures, close: bool, seconds: float, rng: np.random.Generator
) -> None:
    """Trains a net for the processor time given, with a rate that falls to nothing; it ends with its mean weights.

    Args:
        close: whether it is the net that sees windows.
    """
    net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-3)
    mean = {name: value.clone() for name, value in net.state_dict().items()}
    began, losses = time.process_time(), []
    while (done := (time.process_time() - began) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, 20 * done + 0.05) * 0.5 * (1 + np.cos(np.pi * done))
        images, labels = _batch(pictures, close, rng)
        with torch.autocast("cpu", torch.bfloat16):
            scores = net(images)
        loss = loss_of(scores.float(), labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
        _remember(mean, net.state_dict(), min(MEMORY, 1 - 1 / len(losses)))
        if len(losses) % 100 == 0:
            name = "what" if close else "where"
            print(
                f"{name} {100 * done:3.0f} %  step {len(losses)}  loss {np.mean(losses[-100:]):.3f}",
                flush=True,
            )
    net.load_state_dict(mean)


def loss_of(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, plus what object and hand lack of a full (soft) Dice score.

    Args:
        scores: (B, 3, h, w), enlarged to the labels' size.
        labels: (B, H, W) int64.
    """
    fine = functional.interpolate(scores, size=labels.shape[1:], mode="bilinear", align_corners=False)
    parts = fine.softmax(dim=1)[:, 1:]
    truth = functional.one_hot(labels, len(Label)).movedim(3, 1)[:, 1:]
    overlap, total = (parts * truth).sum(dim=(0, 2, 3)), (parts + truth).sum(dim=(0, 2, 3))
    dice = (2 * overlap + 1) / (total + 1)
    return functional.cross_entropy(fine, labels, torch.tensor(CLASS_WEIGHTS)) + (1 - dice).mean()


def _stored(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous()


def _remember(mean: dict[str, Tensor], now: dict[str, Tensor], memory: float) -> None:
    for name, value in now.items():
        if value.is_floating_point():
            mean[name].lerp_(value, 1 - memory)
        else:
            mean[name].copy_(value)


def _batch(pictures: Pictures, close: bool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Inputs (B, 5, H, W) and labels (B, H, W), each picture changed at random."""
    images, labels = [], []
    chance = np.where(pictures.cut, CUT_CHANCE, 1.0)
    for number in rng.choice(len(pictures), BATCH, p=chance / chance.sum()):
        sample = changed(pictures, int(number), WHAT_PX if close else WHERE_PX, rng)
        images.append(_input(sample, close, rng))
        labels.append(torch.from_numpy(sample.labels.astype(np.int64)))
    return torch.stack(images).contiguous(memory_format=torch.channels_last), torch.stack(labels)


def _input(sample: Sample, close: bool, rng: np.random.Generator) -> Tensor:
    rgb = sample.rgb.astype(np.uint8)
    if not close:
        return where_input(rgb, sample.depth)
    held = sample.depth[(sample.labels > 0) & (sample.depth > 0)]
    middle = float(np.median(held)) + rng.normal(0, MIDDLE_OFF_M) if len(held) else 0.0
    return what_input(rgb, sample.depth, max(0.0, middle))


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
