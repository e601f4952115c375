"""The console command `h2rh`: each subcommand is one of the project's commands under a short name."""

from __future__ import annotations

import ast
import importlib.util
import runpy
import sys
from pathlib import Path

from .. import __version__
from . import cli

HELP = {"-h", "--help"}

COMMANDS = {
    "import": "h2rh_env.captures.importers",
    "check": "h2rh_env.captures.check",
    "record": "real_robot.recording",
    "calibrate rig": "real_robot.calibration.calibrate_rig",
    "masks": "real_robot.masks",
    "build": "h2rh_env.build",
    "view": "h2rh_env.viewer",
    "collect": "experts.collect",
    "inspect statistics": "experts.inspect.statistics",
    "inspect preview": "experts.inspect.preview",
    "inspect figure": "experts.inspect.figure",
    "prepare": "policies.training.streaming.prepare",
    "train": "train",
    "train-grasping": "policies.grasping",
    "evaluate": "evaluate",
    "export onnx": "policies.onnx.export",
    "export lerobot": "h2rh_env.datasets.lerobot",
    "robot": "real_robot",
}


def main() -> None:
    """Runs the module that the first words of the command line name, with the rest as its arguments."""
    words = sys.argv[1:]
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in COMMANDS:
            _run(name, words[count:])
            return
    _explain(words)


def _run(name: str, arguments: list[str]) -> None:
    sys.argv = [f"h2rh {name}", *arguments]
    cli.AS_TYPED.set(f"h2rh {name}")
    runpy.run_module(COMMANDS[name], run_name="__main__", alter_sys=True)


def _explain(words: list[str]) -> None:
    """Prints the version or lists the commands; words that are no command are an error."""
    if words == ["--version"]:
        print(__version__)
        return
    family = {name: module for name, module in COMMANDS.items() if words and name.split()[0] == words[0]}
    lines = [f"  {name:<20}{_first_line(module)}" for name, module in (family or COMMANDS).items()]
    usage = "\n".join(
        ["usage: h2rh COMMAND [ARGUMENTS]; h2rh COMMAND --help shows the arguments.", "", *lines]
    )
    if not words or words[0] in HELP or (family and words[1:2] and words[1] in HELP):
        print(usage)
        return
    print(f"error: {' '.join(words[:2])!r} is not a command of h2rh\n{usage}", file=sys.stderr)
    sys.exit(cli.USER_ERROR)


def _first_line(module: str) -> str:
    """Returns the first line of a module's docstring without importing it: some import torch."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    assert spec is not None
    assert spec.origin is not None
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or "").partition("\n")[0]
