"""A video holds the frames that were added, in order."""

import imageio.v3 as iio
import numpy as np

from h2rh_env.utils.video import VideoWriter


def test_lossless_grey_frames_come_back(tmp_path):
    rng = np.random.default_rng(0)
    frames = [np.repeat(rng.choice([0, 128, 255], (32, 48, 1)), 3, axis=2).astype(np.uint8) for _ in range(7)]
    with VideoWriter(tmp_path / "made" / "v.mp4", 48, 32, 10, ("-qp", "0")) as video:
        for frame in frames:
            video.add(frame)
    read = iio.imread(tmp_path / "made" / "v.mp4", plugin="FFMPEG").astype(int)
    assert read.shape == (7, 32, 48, 3)
    assert np.abs(read - np.stack(frames)).max() <= 2
