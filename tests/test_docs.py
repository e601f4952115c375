"""The documentation tells the truth: each code block of README and docs runs, or at least could be typed.

A comment before a block says what is done with it:

    <!-- not run: needs an arm -->           its arguments are checked all the same
    <!-- run with: --initial-poses 1 --steps 20 --> smaller, for the commands that have these options
"""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
import tyro

from docs.draw_architecture import PLACES, check_tree
from docs.site_hooks import HELP, ROOT, help_of, run_python
from h2rh_env.core.errors import HandoverError

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n\s*)?^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARKS = ("not run: ", "run with: ")
SNIPPET = re.compile(r'^--8<-- "([^":]+)', re.MULTILINE)
OTHER_TOOLS = {
    "pip",
    "pytest",
    "apt",
    "apt-get",
    "make",
    "pre-commit",
    "mkdocs",
    "lerobot-eval",
    "lerobot-train",
}
LIMIT_S = 300


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what it says, and the comment before it."""

    language: str
    code: str
    mark: str

    @property
    def is_run(self) -> bool:
        """A block that is included from a file is that file, which is tested for itself."""
        shown_only = self.mark.startswith(MARKS[0]) or bool(SNIPPET.search(self.code))
        return self.language in {"bash", "python"} and not shown_only

    @property
    def smaller(self) -> list[str]:
        return shlex.split(self.mark.removeprefix(MARKS[1])) if self.mark.startswith(MARKS[1]) else []

    def commands(self) -> list[list[str]]:
        """Each command of a shell block as words."""
        lines = self.code.replace("\\\n", " ").splitlines()
        words = (shlex.split(part, comments=True) for line in lines for part in line.split("&&"))
        return [command for command in words if command]


def blocks(page: Path) -> list[Block]:
    found = []
    for mark, language, code in BLOCK.findall(page.read_text()):
        is_mark = mark.startswith(MARKS)
        found.append(Block(language, code, mark if is_mark else ""))
    return found


def page_name(page: Path) -> str:
    return page.stem


def refuses(arguments: list[str]) -> str:
    """Why `python ARGUMENTS` would not start; empty if it would. Nothing is run."""
    why: list[str] = []

    def parse(command, config, description, words=""):
        try:
            tyro.cli(config, args=sys.argv[1:])
        except HandoverError as error:
            why.append(str(error))
        except SystemExit as end:
            why.extend([f"exit status {end.code}"] * bool(end.code))

    with mock.patch("h2rh_env.utils.cli.run", parse):
        run_python(arguments)
    return "".join(why)


def options(arguments: list[str]) -> set[str]:
    return set(re.findall(r"--[a-z][a-z0-9-]*", help_of(_target(arguments))))


def _target(arguments: list[str]) -> list[str]:
    """`-m MODULE` or a file, with what chooses among its commands: a subcommand, or a way to learn."""
    count = 2 if arguments[0] == "-m" else 1
    chooses = arguments[count : count + 1] == ["--algo"]
    has_subcommands = arguments[:2] == ["-m", "real_robot"]
    return arguments[: count + 2 * chooses + has_subcommands]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_could_be_typed(page):
    extras = _setup()["options.extras_require"]
    for block in blocks(page):
        for words in block.commands() if block.language == "bash" else []:
            tool, *arguments = words
            assert tool in OTHER_TOOLS | {"python"}, f"{page.name}: what is {shlex.join(words)!r}?"
            if tool == "python" and _has_settings(arguments):
                assert not refuses(arguments), f"{page.name}: {shlex.join(words)}"
            if tool == "pip":
                assert all(extra in extras for extra in re.findall(r"\[(\w+)\]", " ".join(arguments)))
            if tool == "make":
                assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def _has_settings(arguments: list[str]) -> bool:
    """Whether it is a command line of ours; a file of a few lines only has to be there."""
    if arguments[0] == "-m":
        return arguments[1].split(".")[0] not in {"venv", "build", "evaluate", "train"}
    return "cli.run" in (ROOT / arguments[0]).read_text()


def _setup() -> ConfigParser:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    return setup


@pytest.mark.nightly
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.is_run for b in blocks(p))], ids=page_name)
def test_the_blocks_of_a_page_run_one_after_the_other(page, workplace):
    for out in _made_by(page):
        shutil.rmtree(workplace / out, ignore_errors=True)
    for block in blocks(page):
        if not block.is_run:
            continue
        commands = [["python", "-c", block.code]] if block.language == "python" else block.commands()
        for tool, *arguments in commands:
            assert tool == "python", f"{page.name}: mark the block of {tool!r} as '{MARKS[0]}...'"
            _run([sys.executable, *arguments, *_known(block.smaller, arguments)], workplace)


def _made_by(page: Path) -> list[str]:
    """What the blocks that are run write themselves."""
    words = [words for block in blocks(page) if block.is_run for words in block.commands()]
    return [after for command in words for before, after in pairwise(command) if before == "--out"]


def _known(smaller: list[str], arguments: list[str]) -> list[str]:
    """Those of the options in pairs `--name value` that the command has."""
    pairs = zip(smaller[::2], smaller[1::2], strict=True)
    known = options(arguments) if smaller and _has_settings(arguments) else set()
    return [word for pair in pairs if pair[0] in known for word in pair]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with what the pages take for granted, small: captures, scenes, demonstrations, a checkpoint, a report,
    a trial, a policy. Names in capitals stand for the same."""
    from h2rh_env.captures.folder import write_folder
    from h2rh_env.captures.synthetic.generate import generate_capture
    from h2rh_env.scenes.handover_scene import SHIPPED_SCENES

    folder = tmp_path_factory.mktemp("docs") / "work"
    write_folder(generate_capture(0, "mustard_bottle"), folder / "my_capture")
    for name in ("banana-00408", "mustard_bottle-00401"):
        shutil.copytree(SHIPPED_SCENES / name, folder / "scenes" / "train" / name.split("-")[0])
    shutil.copytree(folder / "scenes" / "train", folder / "scenes" / "mine")
    shutil.copy(folder / "scenes" / "mine" / "banana" / "gaussians.ply", folder)
    for name in ("evaluate.py", "train.py", "examples", "benchmarks", "tests"):
        (folder / name).symlink_to(ROOT / name)
    for name, of in (("CAPTURE", "my_capture"), ("SCENES", "scenes/train"), ("SCENE", "scenes/mine/banana")):
        (folder / name).symlink_to(of)
    (folder / "my_pkg").mkdir()
    policy = next(b.code for b in blocks(PAGES[0]) if "class MyPolicy" in b.code)
    (folder / "my_pkg" / "mine.py").write_text(policy)
    for line in (
        "examples/own_object.py my.obj",
        "-m experts.collect scenes/train --out data/train --initial-poses 2 --workers 1",
        "-m experts.collect scenes/mine --out data/mine --initial-poses 2 --workers 1",
        "train.py data/train --out runs/mine --epochs 1",
        "evaluate.py --scenes scenes/train --policy ibvs-mask --initial-poses 1",
        "-m real_robot rehearse --policy expert",
    ):
        _run([sys.executable, *shlex.split(line)], folder)
    return folder


