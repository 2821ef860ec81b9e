"""Weight files made to run code, to fill memory, or simply damaged: refused in one line, and nothing is run."""

from __future__ import annotations

import copy
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.models import save_archive, small
from safetensors.torch import save_file

from bike.errors import WeightsError
from bike.model.formats.inspect import inspect_weights
from bike.model.formats.read import read_state
from bike.model.heads import VideoHead
from bike.model.weights import load_clip, load_released, save_released


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


def test_the_malicious_file_works(tmp_path: Path, mark: Path) -> None:
    """Otherwise the tests below would show nothing."""
    pickle.loads(pickle.dumps(Evil(mark)))
    assert mark.exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("read", [load_clip, load_released, inspect_weights])
def test_pickle_that_runs_code(tmp_path: Path, mark: Path, legacy: bool, read: Callable[[Path], object]) -> None:
    encoder = small()
    checkpoint = {
        "epoch": 3,
        "model_state_dict": {f"module.{key}": value for key, value in encoder.state_dict().items()},
        "fusion_model_state_dict": {f"module.{key}": value for key, value in VideoHead(24, 2).state_dict().items()},
        "optimizer_state_dict": Evil(mark),
    }
    path = tmp_path / "evil.pt"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        WeightsError, match=r"evil.pt: refused, it would call (posix|nt).system; only tensors"
    ) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_bare_pickle_that_runs_code(tmp_path: Path, mark: Path) -> None:
    for protocol in (2, 3, 4, 5):
        path = tmp_path / "evil.pt"
        path.write_bytes(pickle.dumps(Evil(mark), protocol=protocol))
        with pytest.raises(WeightsError, match=r"refused, it would call posix\.system"):
            load_clip(path)
    path.write_bytes(b"\x80\x02" + b"\x00" * 40)
    with pytest.raises(WeightsError, match="damaged, or not written by") as caught:
        load_clip(path)
    assert "weights_only" not in str(caught.value)
    path.write_bytes(pickle.dumps(Evil(mark), protocol=0))
    with pytest.raises(WeightsError, match="an unknown kind of file"):
        load_clip(path)
    assert not mark.exists()


