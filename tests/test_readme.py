"""The README tells the truth: its code runs and what it names exists."""

import importlib.util
import re
from pathlib import Path

import pytest

from h2rh_env.utils.commands import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_screen_is_a_sentence_a_picture_four_points_a_command_and_eight_lines():
    assert "pip install -c constraints.txt -e . && python evaluate.py\n" in blocks("bash")[0]
    assert 'pip install -c constraints.txt -e ".[test]" && pytest\n' in blocks("bash")[1]
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert (ROOT / picture).exists()
    first = README.partition("## ")[0]
    assert len(re.findall(r"^- ", first, re.MULTILINE)) == 4
    assert len(blocks("python")[0].strip().splitlines()) == 9  # with the blank line after the imports
    assert "| policy |" in first


def test_the_citation_is_that_of_the_citation_file():
    citation = (ROOT / "CITATION.cff").read_text()
    (bibtex,) = blocks("bibtex")
    for pattern in (r"title += \{(.+)\}", r"arXiv:[0-9.]+", r"author += \{(\w+),"):
        found = re.search(pattern, bibtex)
        assert found is not None
        assert (found[1] if found.groups() else found[0]) in citation


def test_every_short_name_is_a_command():
    for name in re.findall(r"`h2rh ([a-z ]+)`", README):
        assert any(f"{command} ".startswith(f"{name} ") for command in COMMANDS), name


def test_the_loop_runs_as_written():
    namespace: dict = {}
    exec(blocks("python")[0], namespace)
    assert namespace["env"].observation_space.contains(namespace["observation"])


def test_the_example_policy_acts(tiny_scene):
    from h2rh_env.benchmark.evaluation import evaluate

    namespace: dict = {}
    exec(next(code for code in blocks("python") if "class MyPolicy" in code), namespace)
    (episode,) = evaluate({"mine": namespace["MyPolicy"]()}, [tiny_scene], initial_poses=1, seed=0)["mine"]
    assert episode.score.steps == 30


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([a-z_0-9.]+)", README))))
def test_every_module_named_can_be_run(module):
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z0-9_./]+(?:\.py|/))`", README))))
def test_every_file_named_exists(path):
    assert (ROOT / path).exists()
