"""The model that a run works with, and whether it fits the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch

from bike.data.spatial import scaled_side
from bike.errors import BikeError, ParamsError
from bike.model.contract import Agreement, AnySection, Contract, read_contract
from bike.model.encoders import Encoder
from bike.model.formats.fetch import run_weights
from bike.model.formats.official import OFFICIAL_FILES
from bike.model.formats.read import find_file, weights_sha256
from bike.model.heads import Interaction, Temporal, VideoHead
from bike.model.layers.architecture import OFFICIAL
from bike.model.weights import load_clip, load_with_contract
from bike.params import Model, Params
from bike.progress import log


def choose_model(model: Model, *, temporal: str | None = None, interaction: str | None = None) -> Model:
    """``model`` with another temporal head or interaction, where given.

    Raises:
        ParamsError: an unknown name.
    """
    _check_choice(temporal, interaction)  # model_copy checks nothing
    chosen = {"temporal": temporal, "interaction": interaction}  # what is not given stays unstated
    return model.model_copy(update={name: value for name, value in chosen.items() if value is not None})


def check_input_size(model: Model, encoder: Encoder) -> int:
    """The side of the pictures the encoder takes, px.

    Raises:
        ParamsError: the params scale frames to less than that.
    """
    if model.short_side is not None and model.short_side < encoder.input_size:
        raise ParamsError(
            f"model.short_side: must be at least the encoder's {encoder.input_size} px (got {model.short_side})."
        )
    return encoder.input_size


class VideoModel(NamedTuple):
    """A video branch and where it came from."""

    # encoder, head: in evaluation mode, on the CPU
    encoder: Encoder
    head: VideoHead
    file: Path  # the checkpoint, or CLIP's weights
    contract: Contract | None = None  # what the file was trained for; None where it doesn't say
    is_new_head: bool = False  # the head is not the file's


def load_video_model(
    checkpoint: Path | str | None,
    weights: Path | str = "",
    *,
    temporal: str | None = None,
    interaction: str | None = None,
    seed: int | None = None,
) -> VideoModel:
    """A trained video branch, or CLIP with a new head.

    Args:
        checkpoint: a released video branch, or the folder of a published one; None takes ``weights``.
        weights: CLIP's, an official name or a file.
        temporal: what the checkpoint's temporal head must be (None: any), or that of a new head (None: ``none``, the
            mean of the frames).
        interaction: in place of the checkpoint's (None keeps it), or that of a new head (None: ``dp``).
        seed: draws a new head; None where it has nothing to draw (``none``), or any draw will do.

    Raises:
        ParamsError: an unknown temporal head or interaction, or the checkpoint has another temporal head.
        BikeError: the checkpoint holds an attribute branch, or is not there.
        WeightsError: the file can't be loaded.
    """
    _check_choice(temporal, interaction)
    if checkpoint is None:
        file = run_weights(weights, "--weights, model.weights")
        encoder = load_clip(file)
        if seed is not None:
            torch.manual_seed(seed)  # right before the head: what loading draws must not matter
        kind = cast("Temporal", temporal or "none"), cast("Interaction", interaction or "dp")
        head = VideoHead(encoder.embed_dim, encoder.text_heads, *kind).eval()
        return VideoModel(encoder, head, file, read_contract(file), is_new_head=True)
    file = find_file(checkpoint)
    encoder, stored, _, contract = load_with_contract(file)
    if not isinstance(stored, VideoHead):
        raise BikeError(f"{checkpoint}: holds an attribute branch; a video branch is needed here. Choose another file.")
    if temporal not in (None, stored.temporal):
        raise ParamsError(
            f"--temporal, model.temporal: {checkpoint} has the head {stored.temporal!r} (got {temporal!r}). Change one."
        )
    if interaction is not None:
        stored.interaction = cast("Interaction", interaction)
    return VideoModel(encoder, stored, file, contract)


def agree(chosen: Model, model: VideoModel) -> tuple[Model, Agreement]:
    """A run's ``model`` section under the contract of its video model, and what of it was allowed to differ.

    Values that the params file leaves out are the contract's. The model's head may have another interaction.

    Raises:
        ParamsError: frames, sizes, prompt, head, ``weights`` or ``start_from`` contradict the contract, and
            ``allow_mismatch`` does not name them.
    """
    agreement, head = _agreement(model.contract, model.file, chosen), model.head
    contract = agreement.contract
    if contract is None:
        if not model.is_new_head and (left_out := {"frames", "prompt"} - chosen.model_fields_set):
            taken = [f"model.{name} {getattr(chosen, name)!r}" for name in sorted(left_out)]
            log.warning("%s: doesn't say what it was trained with; taken are %s", model.file, " and ".join(taken))
        return chosen, agreement
    if contract.head != "none+dp" and model.is_new_head:
        agreement.check("head", "a new one", contract.head)
    agreement.check("interaction", head.interaction, head.interaction if model.is_new_head else contract.interaction)
    _check_start(agreement, contract, chosen.start_from, model.file)
    if not model.is_new_head:  # the file itself stands for model.weights there
        check_weights(agreement, chosen, model.file)
    return _settle(agreement, chosen, "model", ("frames", "short_side", "prompt")), agreement


def _check_start(agreement: Agreement, contract: Contract, start_from: str | None, file: Path) -> None:
    """Where the params name a checkpoint to start from: training began with it, or it is the file itself.

    By its content where it is here, and by its name on a machine that has the result alone.
    """
    if start_from is None or (ours := _file_of(start_from)).resolve() == file.resolve():
        return
    theirs = contract.start_from
    if theirs is None:
        began = "CLIP's weights"
    elif theirs.sha256 == weights_sha256(ours) if ours.is_file() else theirs.name == ours.name:
        return
    else:
        began = f"{theirs.name!r} (SHA-256 {theirs.sha256[:12]}…)"
    agreement.differs("model.start_from", f"{start_from!r}, but training of {file} began with {began}")


def check_weights(agreement: Agreement, chosen: Model, file: Path) -> None:
    """Where the params name CLIP's weights: the checkpoint ``file`` goes back to those.

    As with a checkpoint to start from: by content, or by name where they are not here, since a checkpoint alone is
    enough to work with.

    Raises:
        ParamsError: it goes back to others, and ``allow_mismatch`` does not name ``weights``.
    """
    theirs = None if agreement.contract is None else agreement.contract.weights
    if theirs is None or "weights" not in chosen.model_fields_set:
        return
    official, here = OFFICIAL_FILES.get(chosen.weights), _file_of(chosen.weights)
    ours = official.sha256 if official else weights_sha256(here) if here.is_file() else None
    if theirs.sha256 == ours or (ours is None and theirs.name == here.name):
        return
    shown = "" if ours is None else f"; here {ours[:12]}…"
    agreement.differs(
        "model.weights",
        f"{chosen.weights!r}, but {file} goes back to {theirs.name!r} (SHA-256 {theirs.sha256[:12]}…{shown})",
    )


def _file_of(source: str) -> Path:
    """The weight file that a path means, also in a folder; the path itself on a machine that doesn't have it."""
    return find_file(source) if Path(source).is_dir() else Path(source)


