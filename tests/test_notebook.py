"""The notebook of the documentation, from beginning to end in a real kernel."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "from-scenario-to-figure.ipynb"

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(300)]


def test_the_notebook_goes_from_the_scenario_to_the_figures(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook: pip install 'asyncsim[notebook]'")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra notebook: pip install 'asyncsim[notebook]'")
    pytest.importorskip("matplotlib", reason="needs the extra plot: pip install 'asyncsim[plot]'")
    pytest.importorskip("pandas", reason="needs the extra frames: pip install 'asyncsim[frames]'")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parent.parent))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("reached ‖∇f‖² ≤ 1e-3 after" in output.get("data", {}).get("text/html", "") for output in shown)
    assert any("95 % interval over 5 seeds" in output.get("text", "") for output in shown)
    assert (tmp_path / "report.html").is_file()
    assert len(list((tmp_path / "figures").glob("*.pdf"))) == 4


def test_it_is_kept_without_outputs():
    assert '"outputs": []' in NOTEBOOK.read_text(encoding="utf-8")
    assert '"execution_count": 1' not in NOTEBOOK.read_text(encoding="utf-8")
