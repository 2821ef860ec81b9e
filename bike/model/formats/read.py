"""Bytes of a weight file to tensors, whatever its format, without executing anything in it."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from bike.errors import WeightsError, one_line
from bike.files import existing_file, read_json, sha256
from bike.files.parse import parse_json
from bike.model.formats.archive import DAMAGED, check_archive, is_torchscript, read_torchscript, refused

Format = Literal["torchscript", "torch", "torch-legacy", "safetensors", "safetensors-parts"]

# What Hugging Face and open_clip call the file in a model's folder, best first.
FOLDER_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors.index.json",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
# Where training programs keep the model: BIKE, open_clip and Lightning, DeepSpeed, SlowFast, others.
NESTED = ("model_state_dict", "state_dict", "module", "model_state", "model")
STATE_DICTS = ("model_state_dict", "fusion_model_state_dict")  # of a released checkpoint: CLIP, and its head
ENTRIES = "bike"  # key of a checkpoint's other entries (JSON) among the texts of a safetensors file
_PART_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}\.safetensors", re.ASCII)
_NO_WEIGHTS = (  # what a download may have brought in place of the file
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer: the weights themselves lie in LFS",
        "Run `git lfs pull`.",
    ),
    (b"<", "a page for a browser (HTML or XML): the address led to a page", "Get the file itself."),
    (b"\x1f\x8b", "a file compressed with gzip", "Unpack it."),
)


def find_file(path: Path | str) -> Path:
    """The weight file itself: ``path``, or the model file in a folder as Hugging Face lays it out.

    Raises:
        BikeError: there is no such file.
        WeightsError: the folder holds no model file.
    """
    folder = Path(path)
    if not folder.is_dir():
        return existing_file(path)
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(
        f"{folder}: no weights in this folder; one of {', '.join(FOLDER_FILES)} is needed. Name the file."
    )


def detect_format(path: Path) -> Format:
    """Find a file's format from its content; its name doesn't matter.

    Raises:
        WeightsError: none of the known formats.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if head[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(path) as archive:
                check_archive(archive, path)
                return "torchscript" if is_torchscript(archive) else "torch"
        except DAMAGED as error:
            raise WeightsError(
                f"{path}: damaged or cut short ({one_line(error)[:200]}). Get the file again."
            ) from error
    # Before pickles: the length of a header may begin with their byte, and no pickle of torch has a brace at byte 8.
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return "safetensors"
    if head[:1] == b"\x80":
        return "torch-legacy"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return "safetensors-parts"
    for start, kind, remedy in _NO_WEIGHTS:
        if text.startswith(start):
            raise WeightsError(f"{path}: not a weight file but {kind}. {remedy}")
    what = "an empty file" if not head else "an unknown kind of file"
    raise WeightsError(
        f"{path}: not a weight file (got {what}); safetensors, TorchScript archives and files of torch.save are read. "
        "Check the name."
    )


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a weight file, or of a folder as Hugging Face lays it out, by the names they have in it.

    Raises:
        WeightsError: the file is damaged, of an unknown kind, would run code, or holds no tensors.
    """
    path = find_file(path)
    kind = detect_format(path)
    if kind == "safetensors":
        state: Mapping[Any, Any] = _by_entry(_read_safetensors(path))
    elif kind == "safetensors-parts":
        state = _read_parts(path)
    elif kind == "torchscript":
        state = read_torchscript(path)
    else:
        state = _read_pickle(path)
    for _ in range(3):  # no further: a pickle can hold a dictionary that holds itself
        state = next((state[key] for key in NESTED if isinstance(state.get(key), Mapping)), state)
    tensors = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors by name. Is it the right file?")
    return check_sizes(tensors, path)


def read_checkpoint(path: Path | str) -> dict[Any, Any]:
    """The dictionary that ``torch.save`` wrote, or the same from a safetensors file of ours or a folder with one.

    Raises:
        WeightsError: not such a file, damaged, or would run code.
    """
    path = find_file(path)
    kind = detect_format(path)
    if kind == "safetensors" and (entries := _other_entries(path)) is not None:
        return {**entries, **{name: {} for name in STATE_DICTS}, **_by_entry(_read_safetensors(path))}
    if kind not in ("torch", "torch-legacy"):
        raise WeightsError(
            f"{path}: not a checkpoint of a model and its head (got {kind}). It may still do where CLIP's weights do."
        )
    return _read_pickle(path)


def is_checkpoint(path: Path) -> bool:
    """Whether :func:`read_checkpoint` takes a file of this format."""
    kind = detect_format(path)
    return kind in ("torch", "torch-legacy") or (kind == "safetensors" and _other_entries(path) is not None)


def _other_entries(path: Path) -> dict[str, Any] | None:
    """What a safetensors file of ours holds besides tensors; None for files of others, and for damaged ones."""
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(ENTRIES, "null")
    except (SafetensorError, ValueError):
        return None
    found = parse_json(text, f"{path} ({ENTRIES})", "Get the file again.")
    return found if isinstance(found, dict) else None


def _by_entry(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors named ``model_state_dict.visual.proj`` by the state dict that they belong to; others as they are."""
    found: dict[str, Any] = {name: value for name, value in tensors.items() if not name.startswith(STATE_DICTS)}
    for entry in STATE_DICTS:
        part = {name.removeprefix(f"{entry}."): tensors[name] for name in tensors if name.startswith(f"{entry}.")}
        found |= {entry: part} if part else {}
    return found


def check_sizes(state: Mapping[str, Tensor], source: object) -> dict[str, Tensor]:
    """Refuse tensors that are not dense, or that repeat their storage and would grow on the first copy.

    Raises:
        WeightsError: naming the first such tensor.
    """
    for key, value in state.items():
        dense = value.layout == torch.strided and not value.is_quantized and value.device.type == "cpu"
        if not dense or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsError(f"{source}: {one_line(key)[:100]} is not a plain dense tensor. Don't use the file.")
    return dict(state)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, json.JSONDecodeError, ValueError) as error:
        raise WeightsError(f"{path}: damaged safetensors file ({one_line(error)}). Get the file again.") from error