def replaced(archive: Path, name: str, content: bytes, *, packed: bool = False) -> Path:
    """The same archive with other content in one of its entries."""
    target = archive.with_name("changed.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            changed = entry.filename.endswith(f"/{name}")
            new.writestr(
                entry.filename,
                content if changed else old.read(entry),
                zipfile.ZIP_DEFLATED if packed and changed else zipfile.ZIP_STORED,
            )
    return target


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_archive(tmp_path_factory.mktemp("archive") / "clip.pt", small())


def test_replaced_archive_still_loads(archive: Path) -> None:
    with zipfile.ZipFile(archive) as old:
        same = replaced(archive, "data.pkl", old.read("clip/data.pkl"))
    assert load_clip(same).embed_dim == 24


@pytest.mark.parametrize("protocol", [2, 4])
def test_torchscript_archive_that_runs_code(archive: Path, mark: Path, protocol: int) -> None:
    path = replaced(archive, "data.pkl", pickle.dumps(Evil(mark), protocol=protocol))
    wanted = "refused, it would call posix.system" if protocol == 2 else "refused, its pickle uses STACK_GLOBAL"
    with pytest.raises(WeightsError, match=wanted):
        load_clip(path)
    assert not mark.exists()


def program(*lines: bytes) -> bytes:
    return b"\x80\x02" + b"".join(lines)


MODULE = b"c__torch__\nM\n)\x81"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nHalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"


def holding(value: bytes) -> bytes:
    """A module with one attribute ``w``."""
    return program(MODULE, b"}X\x01\x00\x00\x00w", value, b"sb.")


def test_hand_written_program_loads(archive: Path) -> None:
    tensor = TENSOR + b"(" + STORAGE + b"K\x00(K\x01t(K\x01t\x89}tR"
    assert read_state(replaced(archive, "data.pkl", holding(tensor)))["w"].shape == (1,)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (program(b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R."), "it would call builtins.eval"),
        (program(b"ctorch\nload\nX\x01\x00\x00\x00x\x85R."), "it would call torch.load"),
        (program(b"ctorch.jit._pickle\nos.system\n."), "it would call torch.jit._pickle.os.system"),
        (program(b"c__torch__x\nM\n)\x81."), "it would call __torch__x.M"),
        (program(b"(i__torch__\nM\n."), "its pickle uses INST"),
        (program(b"]r\xff\xff\xff\x7f."), "numbers a value 2147483647"),
        (program(MODULE, b"}c__torch__\nM\n}bb."), "damaged TorchScript archive"),  # changes a class
        (program(TENSOR, b"}X\x01\x00\x00\x00aK\x01sb."), "damaged TorchScript archive"),  # changes a function
        (holding(STORAGE + b"}b"), "damaged TorchScript archive"),  # changes a storage
        (holding(TENSOR + b"(" + STORAGE + b"K\x00(K\x01t(K\x01t\x89}tR}b"), "damaged"),  # changes a tensor
        (holding(TENSOR + b"(" + STORAGE + b"K\x00(J\xff\xff\xff\x7ft(K\x00t\x89}tR"), "larger than its storage"),
        (holding(TENSOR + b"(" + STORAGE + b"K\x00(J\xff\xff\xff\xfft(K\x01t\x89}tR"), "shape is damaged"),
        (holding(TENSOR + b"(" + STORAGE + b"J\xff\xff\xff\x7f(K\x01t(K\x01t\x89}tR"), "damaged"),
        (holding(TENSOR + b"(K\x07K\x00(K\x01t(K\x01t\x89}tR"), "shape is damaged"),
        (holding(STORAGE.replace(b"\x000X\x03", b"\x00/X\x03")), "damaged"),  # no such entry
        (holding(b"K\x01" + MODULE + b"0"), "holds no tensors by name"),
        (program(b"]."), "its modules are damaged"),
        (program(MODULE, b"."), "damaged TorchScript archive"),
        (program(MODULE, b"]b."), "not a dictionary"),
        (b"", "damaged TorchScript archive"),
        (b"\x80\x02" + b"(" * 1000, "damaged TorchScript archive"),
    ],
)
def test_torchscript_programs_that_are_refused(archive: Path, content: bytes, problem: str) -> None:
    path = replaced(archive, "data.pkl", content)
    with pytest.raises(WeightsError, match=problem) as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


def test_modules_inside_themselves(archive: Path) -> None:
    endless = program(MODULE, b"q\x01}X\x01\x00\x00\x00wh\x01sb.")
    with pytest.raises(WeightsError, match="its modules are damaged"):
        read_state(replaced(archive, "data.pkl", endless))


def test_packed_entries(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as old:
        size = old.getinfo("clip/data/0").file_size
    path = replaced(archive, "data/0", bytes(size), packed=True)
    with pytest.raises(WeightsError, match="entry 'clip/data/0' is compressed"):
        load_clip(path)
    torch.save(small().state_dict(), tmp_path / "plain.pt")
    with pytest.raises(WeightsError, match="is compressed"):
        load_clip(replaced(tmp_path / "plain.pt", "data/0", bytes(10**6), packed=True))


def test_entries_that_overlap(tmp_path: Path) -> None:
    path = tmp_path / "twice.pt"
    torch.save({"a": torch.zeros(100_000)}, path)
    with zipfile.ZipFile(path, "a") as file:
        big = next(entry for entry in file.infolist() if entry.file_size == 400_000)
        again = copy.copy(big)
        again.filename = "twice/data/9"
        file.filelist.append(again)  # a second name for the same bytes
        file.writestr("twice/x", b"")
    with pytest.raises(WeightsError, match="its entries are larger than the file"):
        load_clip(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_tensors_that_would_grow(tmp_path: Path, legacy: bool) -> None:
    state = {**small().state_dict(), "token_embedding.weight": torch.zeros(1).expand(10**6, 128)}
    torch.save(state, tmp_path / "huge.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="token_embedding.weight is not a plain dense tensor"):
        load_clip(tmp_path / "huge.pt")


def test_sparse_and_quantised_tensors(tmp_path: Path) -> None:
    for value in (torch.eye(3).to_sparse(), torch.empty(3, device="meta")):
        torch.save({"a": value}, tmp_path / "odd.pt")
        with pytest.raises(WeightsError, match="a is not a plain dense tensor"):
            load_clip(tmp_path / "odd.pt")


def test_big_endian_and_several_roots(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="big-endian"):
        load_clip(replaced(archive, "byteorder", b"big"))
    with zipfile.ZipFile(tmp_path / "two.pt", "w") as file:
        for name in ("a/data.pkl", "b/data.pkl", "a/constants.pkl"):
            file.writestr(name, b"")
    with pytest.raises(WeightsError, match=r"one data.pkl in one folder \(got 2\)"):
        load_clip(tmp_path / "two.pt")


def test_what_is_no_weight_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    for content, problem in (
        (b"", "got an empty file"),
        (b"hello, world, hello", "got an unknown kind of file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 6\n", "but a Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html></html>", "but a page for a browser"),
        (b"\x1f\x8b\x08" + bytes(20), "compressed with gzip"),
        (b'{"error": "not found", "a": 1}', "a JSON file, but not an index"),
        (b"PK\x03\x04rubbish", "damaged or cut short"),
        (b"\x80\x02rubbish", "damaged, or not written by torch.save"),
        ((2**62).to_bytes(8, "little") + b'{"a": 1}', "got an unknown kind of file"),
        ((8).to_bytes(8, "little") + b'{"a": 1}', "damaged safetensors file"),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=problem):
            load_clip(path)


def test_names_do_not_break_the_message(tmp_path: Path) -> None:
    save_file({**small().state_dict(), "a\nb" + "x" * 1000: torch.zeros(1)}, tmp_path / "clip.safetensors")
    with pytest.raises(WeightsError, match="unexpected a b") as caught:
        load_clip(tmp_path / "clip.safetensors")
    assert len(str(caught.value)) < 1000
    save_released(tmp_path / "best.pt", small(), VideoHead(24, 2), 1)
    checkpoint = torch.load(tmp_path / "best.pt", weights_only=True)
    del checkpoint["fusion_model_state_dict"]
    torch.save({**checkpoint, "a\nb": 1}, tmp_path / "best.pt")
    with pytest.raises(WeightsError) as caught:
        load_released(tmp_path / "best.pt")
    assert "\n" not in str(caught.value)
