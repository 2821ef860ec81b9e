"""What is in a weight file, and the same weights as safetensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bike.errors import WeightsError
from bike.files import atomic_write, claim_file
from bike.model.contract import Contract
from bike.model.formats.check import check_fit, list_problems
from bike.model.formats.config import check_config
from bike.model.formats.keys import is_hugging_face, openai_keys, strip_prefix
from bike.model.formats.official import OFFICIAL_FILES
from bike.model.formats.read import (
    Format,
    detect_format,
    files_of,
    find_file,
    is_checkpoint,
    read_checkpoint,
    read_state,
    weights_sha256,
)
from bike.model.layers.architecture import OFFICIAL, Architecture
from bike.model.weights import contract_of, empty_encoder, empty_head, read_entry
from bike.text.tokenizer import CONTEXT_LENGTH

Part = Literal["encoder", "head"]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a weight file holds."""

    path: Path  # the file itself
    format: Format  # how it is written
    num_bytes: int  # its size
    sha256: str  # its checksum, hex
    official: str | None  # the name of the published file that it is, byte for byte; None for any other
    num_tensors: int  # tensors in it, the head's included
    num_parameters: int  # numbers in CLIP's weights (statistics and counters not included)
    dtypes: dict[str, int]  # tensors of each type
    num_not_finite: int  # tensors with NaN or infinity in them
    architecture: Architecture | None  # CLIP's, as read from the shapes; None where they fit no CLIP
    like: list[str]  # official names of the same architecture
    head: str | None  # the head of a released checkpoint; None for others
    epoch: int | None  # of a released checkpoint
    contract: Contract | None  # what it was trained for; None where it doesn't say
    notes: list[str]  # how its text tower differs from CLIP's, where it still reads class names
    problems: list[
        str
    ]  # all that keeps the file from being loaded, or from reading class names; empty when it does both


def inspect_weights(path: Path | str) -> Inspection:
    """Read a weight file and say what is in it, also where it can't be loaded.

    Raises:
        WeightsError: it can't be read at all: damaged, unknown, or unsafe.
    """
    path = find_file(path)
    raw, head_state, rest = _read_parts(path)
    state, epoch = openai_keys(raw), rest.get("epoch")
    problems: list[str] = []
    architecture, head, contract, num_parameters = None, None, None, 0  # what stays so where the shapes fit no CLIP
    try:
        encoder = empty_encoder(state, path)
        architecture = encoder.architecture
        num_parameters = sum(parameter.numel() for parameter in encoder.parameters())
        problems += list_problems(encoder.state_dict(), state)
        check_config(path, architecture, hugging_face=is_hugging_face(raw))
        if head_state is not None:
            module = empty_head(head_state, encoder, path, rest.get("interaction", "vcs"))
            head = f"{type(module).__name__} ({getattr(module, 'temporal', 'two MLPs')})"
            problems += [f"head: {problem}" for problem in list_problems(module.state_dict(), head_state)]
            contract = contract_of(rest, encoder, module, path)
    except WeightsError as error:
        problems.append(str(error).removeprefix(f"{path}: "))  # the path is one of the lines above
    unread = architecture.text_problem() if architecture is not None else ""
    if unread:
        problems.append(f"can't read CLIP's tokens: {unread}")
    tensors = [*raw.values(), *(head_state or {}).values()]
    digest = weights_sha256(path)
    return Inspection(
        path=path,
        format=detect_format(path),
        num_bytes=path.stat().st_size,
        sha256=digest,
        official=next((name for name, file in OFFICIAL_FILES.items() if file.sha256 == digest), None),
        num_tensors=len(tensors),
        num_parameters=num_parameters,
        dtypes=dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)),
        num_not_finite=sum(not bool(torch.isfinite(tensor).all()) for tensor in tensors),
        architecture=architecture,
        like=[name for name, known in OFFICIAL.items() if known == architecture],
        head=head,
        epoch=epoch if isinstance(epoch, int) else None,
        contract=contract,
        notes=[] if unread else _text_notes(architecture),
        problems=problems,
    )


def _text_notes(architecture: Architecture | None) -> list[str]:
    if architecture is not None and architecture.context_length < CONTEXT_LENGTH:
        return [f"texts are cut to {architecture.context_length} tokens; CLIP's own have {CONTEXT_LENGTH}"]
    return []


def convert(
    source: Path | str,
    target: Path | str,
    *,
    part: Part = "encoder",
    dtype: torch.dtype | None = None,
    replace: bool = False,
) -> int:
    """Write a file's weights as safetensors under OpenAI's key names (a head's: the released ones).

    Args:
        source: any weight file.
        target: the safetensors file; written atomically, and only when the weights fit their model.
        part: CLIP's weights, or those of a released checkpoint's head.
        dtype: type of the floating-point tensors; None keeps each one's own.
        replace: whether a file at ``target`` may be thrown away.

    Returns:
        The number of tensors written.

    Raises:
        WeightsError: the source can't be read or loaded, or has no head; or the target is not named ``.safetensors``.
        BikeError: the target is the source, is there already, or can't be written.
    """
    source, target = find_file(source), Path(target)
    if target.suffix != ".safetensors":
        raise WeightsError(f"{target}: the new file's name must end in .safetensors.")
    with claim_file(target, inputs=files_of(source), replace=replace):
        state = _fitting_state(source, part)
        # Cloned: safetensors refuses tensors that share memory, as those of one torch.save file may.
        written = {
            key: value.to(dtype if value.is_floating_point() else None).clone().contiguous()
            for key, value in state.items()
        }
        with atomic_write(target) as file:
            file.write(to_safetensors(written))
    return len(written)


def _fitting_state(path: Path, part: Part) -> dict[str, Tensor]:
    """The tensors of CLIP, or of its head, by their published names."""
    raw, head_state, _ = _read_parts(path)
    state = openai_keys(raw)
    encoder = empty_encoder(state, path)
    if part == "encoder":
        check_fit(encoder, state, path)
        check_config(path, encoder.architecture, hugging_face=is_hugging_face(raw))
        return state
    if not head_state:
        raise WeightsError(f"{path}: holds no head's weights. Convert its encoder.")
    check_fit(empty_head(head_state, encoder, path), head_state, path)
    return head_state


def _read_parts(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor] | None, Mapping[Any, Any]]:
    """CLIP's tensors as they are named in the file; of a released checkpoint also the head's, and all its entries."""
    if is_checkpoint(path):
        checkpoint = read_checkpoint(path)
        if "fusion_model_state_dict" in checkpoint:
            encoder = read_entry(checkpoint, "model_state_dict", path)
            return encoder, strip_prefix(read_entry(checkpoint, "fusion_model_state_dict", path)), checkpoint
    return read_state(path), None, {}
