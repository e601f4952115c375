"""What errors tell a user to type works."""

import configparser
import re
from pathlib import Path

from h2rh_env.core.errors import SYSTEM_PACKAGES, install_line

ROOT = Path(__file__).parents[3]


def test_every_extra_that_an_error_names_exists():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    sources = [
        path for package in ("h2rh_env", "policies", "real_robot") for path in (ROOT / package).rglob("*.py")
    ]
    named = {name for path in sources for name in re.findall(r"install_line\([\"'](\w+)", path.read_text())}
    assert {"view", "robot", "cuda", "onnx"} <= named <= set(setup["options.extras_require"])
    assert install_line("view") == 'pip install "h2rh-env[view]"'


def test_the_system_packages_are_those_that_are_installed_from():
    assert " ".join(SYSTEM_PACKAGES.values()).split() == (ROOT / "apt.txt").read_text().split()
    assert install_line("robot").endswith(f"apt install {SYSTEM_PACKAGES['robot']}")
