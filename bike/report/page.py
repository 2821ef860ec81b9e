"""The report page: everything that was read, laid out by a template with automatic escaping."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from math import sqrt
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bike.errors import one_line
from bike.evaluate.results import read_confusion
from bike.evaluate.scores import SCORES_NAME, Scores
from bike.params import Params
from bike.provenance import version_of
from bike.report.charts import LINE_COLOURS, dense_matrix, line_chart
from bike.report.claims import CLAIMS_COLUMNS, claims_table, measure_claims
from bike.report.curves import Curve, validation_values
from bike.report.data import AUDIT_COLUMNS, DataSummary
from bike.report.mistakes import hardest_first, scores_of, verdicts
from bike.report.origin import FINGERPRINTS, ORIGINS, fingerprint_table, flat, origin_table
from bike.report.rows import TRAINING, Row, best_row, chosen_row, find_row, per_class
from bike.report.saliency import SaliencyStrip, frame_image
from bike.report.table import TEXT_COLUMNS, best_cells, cell_text, table_columns

LABELLED_CLASSES = 40  # a matrix of more classes is a picture,
MOST_CLASSES = 3000  # and of more than these nothing
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


def render(template: str, **values: Any) -> str:
    """A page as one HTML text that asks for nothing outside itself, and runs no script but its own."""
    environment = Environment(
        loader=PackageLoader("bike.report", "templates"), autoescape=True, undefined=StrictUndefined, lstrip_blocks=True
    )
    environment.filters |= {"visible": one_line, "picture": frame_image}
    texts = (files("bike.report").joinpath("templates", f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    style, script = map(Markup, texts)  # our own files
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(template).render(
        style=style,
        script=script,
        script_sha256=Markup(digest),  # noqa: S704 (letters, digits, + / =)
        line_chart=line_chart,
        line_colours=LINE_COLOURS,
        **values,
    )


def render_page(
    rows: list[Row],
    data: DataSummary,
    params: Params,
    *,
    curves: Sequence[Curve] = (),
    strips: Sequence[SaliencyStrip] = (),
    strips_note: str = "",
    provenance: bool = False,
) -> str:
    """The page of one results folder; equal input gives equal text.

    ``strips_note`` says where the strips were chosen from, or why there are none. ``provenance`` adds commit,
    ``dvc.lock``, processor and time of each evaluation, which differ between machines.
    """
    chosen, best = chosen_row(rows, validation_values(curves)), best_row(rows)
    focus = chosen or best
    before = find_row(rows, "zeroshot", focus.views)
    scores = scores_of(focus)
    return render(
        "report.html.j2",
        title="bike report",
        rows=rows,
        columns=table_columns(rows),
        text_columns=TEXT_COLUMNS,
        best_cells=best_cells(rows),
        cell_text=cell_text,
        chosen=chosen,
        best=best,
        focus=focus,
        before=before if before != focus else None,
        claims=claims_table(measure_claims(rows)),
        claims_columns=CLAIMS_COLUMNS,
        pairs=_order_pairs(rows, params.model.interaction),
        classes=_classes(focus, before),
        confusion=_confusion(focus),
        hardest=_hardest(scores) if scores else None,
        curves=curves,
        pretrained=TRAINING[1:],
        strips=strips,
        strips_note=strips_note,
        data=data,
        audit_columns=AUDIT_COLUMNS,
        params=params,
        # Without what another machine may have in its place: the patch release, a build's suffix.
        versions=[("Python", "{}.{}".format(*sys.version_info)), *((name, version_of(name)) for name in PACKAGES)],
        param_rows=flat(params.model_dump(mode="json")),
        fingerprints=fingerprint_table(rows),
        fingerprints_columns=FINGERPRINTS,
        origins=origin_table(rows) if provenance else None,
        origins_columns=ORIGINS,
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
    return {
        "figures": [row for row in figures if None not in row],
        "forced": forced,
        "views": transf.views,
        "none": none,
        "transf": transf,
        "source": SCORES_NAME if forced else "confusion.csv",
    }


def _classes(focus: Row, before: Row | None) -> dict[str, Any]:
    """Columns and rows of the classes with videos, the best first; accuracies only where samples have one label."""
    after, earlier = per_class(focus), {item.label: item for item in per_class(before)}
    single = any(item.top1 is not None for item in after)
    columns = ["Class", "Videos", *["Top-1", "95 % interval", "Zero-shot top-1"] * single, "AP", "Zero-shot AP"]
    found: list[list[Any]] = []
    for item in sorted(after, key=lambda item: (-(item.top1 or 0.0), -(item.ap or 0.0), item.name)):
        if item.videos:
            was = earlier.get(item.label)
            low, high = _interval(round((item.top1 or 0.0) / 100 * item.videos), item.videos)
            accuracy = [item.top1, f"{low:.0f} to {high:.0f}", was.top1 if was else None] * single
            found.append([item.name, item.videos, *accuracy, item.ap, was.ap if was else None])
    return {"columns": columns, "rows": found}


def _interval(right: int, videos: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, percent: 60 of 60 give 94 to 100, where resampling would give 100 to 100."""
    z = 1.959964  # the normal distribution's 97.5 % point
    middle = (right + z * z / 2) / (videos + z * z)
    half = z / (videos + z * z) * sqrt(right * (videos - right) / videos + z * z / 4)
    return 100 * (middle - half), 100 * (middle + half)


def _confusion(row: Row) -> dict[str, Any] | None:
    """The matrix and the most frequent mistakes; None where there is no ``confusion.csv``, or nothing in it."""
    path = row.folder / "confusion.csv" if row.folder else None
    counts = read_confusion(path) if path and path.is_file() else None
    if not counts:
        return None
    names = [item.name for item in per_class(row)]
    names = list(dict.fromkeys([*names, *sorted({name for pair in counts for name in pair})]))
    totals = Counter(actual for (actual, _), count in counts.items() for _ in range(count))
    mistakes = [
        (actual, predicted, count, totals[actual], 100 * count / totals[actual])
        for (actual, predicted), count in sorted(counts.items(), key=lambda item: (-item[1], *item[0]))
        if actual != predicted
    ]
    return {
        "matrix": [(a, totals[a], [(p, counts[a, p]) for p in names]) for a in names if len(names) <= LABELLED_CLASSES],
        "dense": dense_matrix(names, counts) if LABELLED_CLASSES < len(names) <= MOST_CLASSES else None,
        "mistakes": mistakes,
    }


def _hardest(scores: Scores) -> list[tuple[str, str, str, str, str]]:
    """Cells of every mistake, the most confident first: key, shown, predicted, and the two scores."""
    return [
        (
            item.key,
            ", ".join(scores.names[label] for label in item.labels),
            scores.names[item.predicted],
            f"{item.score:.4f}",
            f"{item.own:.4f}",
        )
        for item in hardest_first(verdicts(scores).values())
    ]
