"""Every command answers --help with units, and likely mistakes with one sentence and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "build": ["-m", "h2rh_env.build"],
    "collect": ["-m", "experts.collect"],
    "train": ["train.py"],
    "evaluate": ["evaluate.py"],
    "viewer": ["-m", "h2rh_env.viewer"],
    "onnx": ["-m", "policies.onnx.export"],
    "robot": ["-m", "real_robot"],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment
    )


def refusal(*arguments: str) -> str:
    """The one line that a command refuses its arguments with."""
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_command_explains_itself(command):
    done = run(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python {' '.join(command)} ")


def test_a_wrong_path_says_what_belongs_there(tmp_path):
    missing = str(tmp_path / "missing")
    assert "h2rh_env.build" in refusal("evaluate.py", "--scenes", missing, "--policy", "ibvs-mask")
    assert missing in refusal(*COMMANDS["build"], missing, "--out", str(tmp_path / "out"))
    assert missing in refusal("train.py", missing, "--out", str(tmp_path / "out"))
    assert "h2rh_env.build" in refusal(*COMMANDS["collect"], missing, "--out", str(tmp_path / "out"))


def test_an_unknown_policy_lists_the_known_ones():
    line = refusal("evaluate.py", "--policy", "learnt")
    assert all(name in line for name in ("expert", "learned", "ibvs-mask"))


def test_a_class_that_is_no_policy_names_the_missing_method():
    assert "act" in refusal("evaluate.py", "--policy", "pathlib:Path")


def test_a_missing_gpu_is_named():
    assert "GPU" in refusal("evaluate.py", "--policy", "ibvs-mask", "--rasteriser", "gsplat")


def test_a_corrupt_scene_is_named(tiny_scene, tmp_path):
    tiny_scene.save(tmp_path / "scene")
    ply = tmp_path / "scene" / "gaussians.ply"
    ply.write_bytes(ply.read_bytes()[:-100])
    assert "gaussians.ply" in refusal(
        "evaluate.py", "--scenes", str(tmp_path / "scene"), "--policy", "ibvs-mask"
    )


def test_a_corrupt_checkpoint_is_named(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"nonsense")
    (tmp_path / "config.json").write_text("{}")
    assert str(tmp_path) in refusal("evaluate.py", "--policy", str(tmp_path))


def test_a_policy_of_a_wrong_shape_is_told_the_right_one(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Short:\n"
        "    def reset(self, seed): pass\n"
        "    def act(self, observation): return np.zeros(6)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "(7,)" in refusal("evaluate.py", "--policy", "mine:Short", "--initial-poses", "1")


def test_a_strangers_policy_is_evaluated(tiny_scene, tmp_path, monkeypatch):
    tiny_scene.save(tmp_path / "scene")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Still:\n"
        "    def reset(self, seed): pass\n"
        "    def act(self, observation): return np.zeros(7, np.float32)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    scene, out = str(tmp_path / "scene"), str(tmp_path / "out")
    done = run(
        "evaluate.py", "--scenes", scene, "--policy", "mine:Still", "--initial-poses", "1", "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert "mine:Still" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_a_report_is_reproduced_from_itself_and_a_changed_one_is_not(tiny_scene, tmp_path):
    tiny_scene.save(tmp_path / "scene")
    scene, out = str(tmp_path / "scene"), tmp_path / "out"
    made = run(
        "evaluate.py", "--scenes", scene, "--policy", "ibvs-mask", "--initial-poses", "2", "--out", str(out)
    )
    assert made.returncode == 0, made.stderr
    again = run("evaluate.py", "--reproduce", str(out / "report.json"), "--workers", "2")
    assert again.returncode == 0, again.stderr
    assert "identical: 2 episodes" in again.stdout

    report = json.loads((out / "report.json").read_text())
    report["episodes"][1]["distance_m"] += 1e-9
    (out / "report.json").write_text(json.dumps(report))
    changed = run("evaluate.py", "--reproduce", str(out / "report.json"))
    assert changed.returncode == 1, changed.stderr
    assert "1 figures differ" in changed.stdout
    assert "episodes 1 distance_m" in changed.stdout


@pytest.mark.parametrize(
    ("option", "value"), [("--initial-poses", "0"), ("--seeds", "0"), ("--strengths", "1.5")]
)
def test_numbers_that_make_no_sense_are_refused(option, value):
    assert option in refusal("evaluate.py", option, value)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--segmenter", "labels"], "--segmenter has no effect without --target emulator"),
        (["--target", "emulator", "--suite", "table1"], "--suite has no effect with --target emulator"),
        (["--target", "emulator", "--starts", "3"], "--initial-poses has no effect with --target emulator"),
        (["--target", "emulator", "--giver", "moving"], "--giver has no effect with --target emulator"),
        (["--objects", "3"], "--objects has no effect without --suite unseen"),
        (["--strengths", "0.5"], "--strengths has no effect without --suite robust"),
        (["--reproduce", "r.json", "--seed", "3"], "--seed has no effect with --reproduce"),
    ],
)
def test_an_evaluation_refuses_what_it_would_ignore(arguments, reason):
    assert reason in refusal("evaluate.py", *arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--synthetic", "2", "--frame", "3"], "--frame has no effect with --synthetic"),
        (["--synthetic", "2", "--pose"], "--pose has no effect without --steps"),
        (["my_capture", "--synthetic", "2"], "there is a capture, my_capture, and --synthetic too"),
        (["my_capture", "--objects", "banana"], "--objects has no effect without --synthetic"),
        (["my_capture", "--steps", "0", "--method", "fsgs"], "--method has no effect without --steps"),
    ],
)
def test_a_build_refuses_what_it_would_ignore(arguments, reason):
    assert reason in refusal(*COMMANDS["build"], *arguments)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--algo", "ppo", "--epochs", "3"], "--epochs"),
        (["data", "--algo", "ppo"], "data"),
        (["data", "--warm-up", "3"], "--warm-up"),
    ],
)
def test_each_way_of_training_knows_its_own_options_only(arguments, option):
    done = run("train.py", *arguments)
    assert done.returncode == 2
    assert f"Unrecognized options: {option}" in done.stderr


def test_training_refuses_what_it_would_ignore():
    assert "--dagger-epochs has no effect" in refusal("train.py", "data", "--dagger-epochs", "3")
    assert "--warm-up has no effect" in refusal("train.py", "--algo", "ppo", "--warm-up", "3")


def test_an_episode_without_its_report_is_refused():
    assert "--episode has no effect without --report" in refusal(*COMMANDS["viewer"], "--episode", "3")