def weights_sha256(path: Path) -> str:
    """SHA-256 of a weight file, hex; of one in several parts that of the checksums of its index and of each part."""
    sums = [sha256(file) for file in files_of(path)]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def files_of(path: Path) -> list[Path]:
    """The file itself, and the parts where it is the index of several."""
    parts = _parts_of(path) if detect_format(path) == "safetensors-parts" else []
    return [path, *dict.fromkeys(part for part, _ in parts)]


def _parts_of(path: Path) -> list[tuple[Path, str]]:
    """The file that each tensor lies in, from the index that Hugging Face writes beside them."""
    content = read_json(path)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise WeightsError(f"{path}: a JSON file, but not an index of safetensors files. Check the name.")
    for name in places.values():
        if not _PART_NAME.fullmatch(name):  # nothing that leads out of the folder
            raise WeightsError(f"{path}: {one_line(name)[:100]!r} can't be the name of one of its files. Don't use it.")
    return [(existing_file(path.with_name(name)), key) for key, name in places.items()]


def _read_parts(path: Path) -> dict[str, Tensor]:
    """Tensors of several safetensors files."""
    keys: dict[Path, set[str]] = {}
    for part, key in _parts_of(path):
        keys.setdefault(part, set()).add(key)
    state: dict[str, Tensor] = {}
    for part, wanted in keys.items():
        if detect_format(part) != "safetensors":
            raise WeightsError(f"{part}: not a safetensors file, as {path.name} says it is. Get the file again.")
        found = _read_safetensors(part)
        if found.keys() != wanted:
            raise WeightsError(f"{part}: holds other tensors than {path.name} says. Get both again.")
        state |= found
    return state


def _read_pickle(path: Path) -> dict[Any, Any]:
    if (name := _called_at_once(path)) is not None:
        raise refused(path, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's remarks on files that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle can raise nearly anything; torch's own messages run over many lines and advise to switch the
        # protection off, so only the name of what was refused is passed on.
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named and isinstance(error, pickle.UnpicklingError):
            raise refused(path, named[1]) from error
        why = "" if "weights_only" in str(error) else f" ({one_line(error)[:200]})"
        raise WeightsError(f"{path}: damaged, or not written by torch.save{why}. Get the file again.") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds no tensors by name (got {type(content).__name__}). Is it the right file?")
    return dict(content)


def _called_at_once(path: Path) -> str | None:
    """What the first pickle of a file would import; torch writes nothing but a number there. None for zip archives.

    ``torch.load`` refuses such a file as well, but calls it damaged.
    """
    with path.open("rb") as file:
        head = file.read(1 << 20)
    texts: list[str] = []
    if not head.startswith(b"\x80"):
        return None
    try:
        for code, argument, _ in pickletools.genops(io.BytesIO(head)):
            if code.name in ("GLOBAL", "INST"):
                return str(argument).replace(" ", ".")
            if code.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if isinstance(argument, str):
                texts.append(argument)
    except Exception:  # not even a pickle: torch says so
        return None
    return None
