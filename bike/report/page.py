"""The report page: everything that was read, laid out by ``report.html.j2`` with automatic escaping."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bike.evaluate.results import ClassResult, read_confusion, read_per_class
from bike.params import Params
from bike.report.charts import NUM_COLOURS, heat_map, line_chart
from bike.report.curves import Curve
from bike.report.data import DataSummary
from bike.report.pairs import pair_results
from bike.report.rows import TRAINING, Row, best_row, find_row, spread_figures
from bike.report.saliency import SaliencyStrip, frame_image
from bike.report.table import FIGURES, TEXT_COLUMNS, best_cells, cell_text, table_columns, visible

PACKAGES = (
    "bike-video",
    "torch",
    "numpy",
    "av",
    "simplejpeg",
    "safetensors",
    "instant-clip-tokenizer",
    "dvc",
    "dvclive",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page shows. ``strips_absent`` says why there are no strips."""

    rows: list[Row]
    data: DataSummary
    params: Params
    curves: list[Curve] = field(default_factory=list)
    strips: list[SaliencyStrip] = field(default_factory=list)
    strips_absent: str = ""


def render_page(page: Page) -> str:
    """The page as one HTML text that asks for nothing outside itself; equal input gives equal text."""
    environment = Environment(
        loader=PackageLoader("bike.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    best = best_row(page.rows)
    before = find_row(page.rows, "zeroshot", best.views)
    pairs, pairs_note = _order_pairs(page)
    return environment.get_template("report.html.j2").render(
        rows=page.rows,
        columns=table_columns(page.rows),
        text_columns=TEXT_COLUMNS,
        figures=FIGURES,
        best=best_cells(page.rows),
        cell_text=cell_text,
        spreads=[
            (row.title, title, f"{mean:.1f} ± {spread:.1f}")
            for row in page.rows
            for title, mean, spread in spread_figures(row)
        ],
        tiles=list(_tiles(page, best, before)),
        data=page.data,
        pairs_asked=bool(page.params.report.order_pairs),
        pairs=pairs,
        pairs_note=pairs_note,
        classes=_classes(best, before),
        best_title=best.title,
        before_title=before.title if before else "",
        num_colours=NUM_COLOURS,
        charts=list(_charts(page.curves)),
        strips=[_strip(strip) for strip in page.strips],
        strips_absent=page.strips_absent,
        split_rows=[(split.name, split.samples, split.classes, split.frames) for split in page.data.splits],
        rejected_rows=[(record.path, record.error) for record in page.data.rejected or []],
        versions=[("Python", platform.python_version()), *_versions()],
        param_rows=list(_flat(page.params.model_dump(mode="json"))),
        **_confusion(best),
    )


def _tiles(page: Page, best: Row, before: Row | None) -> Iterator[dict[str, str]]:
    """The few figures to see first."""
    measure, name = ("top1", "top-1") if best.top1 is not None else ("map", "mAP")
    chance = next((row for row in page.rows if not row.folder and row.ran), None)
    for title, row in (("Best", best), ("Zero-shot", before), ("Chance", chance)):
        value = getattr(row, measure) if row else None
        note = "not run" if row is None else row.title if row is best else f"{row.views} views" if row.views else ""
        figure = "–" if value is None else f"{value:.1f}"
        yield {"title": f"{title} {name}", "figure": figure, "unit": "%" if value is not None else "", "note": note}
    if page.data.rejected is not None:
        reasons = len({record.error for record in page.data.rejected})
        note = f"of {page.data.videos}, {reasons} kinds of reason" if reasons else f"of {page.data.videos}"
        yield {"title": "Rejected files", "figure": str(len(page.data.rejected)), "unit": "", "note": note}


def _order_pairs(page: Page) -> tuple[list[dict[str, Any]], str]:
    """Each pair's figure without and with temporal head, in the last views that both have, and what it means."""
    interaction = page.params.model.interaction
    transf = find_row(page.rows, f"video-transf-{interaction}")
    none = find_row(page.rows, f"video-none-{interaction}", transf.views) if transf else None
    if not (transf and none and transf.folder and none.folder and transf.views == none.views):
        return [], ""
    asked = page.params.report.order_pairs
    results = [{item.pair: item for item in pair_results(row.folder, asked)} for row in (none, transf) if row.folder]
    both = [(results[0][pair], results[1][pair]) for pair in dict.fromkeys(asked) if all(pair in r for r in results)]
    forced = all(item.forced is not None for items in both for item in items)
    views = f" Interaction {interaction}" + (f", {transf.views} views." if transf.views else ".")
    meaning = "Shown: how often the right one of the two scores higher, in percent."
    if not forced:
        meaning = "Shown: how often the right one of all classes is predicted, in percent (no scores file)."
    pairs = [
        {"names": a.pair, "none": a.forced if forced else a.correct, "transf": b.forced if forced else b.correct}
        for a, b in both
    ]
    return [pair for pair in pairs if None not in pair.values()], meaning + views


def _classes(best: Row, before: Row | None) -> list[dict[str, Any]]:
    """Each class with its accuracy (AP where there is none), the best first."""
    after, earlier = _per_class(best), {item.label: item for item in _per_class(before)}
    use_ap = all(item.top1 is None for item in after)

    def figure(item: ClassResult | None) -> float | None:
        value = None if item is None else item.ap if use_ap else item.top1
        return None if value is None else min(100.0, max(0.0, value))

    items = [
        {"name": item.name, "best": figure(item), "before": figure(earlier.get(item.label))}
        for item in after
        if item.videos
    ]
    return sorted(items, key=lambda item: (-(item["best"] or 0.0), str(item["name"])))


def _per_class(row: Row | None) -> list[ClassResult]:
    path = row.folder / "per_class.csv" if row and row.folder else None
    return read_per_class(path) if path and path.is_file() else []


def _confusion(row: Row) -> dict[str, Any]:
    """The matrix and the most frequent mistakes."""
    path = row.folder / "confusion.csv" if row.folder else None
    if not path or not path.is_file():
        return {"matrix": None, "confusions": []}
    counts: Counter[tuple[str, str]] = read_confusion(path)
    listed = [item.name for item in _per_class(row)]
    names = list(dict.fromkeys([*listed, *sorted({name for pair in counts for name in pair} - set(listed))]))
    mistakes = [(actual, predicted, count) for (actual, predicted), count in counts.items() if actual != predicted]
    mistakes.sort(key=lambda item: (-item[2], item[0], item[1]))
    return {"matrix": heat_map(names, counts) if counts else None, "confusions": mistakes[:10]}


def _charts(curves: Sequence[Curve]) -> Iterator[dict[str, Any]]:
    """Charts of the runs under ``train`` with one legend, then those of the pretraining."""
    pretrain = TRAINING[1]
    groups = (
        ("Training", [curve for curve in curves if curve.run != pretrain]),
        ("Pretraining of the small CLIP", [curve for curve in curves if curve.run == pretrain]),
    )
    for title, chosen in groups:
        colours = {run: i for i, run in enumerate(dict.fromkeys(curve.run for curve in chosen))}
        metrics = dict.fromkeys(curve.metric for curve in chosen)
        if chosen:
            yield {
                "title": title,
                "legend": [(run, colour % NUM_COLOURS + 1) for run, colour in colours.items()],
                "charts": [
                    {"title": name, "svg": line_chart([c for c in chosen if c.metric == name], colours)}
                    for name in sorted(metrics)
                ],
            }


def _strip(strip: SaliencyStrip) -> dict[str, Any]:
    """A strip for the template: images, and meters relative to the frame with the highest share."""
    height, width = strip.frames.shape[1:3]
    highest, total = max(float(strip.saliency.max()), 1e-12), max(float(strip.saliency.sum()), 1e-12)
    frames = [
        {
            "image": frame_image(frame),
            "height": 100 * max(0.0, value) / highest,
            "opacity": 0.35 + 0.65 * max(0.0, value) / highest,
            "percent": 100 * max(0.0, value) / total,
        }
        for frame, value in zip(strip.frames, strip.saliency.tolist(), strict=True)
    ]
    return {
        "key": strip.key,
        "title": strip.title,
        "predicted": strip.predicted,
        "shape": f"{width} / {height}",
        "even": 100 * total / len(frames) / highest,
        "frames": frames,
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``section.key`` and value for every parameter."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, "none" if value is None else str(value)
