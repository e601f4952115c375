"""Kernel cache: where nothing can be stored, numba gets a folder that belongs to the user alone."""

import os
import stat
from pathlib import Path

import pytest

from h2rh_env.utils import kernel_cache
from h2rh_env.utils.kernel_cache import VARIABLE, ensure_kernel_cache


@pytest.fixture
def nowhere(monkeypatch, tmp_path) -> Path:
    """A package and a home that cannot be written, and a folder of temporary files that can."""
    import numba

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/x")
    monkeypatch.setattr(kernel_cache.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    return Path("/proc/package")


def test_where_something_can_be_written_nothing_changes(nowhere, tmp_path, monkeypatch):
    ensure_kernel_cache(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache" / "deep"))
    ensure_kernel_cache(nowhere)
    assert VARIABLE not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_there_is_a_folder_of_the_users_own_and_a_warning(nowhere, tmp_path):
    import numba

    with pytest.warns(RuntimeWarning, match="set NUMBA_CACHE_DIR"):
        ensure_kernel_cache(nowhere)
    folder = Path(os.environ.pop(VARIABLE))
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert str(folder) == numba.config.CACHE_DIR


def test_a_folder_that_others_may_write_is_not_taken(nowhere, tmp_path):
    others = tmp_path / f"h2rh-kernels-{os.getuid()}"
    others.mkdir()
    others.chmod(0o777)
    with pytest.warns(RuntimeWarning):
        ensure_kernel_cache(nowhere)
    folder = Path(os.environ.pop(VARIABLE))
    assert folder != others
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_the_user_set_stays(nowhere, monkeypatch):
    monkeypatch.setenv(VARIABLE, "/proc/mine")
    ensure_kernel_cache(nowhere)
    assert os.environ[VARIABLE] == "/proc/mine"