def agree_clip(params: Params, weights: Path, **used: Sequence[str]) -> Params:
    """Parameters under the contract of the file that CLIP alone is taken from, where that was trained on videos.

    Args:
        params: section ``model`` says what may differ.
        weights: the file.
        **used: of ``frames``, ``short_side`` and ``prompt`` those that the run reads, by section.

    Raises:
        ParamsError: a value contradicts the contract, and ``model.allow_mismatch`` does not name it.
    """
    agreement = _agreement(read_contract(weights), weights, params.model)
    sections = {name: _settle(agreement, getattr(params, name), name, keys) for name, keys in used.items()}
    return params.model_copy(update=sections)


def _agreement(contract: Contract | None, source: Path, chosen: Model) -> Agreement:
    if contract is not None and contract.kind == "attributes":
        contract = None  # its encoder is CLIP as it came
    return Agreement(contract, source, chosen.allow_mismatch)


def _settle(agreement: Agreement, section: AnySection, place: str, keys: Sequence[str]) -> AnySection:
    contract = agreement.contract
    if contract is None:
        return section
    theirs = {key: getattr(contract, key) for key in keys}
    if "short_side" in theirs:  # nothing, and the number that nothing stands for, are one value
        ours = getattr(section, "short_side", None)
        if scaled_side(ours, contract.input_size) == scaled_side(contract.short_side, contract.input_size):
            theirs["short_side"] = ours
    return agreement.settle(section, place, theirs)


def check_same_clip(chosen: Model, model: VideoModel, agreement: Agreement) -> None:
    """Refuse ``model.start_from`` where ``model.weights`` names another architecture.

    A released checkpoint doesn't say which CLIP it was trained from; of others :func:`agree` knows.

    Raises:
        ParamsError: it does, and ``allow_mismatch`` does not name ``weights``.
    """
    if "weights" not in chosen.model_fields_set or (model.contract is not None and model.contract.weights is not None):
        return
    official = OFFICIAL_FILES.get(chosen.weights)
    clip = OFFICIAL[official.name] if official else load_clip(run_weights(chosen.weights, "model.weights")).architecture
    if model.encoder.architecture != clip:
        text = f"another architecture ({model.encoder.architecture})"
        agreement.differs("model.weights", f"{chosen.weights!r}, but {model.file} goes back to {text}")


def _check_choice(temporal: str | None, interaction: str | None) -> None:
    for option, value, allowed in (
        ("--temporal", temporal, ("none", "transf")),
        ("--interaction", interaction, ("dp", "vcs")),
    ):
        if value not in (None, *allowed):
            raise ParamsError(f"{option}: unknown (got {value!r}); {' or '.join(allowed)} is allowed.")
