"""The examples run, are short, and do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from h2rh_env.benchmark.evaluation import evaluate
from h2rh_env.core.geometry import SE3
from h2rh_env.grasps.selection import select_grasp
from h2rh_env.scenes.handover_scene import SHIPPED_SCENES, HandoverScene
from policies.registry import make_policy

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / arguments[0]), *arguments[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def gelatin_box() -> HandoverScene:
    return HandoverScene.load(SHIPPED_SCENES / "gelatin_box-00418")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_page_of_sixty_lines_at_most_that_says_what_to_type(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert "python" in text.split('"""')[1]


def test_the_loop_is_the_readmes():
    code = (ROOT / "examples" / "loop.py").read_text().split('"""')[2].strip()
    first = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert first is not None
    assert code == first[1].strip()


def test_the_first_image_is_the_readmes_and_shows_object_and_hand():
    code = (ROOT / "examples" / "render.py").read_text().split('"""')[2].strip()
    assert f"```python\n{code}\n```" in (ROOT / "README.md").read_text()
    namespace: dict = {}
    exec(code, namespace)
    image = namespace["image"]
    assert image.shape == (168, 224, 3)
    assert image.std() > 0.05


def test_the_policy_ranges_what_it_approaches(gelatin_box):
    policy = make_policy("examples.own_policy:RangeByGrowth")
    episodes = evaluate({"mine": policy}, [gelatin_box], initial_poses=4, seed=0)["mine"]
    assert all(episode.score.declared and episode.score.centred for episode in episodes)
    assert np.mean([abs(episode.score.distance_m - 0.4) for episode in episodes]) < 0.06


def test_the_proposer_has_a_grasp_that_is_safe_for_the_hand():
    from examples.own_proposer import AcrossTheLongAxis

    scene = HandoverScene.load(SHIPPED_SCENES / "banana-00408")
    candidates = AcrossTheLongAxis().propose(scene.object_points, np.random.default_rng(0))
    assert len(candidates) > 100
    chosen = select_grasp(candidates, scene.object_points, scene.hand_points)
    assert chosen.graspable
    for candidate in candidates[::50]:
        SE3.from_matrix(candidate.scene_from_grasp.matrix)  # a rotation, or it raises


def test_the_capture_is_sound_and_metric(tmp_path):
    from h2rh_env.captures.check import check
    from h2rh_env.captures.load import load_capture

    assert "8 cameras" in run(tmp_path, "own_capture.py", "mine")
    assert check(tmp_path / "mine") == []
    assert load_capture(tmp_path / "mine").object_name == "bottle"


def test_the_object_is_held(tmp_path):
    from h2rh_env.captures.synthetic.generate import generate_capture
    from h2rh_env.core.labels import Label

    run(tmp_path, "own_object.py", "torch.ply")
    capture = generate_capture(0, str(tmp_path / "torch.ply"))
    seen = [{int(label) for label in np.unique(view.labels)} for view in capture.views]
    assert any({Label.OBJECT, Label.HAND} <= labels for labels in seen)


def test_stable_baselines3_learns_a_file_that_acts(tmp_path, gelatin_box):
    run(tmp_path, "sb3_training.py", "--steps", "32", "--out", "model.zip")
    policy = make_policy(str(tmp_path / "model.zip"))
    (episode,) = evaluate({"sb3": policy}, [gelatin_box], initial_poses=1, seed=0)["sb3"]
    assert 0 <= episode.score.steps <= 30


def test_an_arm_of_ones_own_takes_the_object(monkeypatch, capsys):
    from examples.rehearsal import RehearsalConfig, main

    main(RehearsalConfig("expert", "examples.own_robot:MyArm", SHIPPED_SCENES / "gelatin_box-00418"))
    assert "handed over" in capsys.readouterr().out


def test_a_film_shows_the_way_and_the_closing(tmp_path):
    from PIL import Image

    printed = run(
        tmp_path, "film.py", "--scene", "gelatin_box-00418", "--policy", "expert", "--out", "a.webp"
    )
    with Image.open(tmp_path / "a.webp") as moving:
        assert moving.size == (448, 336)
        assert moving.n_frames > 20
        corners = []
        for frame in (0, moving.n_frames - 1):
            moving.seek(frame)
            corners.append(moving.convert("RGB").getpixel((2, 2)))
    assert printed.startswith("a.webp: ")
    assert max(corners[0]) < 10  # what the camera sees lies on black, the closing on grey
    assert min(corners[1]) > 20
