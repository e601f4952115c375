"""The package's own names: all there, each the one of its module, and nothing heavy imported before it is used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import h2rh_env

HEAVY = {"torch", "numba", "matplotlib", "h5py", "mujoco", "scipy.stats", "tyro", "stable_baselines3"}
TREE = ast.parse(Path(h2rh_env.__file__).read_text())


def declared_to_type_checkers() -> dict[str, str]:
    """Each name under `if TYPE_CHECKING` with its module."""
    (block,) = (n for n in TREE.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    return {
        alias.name: statement.module or ""
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def imported_by(code: str) -> set[str]:
    line = f"{code}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert not imported_by("import h2rh_env") & HEAVY


def test_a_name_imports_its_module_when_it_is_used():
    assert "h2rh_env.envs.handover" not in imported_by("import h2rh_env; h2rh_env.SE3")
    assert "h2rh_env.envs.handover" in imported_by("import h2rh_env; h2rh_env.H2RHandoverEnv")


def test_type_checkers_are_told_the_same_names():
    assert sorted(declared_to_type_checkers()) == sorted(h2rh_env.__all__) == sorted(h2rh_env._MODULES)


@pytest.mark.parametrize(("name", "module"), declared_to_type_checkers().items())
def test_a_name_is_its_modules(name, module):
    place = importlib.import_module(f"h2rh_env.{module}")
    assert getattr(h2rh_env, name) is getattr(place, name)
    assert name in dir(h2rh_env)


def test_an_unknown_name_is_refused_as_any_modules():
    with pytest.raises(AttributeError, match="module 'h2rh_env' has no attribute 'make_rasterisr'"):
        h2rh_env.make_rasterisr  # noqa: B018


def test_both_spellings_are_one_function():
    assert h2rh_env.make_rasterizer is h2rh_env.make_rasteriser


def test_the_render_of_the_docstring_runs():
    code = (ast.get_docstring(TREE) or "").split("\n\n    ", 1)[1].replace("\n    ", "\n")
    namespace: dict = {}
    exec(code, namespace)
    assert namespace["rgb"].shape == (168, 224, 3)
    assert np.ptp(namespace["rgb"]) > 0.5
