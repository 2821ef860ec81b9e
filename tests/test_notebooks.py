"""The notebooks run from the first cell to the last."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from helpers.contracts import save_model
from helpers.places import ROOT
from helpers.projects import environment

from bike.demo.run import make_file, plan_clips
from bike.demo.scenes import CLASS_NAMES
from bike.params import DemoData

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")


def outputs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, str]]]:
    """What each code cell of a notebook put out, run in ``folder/notebooks``."""
    import nbformat

    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / name, folder / "notebooks" / name)
    own = {name: str(folder / "jupyter") for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    for variable, value in (environment() | own).items():
        monkeypatch.setenv(variable, value)
    book = nbformat.read(folder / "notebooks" / name, as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=280, resources={"metadata": {"path": str(folder / "notebooks")}}, kernel_name="python3"
    )
    client.execute()
    return [list(cell.outputs) for cell in book.cells if cell.cell_type == "code"]


def text_of(found: list[dict[str, str]]) -> str:
    return "".join(output.get("text", "") for output in found)


def put_clip(path: Path, name: str) -> None:
    """The demo's clip of that name, in a tar."""
    params = DemoData(seed=4, train_per_class=60, val_per_class=4, test_per_class=30)
    clip = next(clip for clip in plan_clips(params) if clip.path == name)
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        member, data = tarfile.TarInfo(name), make_file(clip, seed=params.seed)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


@pytest.mark.slow
def test_inference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    save_model(tmp_path / "models/video-transf-vcs.pt", classes=list(CLASS_NAMES))
    put_clip(tmp_path / "data/demo/source/videos.tar", "kite_top/0064.mp4")
    said, plotted = outputs("inference.ipynb", tmp_path, monkeypatch)
    guesses = text_of(said).splitlines()
    assert len(guesses) == 3
    assert {line.partition("%  ")[2] for line in guesses} <= set(CLASS_NAMES)
    assert any("image/png" in output.get("data", {}) for output in plotted)


@pytest.mark.slow
def test_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, numbers = outputs("own_data.ipynb", tmp_path, monkeypatch)
    assert [line.split()[0] for line in text_of(numbers).splitlines()] == ["zeroshot", "video"]
    assert text_of(numbers).count("of 28 videos") == 2
