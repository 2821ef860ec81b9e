"""Tensors out of a TorchScript archive, without running or compiling anything in it.

``torch.jit.load`` compiles the archive's code and may run it. Here only ``data.pkl``, which says how the modules hold
their tensors, and the raw storages are read. Before anything is built, every name that ``data.pkl`` would import is
compared with a short list, and so is every instruction; a file with anything else in it is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bike.errors import WeightsError, one_line

STORAGES: dict[str, torch.dtype] = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
TYPED = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag")
FORBIDDEN = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER"}
MAX_PICKLE_BYTES = 64 * 2**20  # data.pkl of the largest CLIP has under 1 MB
MAX_DEPTH = 32  # of modules inside modules
DAMAGED = (  # what reading a damaged zip file or pickle may raise
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    struct.error,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,  # a place before the file begins
    RuntimeError,
    TypeError,
    ValueError,
)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Every tensor of a TorchScript archive, by its dotted place in the module tree.

    Raises:
        WeightsError: the archive is damaged, or holds anything but modules, numbers, texts and dense tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path)
    except DAMAGED as error:
        raise WeightsError(
            f"{path}: damaged TorchScript archive ({one_line(error)[:200]}). Get the file again."
        ) from error


def refused(path: Path, name: str) -> WeightsError:
    """The error for a file whose pickle would call ``name``."""
    called = one_line(name)[:100]
    return WeightsError(f"{path}: refused, it would call {called}; only tensors are read. Don't use the file.")


def is_torchscript(archive: zipfile.ZipFile) -> bool:
    """Whether a zip file that torch wrote is a TorchScript archive; plain ``torch.save`` files have no code."""
    inner = [name.partition("/")[2] for name in archive.namelist()]
    return any(name == "constants.pkl" or name.startswith("code/") for name in inner)


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse compressed or overlapping entries, so that nothing grows on reading; torch compresses code at most.

    Raises:
        WeightsError: the archive is not as torch writes it.
    """
    entries = [entry for entry in archive.infolist() if "/code/" not in entry.filename]
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise WeightsError(
                f"{path}: entry {entry.filename[:100]!r} is compressed; torch never does that. Don't use it."
            )
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise WeightsError(f"{path}: its entries are larger than the file; torch never does that. Don't use it.")


def _read(archive: zipfile.ZipFile, path: Path) -> dict[str, Tensor]:
    check_archive(archive, path)
    roots = [name.removesuffix("data.pkl") for name in archive.namelist() if name.count("/") == 1]
    roots = [root for root in dict.fromkeys(roots) if f"{root}data.pkl" in archive.namelist()]
    if len(roots) != 1:
        raise WeightsError(f"{path}: needs one data.pkl in one folder (got {len(roots)}). Get the file again.")
    root = roots[0]
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise WeightsError(f"{path}: was saved on a big-endian machine; only little-endian files are read.")
    if archive.getinfo(f"{root}data.pkl").file_size > MAX_PICKLE_BYTES:
        raise WeightsError(f"{path}: data.pkl is over {MAX_PICKLE_BYTES} bytes; no CLIP needs that. Don't use it.")
    program = archive.read(f"{root}data.pkl")
    _inspect(program, path)
    found: dict[str, Tensor] = {}
    _flatten(_Reader(program, archive, root).load(), "", found)
    return found


def _inspect(program: bytes, path: Path) -> None:
    """Go through the pickle without building anything; refuse instructions and names that tensors don't need."""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name in FORBIDDEN:
            raise WeightsError(f"{path}: refused, its pickle uses {opcode.name}, which weights don't need.")
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            if not _is_known(module, name):
                raise refused(path, f"{module}.{name}")
        # The unpickler would make its memo as long as the number asks: 2^31 places, for a file of ten bytes.
        if opcode.name in ("LONG_BINPUT", "PUT") and int(argument or 0) > len(program):
            raise WeightsError(f"{path}: refused, its pickle numbers a value {argument}, more than it can hold.")


def _is_known(module: str, name: str) -> bool:
    if module == "__torch__" or module.startswith("__torch__."):
        return True
    known = {"torch._utils": ("_rebuild_tensor_v2",), "collections": ("OrderedDict",), "torch.jit._pickle": TYPED}
    return name in known.get(module, ()) or (module == "torch" and name in STORAGES)


class _Module:
    """Stands for any class of the archive; keeps the attributes that the pickle gives it."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, Mapping):
            raise pickle.UnpicklingError("a module's state is not a dictionary")
        self.attributes = dict(state)


class _Call:
    """A function that the pickle may call. Has no dictionary, so that no pickle can change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the pickle changes a function")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _Held:
    """A tensor out of the pickle's reach, whose own methods it could call."""

    __slots__ = ("values",)

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the pickle changes a tensor")


class _Storage(_Held):
    """Raw numbers of the archive, in one row."""

    __slots__ = ()


class _Reader(pickle.Unpickler):
    """An unpickler that knows nothing but the stand-ins above."""

    def __init__(self, program: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(program))
        self._archive, self._root = archive, root
        self._storages: dict[tuple[str, str], _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for a name; :func:`_inspect` has refused the others, and so does this."""
        if module == "__torch__" or module.startswith("__torch__."):
            return type("_Module", (_Module,), {"__slots__": ()})
        if module == "torch" and name in STORAGES:
            return name  # persistent_load looks it up in STORAGES
        if _is_known(module, name):
            calls: dict[str, Callable[..., Any]] = {"_rebuild_tensor_v2": _rebuild, "OrderedDict": dict}
            return _Call(calls.get(name, _plain))
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> _Storage:
        """Read a storage: ``("storage", type, entry, device, count)``; the device it was saved from doesn't matter."""
        _, kind, entry, _, count = pid
        key = (str(kind), str(entry))
        if key not in self._storages:
            dtype = STORAGES[key[0]]
            with self._archive.open(f"{self._root}data/{key[1]}") as file:
                raw = bytearray(file.read())
            values = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
            if len(values) < int(count):
                raise ValueError(f"storage {key[1][:40]} is cut short")
            self._storages[key] = _Storage(values)
        return self._storages[key]


def _plain(value: Any, *_: Any) -> Any:
    """A list or dictionary whose type the archive states, as it is."""
    return value


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Held:
    """A view of a storage; one that would repeat numbers could be of any size, and is refused."""
    if not isinstance(storage, _Storage) or not all(
        type(number) is int and number >= 0 for number in (offset, *size, *stride)
    ):
        raise ValueError("a tensor's shape is damaged")
    # as_strided itself refuses a view that ends outside of its storage.
    if math.prod(size) > len(storage.values):
        raise ValueError("a tensor is larger than its storage")
    return _Held(storage.values.as_strided(size, stride, offset))


def _flatten(value: Any, prefix: str, found: dict[str, Tensor], depth: int = 0) -> None:
    """Collect the tensors of a module and of the modules in it."""
    if not isinstance(value, _Module) or depth > MAX_DEPTH:
        raise ValueError("its modules are damaged")
    for name, attribute in value.attributes.items():
        if isinstance(attribute, _Held):
            found[f"{prefix}{name}"] = attribute.values
        elif isinstance(attribute, _Module):
            _flatten(attribute, f"{prefix}{name}.", found, depth + 1)
