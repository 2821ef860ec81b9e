"""The report page: everything that was read, laid out by ``report.html.j2`` with automatic escaping."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bike.errors import one_line
from bike.evaluate.results import read_confusion
from bike.params import Params
from bike.provenance import version_of
from bike.report.charts import LINE_COLOURS, heat_map, line_chart
from bike.report.claims import CLAIMS_COLUMNS, claims_table, measure_claims
from bike.report.curves import Curve
from bike.report.data import AUDIT_COLUMNS, DataSummary
from bike.report.rows import TRAINING, Row, best_row, find_row, per_class
from bike.report.saliency import SaliencyStrip, frame_image
from bike.report.table import TEXT_COLUMNS, best_cells, cell_text, table_columns

MOST_CLASSES = 3000  # in the matrix
PACKAGES = (
    "bike-video",
    "tokenizers",
    "torch",
    "numpy",
    "av",
    "simplejpeg",
    "safetensors",
    "dvc",
    "dvclive",
)


def render_page(
    rows: list[Row],
    data: DataSummary,
    params: Params,
    *,
    curves: Sequence[Curve] = (),
    strips: Sequence[SaliencyStrip] = (),
    strips_absent: str = "",
) -> str:
    """The page as one HTML text that asks for nothing outside itself; equal input gives equal text.

    ``strips_absent`` says why there are no strips.
    """
    environment = Environment(
        loader=PackageLoader("bike.report", "."), autoescape=True, undefined=StrictUndefined, lstrip_blocks=True
    )
    environment.filters |= {"visible": one_line, "picture": frame_image}
    best = best_row(rows)
    before = find_row(rows, "zeroshot", best.views)
    matrix, mistakes = _confusion(best)
    return environment.get_template("report.html.j2").render(
        rows=rows,
        columns=table_columns(rows),
        text_columns=TEXT_COLUMNS,
        best_cells=best_cells(rows),
        cell_text=cell_text,
        best=best,
        before=before,
        claims=claims_table(measure_claims(rows)),
        claims_columns=CLAIMS_COLUMNS,
        pairs=_order_pairs(rows, params.model.interaction),
        classes=_classes(best, before),
        matrix=matrix,
        mistakes=mistakes,
        curves=curves,
        pretrained=TRAINING[1:],
        line_chart=line_chart,
        line_colours=LINE_COLOURS,
        strips=strips,
        strips_absent=strips_absent,
        data=data,
        audit_columns=AUDIT_COLUMNS,
        params=params,
        # Without what another machine may have in its place: the patch release, a build's suffix.
        versions=[("Python", "{}.{}".format(*sys.version_info)), *((name, version_of(name)) for name in PACKAGES)],
        param_rows=list(_flat(params.model_dump(mode="json"))),
    )


def _order_pairs(rows: list[Row], interaction: str) -> dict[str, Any] | None:
    """Each pair's figure without and with temporal head, in the last views that both have; None where one is not run.

    Where a scores file is missing, both figures of each pair are of all classes (``forced`` is then False).
    """
    transf = find_row(rows, f"video-transf-{interaction}")
    none = find_row(rows, f"video-none-{interaction}", transf.views) if transf else None
    if not transf or not none or transf.views != none.views:
        return None
    after = {item.pair: item for item in transf.pairs}
    both = [(item, after[item.pair]) for item in none.pairs if item.pair in after]
    forced = all(item.forced is not None for items in both for item in items)
    figures = [(a.pair, a.forced, b.forced) if forced else (a.pair, a.correct, b.correct) for a, b in both]
    return {"figures": [row for row in figures if None not in row], "forced": forced, "views": transf.views}


def _classes(best: Row, before: Row | None) -> list[tuple[str, float | None, float | None]]:
    """(name, accuracy, accuracy before) of each class with videos, the best first; AP where there is no accuracy."""
    after, earlier = per_class(best), {item.label: item for item in per_class(before)}
    measure = "ap" if all(item.top1 is None for item in after) else "top1"
    found = [
        (item.name, getattr(item, measure), getattr(earlier.get(item.label), measure, None))
        for item in after
        if item.videos
    ]
    return sorted(found, key=lambda item: (-(item[1] or 0.0), item[0]))


def _confusion(row: Row) -> tuple[str, list[tuple[str, str, int]]]:
    """The matrix, empty where there is none, and the most frequent mistakes."""
    path = row.folder / "confusion.csv" if row.folder else None
    if not path or not path.is_file():
        return "", []
    counts = read_confusion(path)
    if not counts:
        return "", []
    names = dict.fromkeys(
        [*(item.name for item in per_class(row)), *sorted({name for pair in counts for name in pair})]
    )
    mistakes = [(actual, predicted, count) for (actual, predicted), count in counts.items() if actual != predicted]
    matrix = heat_map(list(names), counts) if len(names) <= MOST_CLASSES else ""  # it has their number squared
    return matrix, sorted(mistakes, key=lambda item: (-item[2], *item[:2]))


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``section.key`` and value for every parameter."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, "none" if value is None else str(value)
