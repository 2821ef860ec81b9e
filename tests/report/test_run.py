"""The report on disk: equal for equal input, honest about what is missing, and not written where something is wrong."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from helpers.pages import Structure
from helpers.results import (
    NAMES,
    PAIRS,
    write_data,
    write_evaluation,
    write_results,
)
from PIL import Image
from typer.testing import CliRunner

from bike.cli import guarded
from bike.commands.report import report
from bike.errors import BikeError, ParamsError
from bike.files import read_json
from bike.params import Params, parse_params
from bike.records import read_list
from bike.report.data import summarise_data
from bike.report.run import build_report
from bike.report.saliency import choose_samples, frame_image
from bike.report.table import renew_readme

PARAMS = parse_params({"report": {"order_pairs": [list(pair) for pair in PAIRS]}}, "test")


def test_hostile_folder_names(tmp_path: Path) -> None:
    for name in ("<script>alert(1)<", "a|b", "<!-- results:end -->", "--help"):
        write_evaluation(tmp_path / "results" / name / "<i onload=x>")
        (tmp_path / "results/train" / name / "plots/metrics" / name).mkdir(parents=True)
        (tmp_path / "results/train" / name / "plots/metrics" / name / "<b>.tsv").write_text("step\t<b>\n0\t1\n1\t2\n")
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:start --><!-- results:end -->")
    build_report(tmp_path / "results", tmp_path / "out", params=Params())
    for _ in range(2):  # the markers are still whole
        renew_readme(readme, tmp_path / "results")
    page = Structure((tmp_path / "out" / "index.html").read_text())
    assert {tag for tag, _ in page.tags} & {"i onload", "iframe", "object", "link"} == set()
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [()]  # the page's own, inline
    assert "<script>alert(1)<" in page.text


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    write_results(tmp_path / "results")
    lists, manifest = write_data(tmp_path)
    for name in ("a", "b"):
        build_report(tmp_path / "results", tmp_path / name, params=PARAMS, lists=lists, manifest=manifest)
    for name in ("index.html", "table.md", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        ".bike-report.json",
        "index.html",
        "summary.json",
        "table.md",
    ]


def test_a_few_numbers_are_enough_for_experiments(tmp_path: Path) -> None:
    """Top-1 of the last views, for the head that the params name, and the mAP of the fusion."""
    write_results(tmp_path / "results")
    for head in ("transf-vcs", "none-dp"):
        temporal, interaction = head.split("-")
        params = parse_params({"model": {"temporal": temporal, "interaction": interaction}}, "test")
        build_report(tmp_path / "results", tmp_path / head, params=params)
        names = {
            "zeroshot": "zeroshot/4x3",
            "video": f"video-{head}/4x3",
            "attributes": "attributes",
            "fuse": "fuse/4x3",
        }
        found = {name: read_json(tmp_path / "results" / place / "metrics.json") for name, place in names.items()}
        top1 = {name: round(numbers["top1"], 2) for name, numbers in found.items()}
        expected = {**top1, "map": round(found["fuse"]["map"], 2)}
        assert read_json(tmp_path / head / "summary.json") == expected
    shutil.rmtree(tmp_path / "results/fuse")
    build_report(tmp_path / "results", tmp_path / "fewer", params=params)
    assert list(read_json(tmp_path / "fewer/summary.json")) == ["zeroshot", "video", "attributes", "map"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "video-transf-vcs" / "1x1"
    write_evaluation(folder)
    for name in ("per_class.csv", "confusion.csv", "scores.safetensors", "predictions.csv"):
        (folder / name).unlink()
    build_report(tmp_path / "results", tmp_path / "out", params=Params())
    text = Structure((tmp_path / "out" / "index.html").read_text()).text
    for part in (
        "name the pairs in report.order_pairs",
        "no per_class.csv",
        "no confusion.csv",
        "no curves below",
        "a checkpoint of the video branch, the test split's frames and its list are needed",
        "no lists",
        "no manifest",
        "no audit.csv",
    ):
        assert f"Not run: {part}" in text
    assert "| Zero-shot, pretrained CLIP | – | – | not run |" in (tmp_path / "out" / "table.md").read_text()


def test_a_multi_label_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "video-transf-vcs" / "4x1"
    write_evaluation(folder)
    (folder / "metrics.json").write_text('{"map": 40.25, "videos": 20, "top1": null}')
    (folder / "per_class.csv").write_text("label,name,videos,top1,ap\n0,run,15,,70.5\n1,sit,9,,9.75\n")
    (folder / "confusion.csv").unlink()
    build_report(tmp_path / "results", tmp_path / "out", params=Params())
    text = Structure((tmp_path / "out" / "index.html").read_text()).text
    assert "Highest mAP on the test split" in text
    assert "70.5" in text


def test_nothing_is_written_when_something_is_wrong(tmp_path: Path) -> None:
    results, out = write_results(tmp_path / "results"), tmp_path / "out"
    with pytest.raises(ParamsError, match="is not a class"):
        build_report(results, out, params=parse_params({"report": {"order_pairs": [[NAMES[0], "b"]]}}, "p"))
    with pytest.raises(ParamsError, match="order_pairs"):
        parse_params({"report": {"order_pairs": [["a", "b", "c"]]}}, "params.yaml")
    with pytest.raises(BikeError, match=r"no metrics\.json in fuse/9x9\."):
        build_report(results, out, params=PARAMS, expected=["fuse/4x3", "train/attributes", "fuse/9x9"])
    assert not out.exists()
    out.write_text("a file")
    with pytest.raises(BikeError, match="is a file"):
        build_report(results, out, params=PARAMS)


def test_data_summary(tmp_path: Path) -> None:
    summary = summarise_data(*write_data(tmp_path))
    assert summary.splits[0] == ("train", 24, 6, 24 * 60)
    assert (summary.videos, len(summary.rejected or []), summary.classes) == (75, 3, 6)
    assert (summary.rejected or [])[0] == ("a/0040.mp4", "truncated: 12 of 75 frames decode")
    assert len(summary.audit or []) == 3
    empty = summarise_data(tmp_path, tmp_path / "none.csv")
    assert (empty.splits, empty.videos, empty.rejected, empty.audit) == ([], None, None, None)


def test_clips_are_drawn_from_different_classes_and_the_same_for_a_seed(tmp_path: Path) -> None:
    samples = read_list(write_data(tmp_path)[0] / "test.csv")
    chosen = choose_samples(samples, 6, seed=3)
    assert {sample.labels for sample in chosen} == {(i,) for i in range(6)}
    assert chosen == choose_samples(samples[::-1], 6, seed=3) != choose_samples(samples, 6, seed=4)
    assert len(choose_samples(samples, 100, seed=0)) == len(samples)
    assert choose_samples(samples, 0, seed=0) == []


def test_frames_become_small_jpegs() -> None:
    address = frame_image(np.full((480, 640, 3), (200, 30, 30), np.uint8))
    picture = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    assert (picture.format, picture.size) == ("JPEG", (120, 90))
    assert np.abs(np.asarray(picture).mean((0, 1)) - (200, 30, 30)).max() < 4


def test_a_matrix_without_videos_and_curves_at_the_ends_of_fp32(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results")
    for name, text in {
        "confusion.csv": "actual,predicted\n",
        "per_class.csv": "label,name,videos,top1,ap\n",
        "loss.tsv": "step\tloss\n0\t3e38\n1\t-3e38\n2\t1e-320\n3e38\t1\n",
    }.items():
        for path in results.rglob(name):
            path.write_text(text)
    build_report(results, tmp_path / "report", params=Params())
    assert "Chance" not in (tmp_path / "report/table.md").read_text()


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(report)
    return app


def test_command(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_results(tmp_path / "results")
    lists, manifest = write_data(tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:start -->\n<!-- results:end -->\n")
    run = CliRunner()
    arguments = ["results", "--lists", str(lists), "--manifest", str(manifest)]
    done = run.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{Path('report') / 'index.html'}: 13 evaluations\n"
    assert readme.read_text() == "<!-- results:start -->\n<!-- results:end -->\n"  # a page renews no README
    page = (tmp_path / "report/index.html").stat().st_mtime_ns
    assert run.invoke(app, ["--readme", "README.md"]).stdout == "README.md: table renewed from results\n"
    assert (tmp_path / "report/index.html").stat().st_mtime_ns == page  # nor the README's table a page
    assert run.invoke(app, ["--readme", "README.md", "--check"]).exit_code == 0
    shown = run.invoke(app, ["--show"])
    assert "transf + vcs" in shown.stdout
    assert shown.stdout.split("What the method claims")[0].count("4×3") == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["nowhere", "--show"], "nowhere: no such folder"),
        (["results", "--check"], "--readme: missing"),
        (["results", "--lists", "nowhere"], "nowhere: no such folder"),
        (["results", "--manifest", "nowhere.csv"], "nowhere.csv: no such file"),
        (["results", "--params", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["results", "--readme", "README.md"], "README.md: no such file"),
        (["results", "--out", "results/fuse/1x1/metrics.json"], "is a file"),
    ],
)
def test_command_errors_are_one_line(
    app: typer.Typer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_evaluation(tmp_path / "results" / "fuse" / "1x1")
    assert guarded(lambda: app(arguments, standalone_mode=False)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "report").exists()
