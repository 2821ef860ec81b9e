"""The report: ``index.html``, ``table.md`` and ``summary.json``, all from files on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bike.errors import BikeError
from bike.evaluate.scores import SCORES_NAME
from bike.files import atomic_write, check_not_read, claim_folder, write_json
from bike.params import Params
from bike.report.curves import read_curves
from bike.report.data import summarise_data
from bike.report.mistakes import scores_of
from bike.report.origin import evaluation_of
from bike.report.page import render_page
from bike.report.rows import Row, check_complete, results_table
from bike.report.saliency import SaliencyStrip, saliency_strips
from bike.report.table import markdown_results


def build_report(
    results: Path,
    out: Path,
    *,
    params: Params,
    lists: Path | None = None,
    manifest: Path | None = None,
    frames: Path | None = None,
    checkpoint: Path | None = None,
    follow_links: bool = False,
    expected: Sequence[str] = (),
    provenance: bool = False,
) -> list[Row]:
    """Write page, table and ``summary.json`` (for `dvc exp show`) into ``out``.

    Everything comes from files; an optional file that is absent is shown as "not run". Equal input gives equal bytes.

    Args:
        results: folder of evaluations ``<name>/[<views>/]`` and of curves ``train/<run>/``, ``pretrain/``.
        out: the report's folder.
        params: shown on the page; ``params.report`` names the order pairs and says how many clips are shown.
        lists: folder with ``labels.csv``, ``{train,val,test}.csv``, ``audit.csv``.
        manifest: ``manifest.csv`` of the extraction.
        frames: test shards (or packs, or frame folders) for the clips shown with their saliency.
        checkpoint: the video branch whose saliency is shown.
        follow_links: as for :func:`bike.frames.open.open_source`.
        expected: folders below ``results`` that must be there, such as ``fuse/4x3``; all others are shown as well.
        provenance: show what the files beside the results say of their runs: commit, processor and so on. These differ
            between machines, so the page then does, too.

    Returns:
        The rows of the result table.

    Raises:
        BikeError: no results, one of ``expected`` is missing, a damaged file, or a place that can't be written.
    """
    if out.exists() and not out.is_dir():
        raise BikeError(f"{out}: is a file; a folder for the report is needed. Choose another place.")
    check_complete(results, expected)
    rows = results_table(results, order_pairs=params.report.order_pairs)
    strips, note = _read_strips(rows, lists, frames, checkpoint, params, follow_links=follow_links)
    data, curves = summarise_data(lists, manifest), read_curves(results)
    html = render_page(rows, data, params, curves=curves, strips=strips, strips_note=note, provenance=provenance)
    table = markdown_results(rows)
    check_not_read([out], [results, lists, frames])
    names = ("table.md", "summary.json", "index.html")
    with (
        claim_folder(out, "report", names=names, inputs=[manifest, checkpoint]) as output,
        output.writing("index.html") as folder,
    ):
        for name, text in (("table.md", table), ("index.html", html)):
            with atomic_write(folder / name, "w") as file:
                file.write(text)
        write_json(folder / "summary.json", _few_numbers(rows, params))
    return rows


def _few_numbers(rows: Sequence[Row], params: Params) -> dict[str, float]:
    """Five columns for `dvc exp show`: top-1 accuracy in the table's last views, and the mAP of the last method."""
    last = {row.name.partition("/")[0]: row for row in rows if row.folder}
    columns = {"video": f"video-{params.model.temporal}-{params.model.interaction}"}
    wanted = {name: last.get(columns.get(name, name)) for name in ("zeroshot", "video", "attributes", "fuse")}
    found = [(name, row) for name, row in wanted.items() if row is not None]
    numbers = [(name, row.top1) for name, row in found] + [("map", row.map) for _, row in found[-1:]]
    return {name: round(number, 2) for name, number in numbers if number is not None}


def _read_strips(
    rows: Sequence[Row],
    lists: Path | None,
    frames: Path | None,
    checkpoint: Path | None,
    params: Params,
    *,
    follow_links: bool,
) -> tuple[list[SaliencyStrip], str]:
    """The clips to show, and the scores file that they were chosen from, or why there are none."""
    if not params.report.clips:
        return [], "report.clips is 0 in the params file."
    if not (lists and frames and checkpoint):
        return [], "a checkpoint of the video branch, the test split's frames and its list are needed."
    row = evaluation_of(checkpoint, rows)
    scores = scores_of(row) if row else None
    strips = saliency_strips(checkpoint, frames, lists, params=params, scores=scores, follow_links=follow_links)
    if not strips:
        return [], "the checkpoint is not a video branch with concept spotting (vcs)."
    return strips, f"{row.place}/{SCORES_NAME}" if row else ""
