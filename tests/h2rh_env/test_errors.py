"""What errors tell a user to type works."""

import configparser
import re
from pathlib import Path

from h2rh_env.errors import install_line

ROOT = Path(__file__).parents[2]


def test_every_extra_that_an_error_names_exists():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    sources = [path for package in ("h2rh_env", "real_robot") for path in (ROOT / package).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"install_line\([\"'](\w+)", path.read_text())}
    assert {"view", "robot", "cuda"} <= named <= set(setup["options.extras_require"])
    assert install_line("view") == 'pip install "h2rh-env[view]"'
