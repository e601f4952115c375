"""Your own capture: what your cameras saw, as a plain folder that everything else reads.

    python examples/own_capture.py my_capture
    python -m h2rh_env.captures.check my_capture
    python -m h2rh_env.build my_capture --out scenes/mine

Replace `photographs` with your recorder. Here, the generator of synthetic captures stands in for the cameras.
"""

import sys

import numpy as np

from h2rh_env import SE3, HandoverCapture, PinholeCamera, RgbdView, generate_capture, write_folder


def photographs():
    """Yields for each camera its name, colour, depth in counts of 1 mm, mask, OpenCV's K and solvePnP's extrinsics.

    Colour is (H, W, 3) uint8 and undistorted; depth (H, W) uint16, aligned to it, 0 where nothing was measured; the
    mask (H, W) uint8 has 0 for background, 1 for the object, 2 for the hand.
    """
    for view in generate_capture(seed=7, object_name="mustard_bottle").views:
        counts = np.round(view.depth_m * 1000).astype(np.uint16)
        k = view.camera.opencv_matrix
        yield view.name, view.rgb, counts, view.labels, k, view.world_from_camera.inverse().matrix


def to_view(name, rgb, depth_counts, mask, k, camera_from_world):
    """Converts the images of one camera to the conventions of this project."""
    height, width = mask.shape
    camera = PinholeCamera.from_opencv(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    world_from_camera = SE3.from_matrix(camera_from_world).inverse()  # metres, z up
    return RgbdView(name, camera, world_from_camera, rgb, depth_counts.astype(np.float32) / 1000, mask)


def main(folder):
    views = tuple(to_view(*photograph) for photograph in photographs())
    write_folder(HandoverCapture("mine", views, object_name="bottle"), folder)
    print(f"{folder}: {len(views)} cameras")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "my_capture")
