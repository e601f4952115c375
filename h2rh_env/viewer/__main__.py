"""Shows scenes and the episodes of a report in the browser.

    python -m h2rh_env.viewer scenes/mine
    python -m h2rh_env.viewer --report results/latest --episode 87

A report names the command that opens each of its failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Annotated

import tyro

from ..benchmark.labels import scene_labels
from ..benchmark.rollout import Episode
from ..benchmark.suites import make_suite
from ..core.errors import HandoverError, MissingPackageError, install_line
from ..envs.handover import H2RHandoverEnv
from ..rendering.select import make_rasteriser
from ..report.records import read_episodes, read_report
from ..report.verdicts import succeeded
from ..scenes.handover_scene import HandoverScene, load_scenes
from ..utils import cli

if TYPE_CHECKING:
    import viser


@dataclass(frozen=True)
class ViewerConfig:
    """Options of the command: what to show, and where the page is served."""

    scene: Annotated[Path | None, tyro.conf.Positional] = None
    """A scene folder, or a folder of scene folders. The default is the report's scenes, or without --report those
    that ship with the package."""
    report: Path | None = None
    """Folder of a report, whose episodes can then be stepped through."""
    episode: int | None = None
    """Number of the report's episode to open, as report.json counts them. The default is its first failure."""
    host: str = "localhost"
    """Address to listen at. With 0.0.0.0, other machines can connect."""
    port: int = 8080
    """Port to listen at. If it is taken, the next free one is used."""

    def __post_init__(self) -> None:
        if self.report is None:
            cli.refuse_ignored(self, ("episode",), "without --report")


def serve(config: ViewerConfig) -> viser.ViserServer:
    """Starts the server and returns; it runs in its own thread.

    Raises:
        MissingPackageError: The extra `view` is not installed.
        HandoverError: There is no such scene, report or episode.
    """
    scenes, episodes, giver = _load(config)
    try:
        import viser
    except ImportError:
        raise MissingPackageError(f"the viewer needs viser: {install_line('view')}") from None
    from .episodes import EpisodePanel
    from .scene_view import SceneView

    server = viser.ViserServer(config.host, config.port, label="H2R handover", verbose=False)
    server.scene.set_up_direction("+z")
    server.gui.configure_theme(control_width="large", show_share_button=False)
    lock = RLock()
    view = SceneView(server, scenes, make_rasteriser(), lock)
    if episodes:
        first_failure = next((i for i, e in enumerate(episodes) if not succeeded(e)), 0)
        panel = EpisodePanel(server, view, H2RHandoverEnv(scenes, giver=giver), episodes, lock)
        panel.show(first_failure if config.episode is None else config.episode)
    return server


def _load(config: ViewerConfig) -> tuple[list[HandoverScene], list[Episode], str]:
    """Loads scenes, a report's episodes, and how its giver behaved."""
    if config.report is None:
        return load_scenes(config.scene), [], "still"
    report, episodes = read_report(config.report), read_episodes(config.report)
    if config.episode is not None and not 0 <= config.episode < len(episodes):
        raise HandoverError(f"--episode is {config.episode}; {config.report} has 0 to {len(episodes) - 1}")
    settings = report["settings"]
    folder = config.scene or (Path(settings["scenes"]) if settings.get("scenes") else None)
    scenes = make_suite(settings.get("suite", "scenes"), folder, len(report["scenes"])).scenes
    held = {label: s.scene_hash for label, s in zip(scene_labels(scenes), scenes, strict=True)}
    for name, wanted in report["scenes"].items():
        if held.get(name) != wanted:
            met = f"has hash {held[name][:12]}" if name in held else "is not there"
            raise HandoverError(
                f"{config.report} was made in scene {name!r} with hash {wanted[:12]}; it {met}"
            )
    return scenes, episodes, settings.get("giver", "still")


def main(config: ViewerConfig) -> None:
    server = serve(config)
    print(f"open http://{server.get_host()}:{server.get_port()} in a browser; Ctrl-C ends")
    server.sleep_forever()


if __name__ == "__main__":
    cli.run(main, ViewerConfig, __doc__)
