"""A first image: a scene that ships, seen from where no camera stood. Run: python examples/render.py"""

import h2rh_env as h2rh

scene = h2rh.load_scenes()[0]
scene_from_camera = h2rh.look_at(scene.object_centre + [0.5, 0, 0.2], scene.object_centre)
image = h2rh.make_rasteriser().render(scene.gaussians, h2rh.HAND_EYE_CAMERA, scene_from_camera).rgb
