"""Labels: what a report calls scenes, which are told apart by their content; a name may be there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..scenes.handover_scene import HandoverScene

SHOWN_HASH_DIGITS = 8


def scene_labels(scenes: Sequence[HandoverScene]) -> list[str]:
    """A label for each scene: its name, followed by the beginning of its content's hash where another has that name.

    Equal labels mean equal content. The labels depend on the scenes alone, not on their order.
    """
    contents: dict[str, set[str]] = {}
    shared = Counter(scene.name for scene in scenes)
    for scene in scenes:
        if shared[scene.name] > 1:
            contents.setdefault(scene.name, set()).add(scene.content_hash)
    return [
        f"{scene.name} ({scene.content_hash[:SHOWN_HASH_DIGITS]})"
        if len(contents.get(scene.name, ())) > 1
        else scene.name
        for scene in scenes
    ]
