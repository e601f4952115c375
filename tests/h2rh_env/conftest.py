"""One capture of five views, and its folder: for what leads from a capture to a scene."""

from dataclasses import replace
from pathlib import Path

import pytest

from h2rh_env.captures.base import HandoverCapture
from h2rh_env.captures.folder import write_folder
from h2rh_env.captures.synthetic.generate import generate_capture


@pytest.fixture(scope="session")
def capture() -> HandoverCapture:
    whole = generate_capture(0, "mustard_bottle")
    return replace(whole, views=whole.views[:5])


@pytest.fixture(scope="session")
def folder(capture: HandoverCapture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "mine"
    write_folder(capture, path)
    return path
