"""Makes the attribute corpus: CLIP, not fine-tuned, ranks the phrases of a lexicon for every video of some lists."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from bike.attributes.corpus import merge_corpora, read_lexicon, write_corpus
from bike.data.inputs import Inputs, sampled
from bike.data.map import map_samples, row_jobs
from bike.errors import BikeError, DataError
from bike.files import check_not_read, claim_file, existing_file, sha256
from bike.files.parts import Part, held_place
from bike.formats.lists import load_samples
from bike.frames.open import open_source
from bike.frames.remote import existing_place
from bike.model.choose import agree_clip
from bike.model.formats.fetch import run_weights
from bike.model.formats.read import weights_sha256
from bike.model.scorer import class_texts, encode_frames, encode_sentences
from bike.model.weights import load_clip
from bike.params import Params
from bike.runtime.checkpoint import Place, discard_state, has_state, state_folder, tidy_state
from bike.runtime.distributed import join_world, wait_for_all

SPLITS = ("train", "val", "test")


def make_attributes(
    params: Params,
    *,
    lexicon: Path | str,
    lists: Sequence[tuple[Path, Path]],
    out: Path | str,
    decoder: str = "pyav",
    place: Place = Place(),
    replace: bool = False,
) -> dict[str, list[str]]:
    """Write the attribute corpus of some lists.

    ``attributes.frames`` frames of a video (centre crop) are embedded and averaged; the mean is compared with every
    phrase, put into ``attributes.prompt``; the best ``attributes.top_k`` are stored. Equal scores keep the lexicon's
    order. A run that was stopped goes on where it was.

    Args:
        params: sections ``attributes`` and ``model`` (weights, short_side, allow_mismatch).
        lexicon: phrases, one on each line, or a CSV ``id,name``.
        lists: pairs of a list and the place of its frames; see :func:`pair_lists`.
        out: JSON to write.
        decoder: ``pyav`` or ``decord``, where frames are decoded from videos.
        place: where the run happens; finished videos are saved every 60 seconds, without a state folder to
            ``.<name>.state`` beside ``out``.
        replace: whether a finished corpus at ``out`` may be thrown away.

    Returns:
        The corpus, on rank 0; empty on other ranks, and for a part.

    Raises:
        BikeError: anything in the inputs that can't be used.
        KeyboardInterrupt: a stop was asked for; finished videos are kept.
    """
    phrases, top_k = read_lexicon(lexicon), params.attributes.top_k
    if len(phrases) < top_k:
        raise DataError(f"{lexicon}: {len(phrases)} phrases, fewer than attributes.top_k ({top_k}). Add more.")
    inputs = [_read(path, frames, decoder, follow_links=place.follow_links) for path, frames in lists]
    weights = run_weights(params.attributes.weights or params.model.weights, "attributes.weights, model.weights")
    params = agree_clip(params, weights, model=["short_side"], attributes=["frames", "prompt"])
    settings = params.attributes
    state = state_folder(place, out)
    corpora = []
    with join_world(device=place.device, threads=settings.threads) as world, ExitStack() as held:
        encoder = load_clip(weights)
        job = {"kind": "attributes", "model": weights_sha256(weights)}
        seen = {
            "num_segments": settings.frames,
            "input_size": encoder.input_size,
            "short_side": params.model.short_side,
        }
        jobs = {name for read in inputs for name in row_jobs(read, settings.batch_size, job=job, **seen)}
        sources = [lexicon, weights, *(place for pair in lists for place in pair)]
        if world.is_main and isinstance(place.split, Part):
            check_not_read([out], sources)  # the rest at the merge
        elif world.is_main:
            tidy_state(state, numbered=True)
            unfinished = has_state(state, numbered=True, jobs=jobs)
            held.enter_context(claim_file(out, state, inputs=sources, replace=replace or unfinished))
        for number in range(len(lists)) if world.is_main and place.split is not None else []:
            held.enter_context(held_place(state / str(number), place.split, "working"))
        encoder = encoder.to(world.device)
        classes = encode_sentences(encoder, class_texts(encoder, phrases, settings.prompt)).cpu()

        def average(frames: Tensor) -> Tensor:
            return encode_frames(encoder, frames).mean(dim=(1, 2))

        for number, ((path, _), read) in enumerate(zip(lists, inputs, strict=True)):
            mapped = map_samples(
                average,
                read,
                job=job,
                title=f"attributes {path.stem}",
                world=world,
                place=place,
                state=state / str(number),  # by place, as two lists may have one name
                batch_size=settings.batch_size,
                **seen,
            )
            if mapped is not None:
                best = rank_phrases(mapped[0], classes, settings.top_k)
                corpora.append({s.key: [phrases[i] for i in row] for s, row in zip(read.samples, best, strict=True)})
        corpus = merge_corpora(corpora)
        if world.is_main and not isinstance(place.split, Part):
            write_corpus(out, corpus)
            discard_state(state, numbered=True, jobs=jobs)
        wait_for_all(world)
    return corpus


def pair_lists(lists: Sequence[Path], places: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Lists with the places of their frames.

    Args:
        lists: list files, or one folder of ``train.csv``, ``val.csv`` and ``test.csv``.
        places: one for each list; or one for all; with a folder of lists, the folder that has ``train``, ``val`` and
            ``test``, or all frames.

    Raises:
        BikeError: the numbers don't match, or something is missing.
    """
    if len(lists) == 1 and lists[0].is_dir():
        folder = lists[0]
        found = [folder / f"{split}.csv" for split in SPLITS if (folder / f"{split}.csv").is_file()]
        if not found:
            raise BikeError(f"{folder}: none of train.csv, val.csv, test.csv is in it. Run `bike annotate`.")
        if len(places) == 1:
            places = [p if (p := places[0] / path.stem).is_dir() else places[0] for path in found]
        lists = found
    if len(places) == 1:
        places = list(places) * len(lists)
    if len(places) != len(lists):
        raise BikeError(f"--shards: {len(places)} places for {len(lists)} lists. Give one for each, or one for all.")
    return [(existing_file(path), existing_place(place)) for path, place in zip(lists, places, strict=True)]


def _read(path: Path, frames: Path, decoder: str, *, follow_links: bool) -> Inputs:
    """A list without class names: labels play no part here."""
    samples = load_samples(path)
    if not samples:
        raise DataError(f"{path}: no rows. Write the list again (`bike annotate`).")
    source = open_source(frames, samples, decoder=decoder, follow_links=follow_links)
    checksums = {"list": sha256(path), "frames": source.checksum, "decoder": decoder}
    return Inputs(samples, [], checksums | sampled(source), {}, source)


def rank_phrases(videos: Float[Tensor, "N D"], phrases: Float[Tensor, "M D"], top_k: int) -> list[list[int]]:
    """For each video the numbers of the phrases with the highest cosine, best first; equal ones in their order."""
    # In float64, so that rounding here decides no order.
    cosines = normalize(videos.double(), dim=1) @ normalize(phrases.double(), dim=1).T
    order = cosines.sort(dim=1, descending=True, stable=True).indices[:, :top_k]
    return [[int(number) for number in row] for row in order]
