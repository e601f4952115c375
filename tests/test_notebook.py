"""The notebook runs from its first cell to its last, and the expert hands over in it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    nbformat, client = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(ROOT / "examples" / "tour.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    folder = str(tmp_path_factory.mktemp("tour"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)  # a notebook draws into itself
        client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    return notebook


def printed(notebook) -> str:
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")


def test_it_says_what_became_of_every_episode(tour):
    text = printed(tour)
    assert "reward 1, handed over: True" in text
    assert "expert   handed over, handed over, handed over, handed over" in text
    assert "zeros    closed on nothing" in text


def test_it_draws(tour):
    drawn = [
        o
        for cell in tour.cells
        if cell.cell_type == "code"
        for o in cell.outputs
        if "image/png" in o.get("data", {})
    ]
    assert len(drawn) == 3
