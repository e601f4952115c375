"""Pictures of episodes: films, strips of them, a sheet of strips, a video with policies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..benchmark.rollout import Episode, replay
from ..core.policy import Observation
from ..envs.handover import H2RHandoverEnv
from .verdicts import succeeded, verdict

Picture = npt.NDArray[np.uint8]
SHEET_COLUMNS, CLOSING_COLUMNS = 7, 3
ROOM, MOST_ENLARGED, BACKGROUND_NOISE = 0.15, 2.5, 8  # of what a strip shows; of 255
OUTLINES = ((0, (64, 255, 96)), (1, (255, 160, 32)))  # object green, hand orange


@dataclass(frozen=True, eq=False)
class Film:
    """An episode in pictures (H, W, 3).

    Attributes:
        frames: what the policy acted on, outlined.
        closing: what contact did then, seen from beside the gripper; empty where nothing was closed.
    """

    episode: Episode
    frames: tuple[Picture, ...]
    closing: tuple[Picture, ...] = ()


def film(env: H2RHandoverEnv, episode: Episode) -> Film:
    """Plays a recorded episode again, with outlines of object (green) and hand (orange)."""
    return Film(episode, tuple(outlined(seen) for seen in replay(env, episode)))


def outlined(observation: Observation) -> Picture:
    """The camera's image (H, W, 3) with outlines of object and hand."""
    image = observation["rgb"].copy()
    for channel, colour in OUTLINES:
        mask = observation["masks"][..., channel] > 0
        inner = mask.copy()
        inner[1:] &= mask[:-1]
        inner[:-1] &= mask[1:]
        inner[:, 1:] &= mask[:, :-1]
        inner[:, :-1] &= mask[:, 1:]
        image[mask & ~inner] = colour
    return image


def strip(shown: Film, scale: float = 0.75, columns: int = SHEET_COLUMNS) -> Picture:
    """Moments in a row, each cropped to what it shows, from the initial pose to the end of the shake if any."""
    tiles = []
    seen = columns - CLOSING_COLUMNS if shown.closing else columns
    for picture in (*_evenly(shown.frames, seen), *_evenly(shown.closing, columns - seen)):
        height, width = picture.shape[:2]
        image = Image.fromarray(cropped(picture)).resize((round(width * scale), round(height * scale)))
        tiles.append(np.asarray(image))
    return np.concatenate(tiles, axis=1)


def cropped(picture: Picture) -> Picture:
    """The part of a picture (H, W, 3) that is not its background, with some room, in the picture's own proportions.

    The background is what its corner shows. It is enlarged by no more than `MOST_ENLARGED`, so that far stays far.
    """
    height, width = picture.shape[:2]
    differs = (np.abs(picture.astype(int) - picture[0, 0]) > BACKGROUND_NOISE).any(axis=2)
    if not differs.any():
        return picture
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    share = (1 + ROOM) * max((np.ptp(rows) + 1) / height, (np.ptp(columns) + 1) / width)
    share = float(np.clip(share, 1 / MOST_ENLARGED, 1))
    high, wide = round(share * height), round(share * width)
    top = int(np.clip((rows[0] + rows[-1] + 1 - high) / 2, 0, height - high))
    left = int(np.clip((columns[0] + columns[-1] + 1 - wide) / 2, 0, width - wide))
    return picture[top : top + high, left : left + wide]


def _evenly(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """So many of the pictures, the first and the last among them."""
    if not count:
        return []
    return [pictures[i] for i in np.linspace(0, len(pictures) - 1, count).round().astype(int)]


def sheet(films: Sequence[Film]) -> Picture:
    """A strip per episode under a line of text."""
    return np.concatenate([_captioned(shown) for shown in films])


def _captioned(shown: Film) -> Picture:
    tiles = strip(shown)
    line = Image.new("RGB", (tiles.shape[1], 22), (24, 24, 28))
    draw = ImageDraw.Draw(line)
    draw.text(
        (6, 4), caption(shown.episode), fill=_verdict_colour(shown.episode), font=ImageFont.load_default(13)
    )
    return np.concatenate([np.asarray(line), tiles])


def caption(episode: Episode) -> str:
    s, r = episode.score, episode.record
    return f"{r.policy}  on  {episode.scene}:  {verdict(episode)},  {s.distance_m:.2f} m,  {s.steps} steps"


def _verdict_colour(episode: Episode) -> tuple[int, int, int]:
    return (120, 230, 120) if succeeded(episode) else (250, 130, 110)


def write_video(path: Path, films: Sequence[Film], fps: int = 8, hold: int = 6) -> None:
    """One MP4: the policies side by side, scene after scene; ended episodes hold their last frame."""
    by_start: dict[tuple[str, int], list[Film]] = {}
    for shown in films:
        record = shown.episode.record
        by_start.setdefault((shown.episode.scene, record.seed), []).append(shown)
    images: list[Picture] = []
    for group in by_start.values():
        length = max(len(shown.frames) + len(shown.closing) for shown in group) + hold
        images += [np.concatenate([_labelled(shown, t) for shown in group], axis=1) for t in range(length)]
    height, width = images[0].shape[:2]
    even = [image[: height - height % 2, : width - width % 2] for image in images]
    iio.imwrite(path, np.stack(even), fps=fps, codec="libx264", macro_block_size=2)


def _labelled(shown: Film, moment: int) -> Picture:
    pictures = (*shown.frames, *shown.closing)
    image = Image.fromarray(pictures[min(moment, len(pictures) - 1)])
    draw = ImageDraw.Draw(image)
    name = ImageFont.load_default(13)
    draw.text((5, 3), shown.episode.record.policy, fill=(255, 255, 255), font=name)
    draw.text((5, image.height - 18), shown.episode.scene, fill=(170, 170, 170), font=name)
    if moment >= len(pictures):
        draw.text((5, 19), verdict(shown.episode), fill=_verdict_colour(shown.episode), font=name)
    return np.asarray(image)
