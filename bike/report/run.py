"""The report: ``index.html``, ``table.md``, and the result table in the README, all from files on disk."""

from __future__ import annotations

from pathlib import Path

from bike.errors import BikeError
from bike.files import atomic_write
from bike.params import Params
from bike.report.curves import read_curves
from bike.report.data import summarise_data
from bike.report.page import Page, render_page
from bike.report.rows import Row, results_table
from bike.report.saliency import SaliencyStrip
from bike.report.table import check_markers, markdown_table, update_readme


def build_report(
    results: Path | str,
    out: Path | str,
    *,
    params: Params,
    lists: Path | str | None = None,
    manifest: Path | str | None = None,
    frames: Path | str | None = None,
    checkpoint: Path | str | None = None,
    readme: Path | str | None = None,
) -> list[Row]:
    """Write ``<out>/index.html`` and ``<out>/table.md``, and renew the table in ``readme``.

    Everything comes from files; an optional file that is absent is shown as "not run". Equal input gives equal bytes
    (the seconds are part of the input).

    Args:
        results: folder of evaluations ``<name>/[<views>/]`` and of curves ``train/<run>/``, ``pretrain/``.
        out: the report's folder.
        params: shown on the page; ``params.report`` names the order pairs and says how many clips are shown.
        lists: folder with ``labels.csv``, ``{train,val,test}.csv``, ``audit.csv``.
        manifest: ``manifest.csv`` of the extraction.
        frames: test shards (or packs, or frame folders) for the clips shown with their saliency.
        checkpoint: the video branch whose saliency is shown.
        readme: a file with the two marker lines; None leaves every README alone.

    Returns:
        The rows of the result table.

    Raises:
        BikeError: no results, a damaged file, no markers in ``readme``, or a place that can't be written.
    """
    results, out, lists = Path(results), Path(out), Path(lists) if lists else None
    if out.exists() and not out.is_dir():
        raise BikeError(f"{out}: is a file; a folder for the report is needed. Choose another place.")
    if readme is not None:
        check_markers(readme)
    rows = results_table(results, order_pairs=params.report.order_pairs)
    strips, why_not = _read_strips(lists, frames, checkpoint, params)
    page = Page(
        rows=rows,
        data=summarise_data(lists, Path(manifest) if manifest else None),
        params=params,
        curves=read_curves(results),
        strips=strips,
        strips_absent=why_not,
    )
    html = render_page(page)
    with atomic_write(out / "table.md", "w") as file:
        file.write(markdown_table(rows))
    if readme is not None:
        update_readme(readme, rows)
    with atomic_write(out / "index.html", "w") as file:
        file.write(html)
    return rows


def _read_strips(
    lists: Path | None, frames: Path | str | None, checkpoint: Path | str | None, params: Params
) -> tuple[list[SaliencyStrip], str]:
    """The clips to show, and why there are none."""
    if not params.report.clips:
        return [], "report.clips is 0 in the params file."
    if not (lists and frames and checkpoint):
        return [], "a checkpoint of the video branch, the test split's frames and its list are needed."
    from bike.report.saliency import saliency_strips

    strips = saliency_strips(Path(checkpoint), Path(frames), lists, params=params)
    return strips, "the checkpoint is not a video branch with concept spotting (vcs)."
