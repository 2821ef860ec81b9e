"""Weight files in and out: CLIP alone, or a released checkpoint with its head."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from bike.errors import WeightsError, first_few, nearest, one_line
from bike.files import atomic_write
from bike.model.contract import KEY, Contract, parse_contract
from bike.model.encoders import Encoder
from bike.model.formats.check import load_fitting
from bike.model.formats.config import check_config
from bike.model.formats.keys import is_hugging_face, openai_keys, strip_prefix
from bike.model.formats.read import ENTRIES, STATE_DICTS, check_sizes, find_file, read_checkpoint, read_state
from bike.model.heads import AttributeHead, VideoHead
from bike.model.layers.architecture import read_architecture
from bike.model.layers.empty import WithoutValues

Head = VideoHead | AttributeHead


def load_clip(path: Path | str) -> Encoder:
    """Load CLIP from any known weight file; nothing in the file is executed.

    Args:
        path: TorchScript archive as OpenAI publishes, plain state dict, safetensors (OpenAI's, Hugging Face's or
            open_clip's key names), or a released checkpoint.

    Returns:
        The encoder on the CPU, in eval mode and fp32.

    Raises:
        WeightsError: the file can't be read safely, or its keys or shapes fit no CLIP.
    """
    path = find_file(path)
    state = read_state(path)
    encoder = _build_encoder(openai_keys(state), path)
    check_config(path, encoder.architecture, hugging_face=is_hugging_face(state))
    return encoder


def _build_encoder(state: Mapping[str, Tensor], source: object) -> Encoder:
    """The encoder that a state dict with OpenAI's key names holds; its fp32 tensors are taken over without a copy."""
    encoder = empty_encoder(state, source)
    load_fitting(encoder, _as_fp32(state), source)
    return encoder.eval()


# The tensors whose shapes define the architecture, and Hugging Face's names for them.
DEFINING_KEYS = {
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "text_projection": "text_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
}
VALID_KEY = re.compile(
    r"(visual\.)?(positional_embedding|transformer\..+)|token_embedding\.weight|text_projection|logit_scale|ln_final\.\w+"
    r"|visual\.(class_embedding|proj|(ln_pre|ln_post|conv\d|bn\d)\.\w+|(layer\d|attnpool)\..+)"
)


def _missing_keys_message(state: Mapping[str, Tensor], key: str) -> str:
    """Says that ``key`` and any others of the defining keys are missing, each with the nearest name in ``state``."""
    absent = [name for name in DEFINING_KEYS if name not in state] or [key]
    # A valid key is not a misspelling: visual.positional_embedding must not be suggested for positional_embedding.
    unknown = [name for name in list(state)[:1000] if not VALID_KEY.fullmatch(name)]
    parts = []
    for name in absent:
        other = f" (Hugging Face: {DEFINING_KEYS[name]})" if name in DEFINING_KEYS else ""
        parts.append(f"{name} is missing{other}.{nearest(name, unknown)}")
    return f"not the weights of a CLIP, {' '.join(parts)}"


def empty_encoder(state: Mapping[str, Tensor], source: object) -> Encoder:
    """An encoder of the architecture given by the tensors' shapes, on the meta device.

    Raises:
        WeightsError: the shapes fit no CLIP.
    """
    try:
        with _empty_modules(source):
            return Encoder(read_architecture(state))
    except KeyError as error:
        raise WeightsError(f"{source}: {_missing_keys_message(state, str(error.args[0]))}") from error


@contextmanager
def _empty_modules(source: object) -> Iterator[None]:
    """Modules get no values inside; a ``ValueError`` of theirs (heads that don't divide the width) is the file's."""
    try:
        with WithoutValues():
            yield
    except ValueError as error:
        raise WeightsError(f"{source}: not the weights of a CLIP: {one_line(error)}.") from error


class Released(NamedTuple):
    """A loaded checkpoint.

    Attributes:
        encoder, head: on the CPU, in eval mode and fp32.
        epoch: the number of finished epochs.
        contract: what it was trained for; None in files of the published code.
    """

    encoder: Encoder
    head: Head
    epoch: int
    contract: Contract | None


def load_released(path: Path | str) -> tuple[Encoder, Head, int]:
    """Load a checkpoint as the published code saves it (``module.`` prefixes and fp16 included).

    The keys show the head's kind, our own extra entry its interaction; files without one are ``"vcs"``, as all
    published models.

    Returns:
        The encoder and its head, as :class:`Released` has them, and the number of finished epochs.

    Raises:
        WeightsError: not such a file, keys or shapes do not fit, or its contract is of another model.
    """
    released = load_with_contract(path)
    return released.encoder, released.head, released.epoch


def load_with_contract(path: Path | str) -> Released:
    """As :func:`load_released`, with what the checkpoint was trained for."""
    path = find_file(path)
    checkpoint = read_checkpoint(path)
    state = openai_keys(read_entry(checkpoint, "model_state_dict", path))
    encoder = _build_encoder(state, f"{path} (model_state_dict)")
    state = strip_prefix(read_entry(checkpoint, "fusion_model_state_dict", path))
    head = empty_head(state, encoder, path, checkpoint.get("interaction", "vcs"))
    load_fitting(head, _as_fp32(state), f"{path} (fusion_model_state_dict)")
    epoch = checkpoint.get("epoch", 0)
    contract = contract_of(checkpoint, encoder, head, path)
    return Released(encoder, head.eval(), epoch if isinstance(epoch, int) else 0, contract)


def contract_of(checkpoint: Mapping[Any, Any], encoder: Encoder, head: Head, path: Path | str) -> Contract | None:
    """What a released checkpoint says it was trained for; None where it doesn't say.

    Raises:
        WeightsError: that is damaged, or is of another model than the encoder and the head.
    """
    contract = parse_contract(checkpoint.get(KEY), path)
    if contract is None:
        return None
    video = isinstance(head, VideoHead)
    # By the tensors and the extra entry; the contract's own words for the same.
    found = ("video", head.temporal, head.interaction) if video else ("attributes", None, None)
    told = (contract.kind, contract.temporal, contract.interaction)
    needed = (contract.frames,) if video else (contract.top_k, contract.attribute_prompt)
    if (*told, contract.input_size) != (*found, encoder.input_size) or None in needed:
        raise WeightsError(
            f"{path}: its contract says {told} at {contract.input_size} px, its weights are {found} at "
            f"{encoder.input_size} px. Get the file again, or train again."
        )
    return contract


def read_entry(checkpoint: Mapping[Any, Any], key: str, source: object) -> dict[str, Tensor]:
    """One of the two state dicts of a released checkpoint.

    Raises:
        WeightsError: it is missing or holds anything but plain tensors by name.
    """
    state = checkpoint.get(key)
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        found = first_few([one_line(str(name))[:60] for name in checkpoint], 5)
        raise WeightsError(
            f"{source}: not a released checkpoint, {key} is not a state dict (got {found}). "
            "Give a file that holds a model and its head; CLIP's own weights are for the --weights of `bike zeroshot` "
            "and `bike predict`."
        )
    return check_sizes(state, source)


def save_released(path: Path | str, encoder: Encoder, head: Head, epoch: int, contract: Contract | None = None) -> None:
    """Write a checkpoint in the form of the released ones, atomically; weights keep their dtype.

    Args:
        path: the ``.pt`` file; under a name in ``.safetensors`` the same entries are written in that form.
        encoder: its weights, under OpenAI's key names.
        head: its weights, under the released key names.
        epoch: the number of finished epochs.
        contract: what it was trained for, in one more entry, which the published code's readers leave alone.
    """
    checkpoint: dict[str, Any] = {
        "epoch": epoch,
        "model_state_dict": _plain(encoder),
        "fusion_model_state_dict": _plain(head),
        "optimizer_state_dict": {},  # released files have the key
    }
    if isinstance(head, VideoHead):
        checkpoint["interaction"] = head.interaction
    if contract is not None:
        checkpoint[KEY] = contract.text()
    with atomic_write(path) as file:
        if Path(path).suffix == ".safetensors":
            file.write(_as_safetensors(checkpoint))
        else:
            torch.save(checkpoint, file)


def _as_safetensors(checkpoint: Mapping[str, Any]) -> bytes:
    """Tensors as ``<entry>.<key>``; what is no dictionary as one text, since the order of several would vary."""
    tensors = {f"{entry}.{key}": value for entry in STATE_DICTS for key, value in checkpoint[entry].items()}
    others = {entry: value for entry, value in checkpoint.items() if not isinstance(value, dict)}
    return to_safetensors(tensors, {ENTRIES: json.dumps(others)})


def save_safetensors(path: Path | str, module: nn.Module) -> None:
    """Write a module's weights as safetensors, atomically; the bytes depend on the weights only."""
    with atomic_write(path) as file:
        file.write(to_safetensors(_plain(module)))  # its own save_file would leave half a file when it is stopped


def _plain(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def _as_fp32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def empty_head(state: Mapping[str, Tensor], encoder: Encoder, source: object, interaction: object = "vcs") -> Head:
    """A head of the kind that the keys of its state dict show, on the meta device."""
    layers = {key.split(".")[2] for key in state if key.startswith("transformer.resblocks.")}
    with _empty_modules(source):
        if any(key.startswith(("query_fc.", "sentence_fc.")) for key in state):
            return AttributeHead(encoder.embed_dim)
        return VideoHead(
            encoder.embed_dim,
            encoder.text_heads,
            "transf" if layers else "none",
            "dp" if interaction == "dp" else "vcs",
            num_layers=len(layers),
        )
