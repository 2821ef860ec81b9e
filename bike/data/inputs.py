"""What every run over frames reads first: a list with its class names, and the source of its frames."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bike.formats.lists import Listing, check_classes, read_listing
from bike.frames.open import FrameSource, open_source
from bike.progress import log


@dataclass(frozen=True, slots=True)
class Inputs(Listing):
    """A list with its class names and frames; ``checksums`` covers what describes the frames, too.

    Attributes:
        source: where frames come from.
    """

    source: FrameSource


def read_inputs(
    samples_path: Path | str,
    labels_path: Path | str,
    place: Path | str,
    *,
    decoder: str = "pyav",
    follow_links: bool = False,
    allowed: Collection[str] = (),
) -> Inputs:
    """Read a list, its class names and the place of its frames.

    Args:
        samples_path, labels_path, allowed: as :func:`bike.formats.lists.read_listing`.
        place, decoder, follow_links: as :func:`bike.frames.open.open_source`.

    Raises:
        BikeError: no such place, or a decoder that can't be used.
        DataError: no rows, no labels at all, labels without a name, or other classes than the shards'.
    """
    listing = read_listing(samples_path, labels_path, allowed=allowed)
    source = open_source(place, listing.samples, decoder=decoder, follow_links=follow_links)
    mismatch = listing.mismatch
    if source.class_names is not None:
        mismatch = mismatch | check_classes(listing.names, source.class_names, (labels_path, place), allowed)
    elif not Path(samples_path).with_name("labels.csv").is_file():
        log.warning(
            "%s: no labels.csv beside it and no class names in %s: the %d names of %s are taken as they stand (the "
            "list's largest class is %d)",
            samples_path,
            place,
            len(listing.names),
            labels_path,
            max(max(sample.labels, default=0) for sample in listing.samples),
        )
    # With the decoder, since both round colours differently: rows of one must not be completed with the other.
    checksums = {**listing.checksums, "frames": source.checksum, "decoder": decoder}
    return Inputs(listing.samples, listing.names, checksums | sampled(source), mismatch, source)


def sampled(source: FrameSource) -> dict[str, str]:
    """``{"frames_per_video": …}`` where no more than N frames of a video are stored, for a result's origin; else empty.

    It says which those are, and which one is taken for a frame that is not among them (:mod:`bike.formats.kept`).
    """
    kept = source.frames_per_video
    if kept is None:
        return {}
    text = f"{kept} of each video, evenly placed; for a drawn frame that is not kept the nearest was taken"
    return {"frames_per_video": text}
