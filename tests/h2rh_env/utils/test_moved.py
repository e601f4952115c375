"""Importing a module by an old name says where it is now."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from h2rh_env.utils.moved import DIVIDED, answer_old_names, new_places

PLACES = new_places()


@pytest.mark.parametrize(("old", "new"), PLACES.items())
def test_an_old_name_answers_with_a_module_that_is_there(old, new):
    with pytest.raises(ModuleNotFoundError, match=rf"{old} has moved to {new}$") as caught:
        importlib.import_module(old)
    assert caught.value.name == old
    assert importlib.util.find_spec(new) is not None


@pytest.mark.parametrize("old", DIVIDED)
def test_a_divided_module_names_its_parts(old):
    with pytest.raises(ModuleNotFoundError, match=r"h2rh_env\.core: labels, action, spaces"):
        importlib.import_module(old)


def test_another_name_is_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'h2rh_env\.no_such_thing'"):
        importlib.import_module("h2rh_env.no_such_thing")


def test_the_finder_is_there_once():
    answer_old_names()
    answer_old_names()
    assert [type(finder).__name__ for finder in sys.meta_path].count("MovedModules") == 1


@pytest.mark.parametrize("package", ["policies.servo", "experts.statistics", "real_robot.ur5"])
def test_a_package_answers_before_the_environment_was_imported(package):
    done = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, text=True)
    assert f"ModuleNotFoundError: {package} has moved to {PLACES[package]}" in done.stderr


def test_a_command_by_its_old_name_names_the_new_one():
    done = subprocess.run([sys.executable, "-m", "h2rh_env.lerobot"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "h2rh_env.lerobot has moved to h2rh_env.datasets.lerobot" in done.stderr
