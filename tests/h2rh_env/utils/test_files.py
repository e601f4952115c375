"""Files are whole or absent."""

import json

import pytest

from h2rh_env.utils import files


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    files.write_bytes(tmp_path / "deep" / "a.bin", b"abc")
    files.write_json(tmp_path / "deep" / "a.json", {"x": [1, 2.5, None]})
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"abc"
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"x": [1, 2.5, None]}
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["a.bin", "a.json"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_scrap(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_whole_or_not_there(tmp_path):
    with files.whole_folder(tmp_path / "deep" / "out") as folder:
        files.write_bytes(folder / "a.bin", b"abc")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "a.bin").read_bytes() == b"abc"
    with pytest.raises(OSError, match="disk full"), files.whole_folder(tmp_path / "other"):
        raise OSError("disk full")
    assert [entry.name for entry in tmp_path.iterdir()] == ["deep"]


def test_a_text_is_read_up_to_a_size(tmp_path):
    (tmp_path / "a.txt").write_text("é")
    assert files.read_text(tmp_path / "a.txt", 2) == "é"
    with pytest.raises(ValueError, match="has 2 bytes; at most 1"):
        files.read_text(tmp_path / "a.txt", 1)


def test_nan_is_refused_in_json(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})


def test_a_hash_names_content_and_name_but_not_order(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"2")
    assert files.sha256_of(a, b) == files.sha256_of(b, a)
    before = files.sha256_of(a, b)
    b.write_bytes(b"3")
    assert files.sha256_of(a, b) != before
