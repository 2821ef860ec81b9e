"""``bike bench model``: the plain model computes the same numbers, and what is measured is written down."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bike.bench.model import BASELINE, Runner, Variant, Workload, bench_model, variants
from bike.bench.results import Measurement, medians, ratio_table, write_section
from bike.commands.bench import app
from bike.errors import BikeError

WORK = Workload(size="tiny", videos=3, frames=4, classes=5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_plain_model_computes_the_same_numbers(checkpointing: bool) -> None:
    plain = Runner(Variant(BASELINE, ours=False, checkpointing=True), WORK)
    ours = Runner(Variant("ours", checkpointing=checkpointing), WORK)
    torch.testing.assert_close(plain.evaluate(), ours.evaluate(), atol=1e-5, rtol=0)
    for _ in range(2):
        torch.testing.assert_close(plain.train_step(), ours.train_step(), atol=1e-5, rtol=0)
    wanted = {**dict(plain.encoder.named_parameters()), **dict(plain.head.named_parameters())}
    got = {**dict(ours.encoder.named_parameters()), **dict(ours.head.named_parameters())}
    assert wanted.keys() == got.keys()
    for name, parameter in wanted.items():
        assert (parameter.grad is None) == (got[name].grad is None), name
        if parameter.grad is not None:
            torch.testing.assert_close(got[name].grad, parameter.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_variants_of_a_gpu_use_half_precision() -> None:
    assert variants("cuda")[0].dtype == torch.float16
    assert {variant.dtype for variant in variants("cuda")[1:]} == {torch.bfloat16}
    assert any(variant.compiled for variant in variants("cuda"))
    assert [variant.ours for variant in variants("cpu")] == [False, True, True]


def test_command_measures_and_writes(tmp_path: Path) -> None:
    page, rows_path = tmp_path / "benchmarks.md", tmp_path / "model.csv"
    page.write_text("# Benchmarks\n\n<!-- bench-model -->\nold\n<!-- /bench-model -->\n\nOther text.\n")
    arguments = ["--size", "tiny", "--rounds", "2", "--videos", "2", "--classes", "4", "--device", "cpu"]
    result = CliRunner().invoke(
        app, ["model", *arguments, "--csv", str(rows_path), "--page", str(page)], catch_exceptions=False
    )
    assert result.exit_code == 0
    with rows_path.open() as file:
        rows = list(csv.DictReader(file))
    found = {(row["measure"], row["variant"], row["round"]) for row in rows}
    names = [variant.name for variant in variants("cpu")]
    timed = {
        (measure, name, number) for measure in ("training step", "evaluation") for name in names for number in "01"
    }
    assert found == timed | {("peak memory", name, "0") for name in names}
    assert all(float(row["value"]) > 0 for row in rows)
    text = page.read_text()
    assert "old" not in text
    assert text.endswith("Other text.\n")
    for line in result.stdout.splitlines():
        assert line in text
    assert "tiny, 2 clips of 8 frames, 4 classes in evaluation, 2 rounds; CPU" in text


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        (Workload(size="ViT-B/33"), "unknown 'ViT-B/33'. Did you mean 'ViT-B/32'"),
        (Workload(size="RN50"), "size: unknown 'RN50'"),
        (Workload(size="tiny", device="tpu"), "'tpu' is not here"),
        (Workload(size="tiny", videos=1), "videos must be at least 2"),
    ],
)
def test_bad_input(work: Workload, problem: str, tmp_path: Path) -> None:
    with pytest.raises(BikeError, match=problem):
        bench_model(work, rounds=1, csv_path=tmp_path / "model.csv", page=tmp_path / "model.md")
    assert list(tmp_path.iterdir()) == []


def test_table_of_medians_and_ratios() -> None:
    rows = [
        Measurement("step", name, number, value, "s")
        for name, values in (("baseline", (9.0, 2.0, 3.0)), ("ours", (1.5, 1.0, 80.0)))
        for number, value in enumerate(values)
    ]
    assert medians(rows) == {"step": {"baseline": 3.0, "ours": 1.5}}
    assert ratio_table(rows, "baseline")[2:] == [
        "| step | baseline | 3 s | 1.00 × |",
        "| step | ours | 1.5 s | 2.00 × |",
    ]


def test_sections_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "benchmarks.md"
    write_section(page, "a", ["1"])
    write_section(page, "b", ["2"])
    write_section(page, "a", ["3", "4"])
    assert page.read_text() == "# Benchmarks\n\n<!-- a -->\n3\n4\n<!-- /a -->\n\n<!-- b -->\n2\n<!-- /b -->\n"
    page.write_text("<!-- /a -->\n<!-- a -->\n")
    with pytest.raises(BikeError, match="needs the mark <!-- a --> and, after it, <!-- /a -->"):
        write_section(page, "a", [])
    assert page.read_text() == "<!-- /a -->\n<!-- a -->\n"