@pytest.fixture
def workplace(prepared, tmp_path, monkeypatch):
    """A copy of the prepared folder; the repository's modules are on the path."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return shutil.copytree(prepared, tmp_path / "work", symlinks=True)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_mark_and_snippet_is_good(page):
    text = page.read_text()
    for comment in re.findall(r"<!-- (.*?) -->", text):
        assert comment.startswith((*MARKS, "help: ")), comment
    assert all((ROOT / path).is_file() for path in SNIPPET.findall(text))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=page_name)
def test_every_python_file_that_a_page_names_exists(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    packages = (
        "h2rh_env",
        "experts",
        "policies",
        "real_robot",
        "tests",
        "examples",
        "benchmarks",
        "docs",
        "integrations",
    )
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    known = [f"/{path.relative_to(ROOT)}" for path in [*files, *ROOT.glob("*.py")]]
    for name in re.findall(r"`(?:python )?([a-z0-9_/]+\.py)[` ]", prose):
        assert any(path.endswith(f"/{name}") for path in known), name


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in PAGES[1:]:
        assert f": {page.name}" in navigation


def test_the_picture_of_the_architecture_is_the_tree():
    check_tree()


def test_the_page_of_the_architecture_names_every_folder():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for package, places in PLACES.items():
        for place in places:
            assert place.name in page or f"{package}/{place.name}" in page, place.name


def test_every_command_of_the_package_is_on_the_page_of_commands():
    shown = set(HELP.findall((ROOT / "docs" / "commands.md").read_text()))
    packages = ("h2rh_env", "experts", "policies", "real_robot")
    files = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    for path in [*files, ROOT / "train.py", ROOT / "evaluate.py"]:
        if re.search(r"^    cli\.run\(", path.read_text(), re.MULTILINE):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(part for part in parts if part != "__main__")
            name = f"-m {module}" if len(parts) > 1 else path.name
            assert any(f"{line} ".startswith(f"{name} ") for line in shown), (
                f"{name} is not in docs/commands.md"
            )


def described_options(text: str) -> dict[str, str]:
    """Each option and argument of a help text with what is said about it."""
    entries: list[list[str]] = []
    for line in text.splitlines():
        begins = re.match(r"^  (-\S.*?|[A-Z]+)(?:\s{2,}(\S.*))?$", line)
        if begins:
            entries.append([begins[1], begins[2] or ""])
        elif entries and re.match(r"^ {10}", line):
            entries[-1][1] += f" {line.strip()}"
    default = re.compile(r" ?\((default|required|repeatable|optional)\b.*\)$")
    return {name: default.sub("", said).strip() for name, said in entries if re.search("[A-Za-z]", name)}


@pytest.mark.parametrize("command", HELP.findall((ROOT / "docs" / "commands.md").read_text()))
def test_what_is_said_about_an_option_stands_alone(command):
    options = described_options(help_of(shlex.split(command)))
    assert options.pop("-h, --help")
    assert options
    for name, said in options.items():
        assert re.match("[A-Z].*[.]$", said), f"{name}: {said}"
        assert not re.match("Of |Likewise|The same|See ", said), f"{name}: {said}"


def test_help_is_what_the_command_prints():
    printed = help_of(["-m", "h2rh_env.captures.check"])
    assert printed.startswith("usage: python -m h2rh_env.captures.check ")
    assert "--help" in printed
    assert str(ROOT) not in printed
