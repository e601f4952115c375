"""Episodes as a picture that moves: what the camera on the gripper sees, then the closing, seen from beside.

python examples/film.py --scene power_drill-00409 --out handover.webp
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from h2rh_env import H2RHandoverEnv, SceneError, evaluate, load_scenes, make_rasteriser
from h2rh_env.contact.conditions import BENCHMARK_CONDITIONS
from h2rh_env.report.closing import closing_pictures
from h2rh_env.report.pictures import film
from h2rh_env.utils import cli
from policies.registry import make_policy

FRAME_MS, CLOSING_MS, HOLD_MS = 120, 240, 1200


@dataclass(frozen=True)
class FilmConfig:
    """Which episodes to show, one after the other."""

    scene: tuple[str, ...] = ("power_drill-00409",)
    """Names of scenes that ship."""
    policy: str = "learned"
    """The policy that acts, by its name or as module:Class."""
    seed: int = 0
    """Seed of the initial poses and of contact."""
    out: Path = Path("handover.webp")
    """The picture to write."""


def main(config: FilmConfig) -> None:
    scenes = {scene.name: scene for scene in load_scenes()}
    if unknown := set(config.scene) - scenes.keys():
        raise SceneError(f"no scene is called {', '.join(sorted(unknown))}; there are {', '.join(scenes)}")
    images, times_ms = [], []
    for scene in (scenes[name] for name in config.scene):
        run = evaluate({"it": make_policy(config.policy)}, [scene], 1, config.seed)["it"]
        seen = film(H2RHandoverEnv([scene]), run[0]).frames
        closing = closing_pictures(scene, run[0], BENCHMARK_CONDITIONS, make_rasteriser())
        images += [Image.fromarray(picture).resize((448, 336)) for picture in (*seen, *closing)]
        times_ms += [FRAME_MS] * len(seen) + [CLOSING_MS] * len(closing)
        times_ms[-1] = HOLD_MS
    images[0].save(config.out, save_all=True, append_images=images[1:], duration=times_ms, loop=0)
    print(f"{config.out}: {len(images)} pictures, {config.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    cli.run(main, FilmConfig, __doc__)
