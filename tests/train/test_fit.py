"""Training: it learns, agrees with the published steps, and goes on after any kind of stop."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit_program
from helpers.fit import ALONE, TINY, StopsAfter, batch_of, gradients_of, run_processes, tiny_encoder, tiny_video_branch
from helpers.fit_data import NAMES, DataSet, make_data, write_params
from helpers.shards import thin_packs
from safetensors.torch import load_file
from torch import Tensor

from bike.errors import BikeError, BusyError, DataError, ParamsError
from bike.files import sha256
from bike.model.contract import Origin
from bike.model.encoders import build
from bike.model.heads import VideoHead
from bike.model.weights import load_clip, load_released, load_with_contract, save_released, save_safetensors
from bike.params import Optimisation, load_params
from bike.records import read_list, write_labels, write_list
from bike.runtime.checkpoint import Place, held_state
from bike.train import fit as fit_module
from bike.train.branches import VideoBranch, choose_trained, trained_parameters
from bike.train.fit import Job, fit
from bike.train.optim import PublishedUpdater
from bike.train.outcome import Trained
from bike.train.run_video import train_video
from bike.train.step import StepOptions, compute_gradients, is_finite


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data(tmp_path_factory.mktemp("fit") / "data")


CPU = Place(device="cpu")


def train(data: DataSet, name: str = "model", **options: object) -> Trained:
    chosen: dict[str, object] = {
        "train_list": data.train,
        "train_frames": data.frames,
        "labels": data.labels,
        "out": data.root / f"{name}.pt",
        "val_list": data.val,
        "val_frames": data.frames,
        "place": CPU,
        **options,
    }
    return train_video(load_params(data.params), **chosen)  # type: ignore[arg-type]


def state_of(path: Path) -> dict[str, Tensor]:
    found = torch.load(path, weights_only=True)
    return {**found["model_state_dict"], **{f"head.{k}": v for k, v in found["fusion_model_state_dict"].items()}}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def plain(data: DataSet) -> Trained:
    """A run that nothing interrupts."""
    return train(
        data, "plain", place=replace(CPU, live_dir=data.root / "plain.live", state_dir=data.root / "plain.state")
    )


def test_a_run_writes_checkpoint_and_curves_and_removes_its_state(data: DataSet, plain: Trained) -> None:
    encoder, head, epoch = load_released(plain.checkpoint)
    assert isinstance(head, VideoHead)
    assert (head.temporal, head.interaction, epoch, encoder.input_size) == ("transf", "vcs", 2, 16)
    assert not (data.root / "plain.state").exists()
    live = data.root / "plain.live"
    names = {str(p.relative_to(live)) for p in live.rglob("*.tsv")}
    assert names == {f"plots/metrics/{n}.tsv" for n in ("train/loss", "train/lr_head", "train/lr_encoder", "val/top1")}
    assert json.loads((live / "metrics.json").read_text())["val"]["top1"] == plain.latest("val/top1")
    steps = [step for step, values in plain.points if "train/loss" in values]
    assert steps == list(range(6))  # 12 clips in batches of 4, twice


def test_only_what_should_be_trained_changes(data: DataSet, plain: Trained) -> None:
    before, after = load_clip(data.weights).state_dict(), state_of(plain.checkpoint)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert "logit_scale" in changed
    assert "visual.proj" in changed
    assert {name for name in changed if not name.startswith("visual.")} == {"logit_scale"}


def test_killed_and_stopped_runs_end_as_uninterrupted_ones(data: DataSet, plain: Trained) -> None:
    stops = [
        (("14", "SIGKILL", "read"), -9),  # in the second step of the first epoch, which has saved one state
        (("3", "SIGKILL", "save"), -9),  # while a state is half written
        (("2", "SIGINT", "read"), 130),
        (("2", "SIGTERM", "read"), 143),
    ]
    for words, status in stops:
        (done,) = run_processes(1, fit_program.train, "video", str(data.root), "cut", *words)
        assert done.status == status, done.errors
        assert not (data.root / "cut.pt").exists()
    assert "Stopped." in done.errors
    (done,) = run_processes(1, fit_program.train, "video", str(data.root), "cut")
    assert done.status == 0, done.errors
    assert "going on after" in done.errors
    assert filecmp.cmp(plain.checkpoint, data.root / "cut.pt", shallow=False)
    assert files_below(data.root / "plain.live") == files_below(data.root / "cut.live")
    assert not (data.root / "cut.state").exists()


def test_the_state_of_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", per_class=2)
    settings = {"epochs": 2, "batch_size": 6, "warmup_epochs": 0, "lr": 1e-3}

    def run(**changed: object) -> None:
        (data.root / "cut.pt").unlink(missing_ok=True)
        write_params(data, {"train": settings})
        (stopped,) = run_processes(1, fit_program.train, "video", str(data.root), "cut", "3", "SIGTERM", "save")
        assert stopped.status == 143, stopped.errors
        write_params(data, {"train": {**settings, **changed}})

    state = data.root / "cut.state" / "state.pt"
    place = replace(CPU, state_dir=state.parent)
    run(lr=2e-3)
    before = state.read_bytes()
    with pytest.raises(BikeError, match=r"other settings \(train\.lr is 0\.001 there and 0\.002 here\).*--fresh"):
        train(data, "cut", place=place)
    assert state.read_bytes() == before
    train(data, "cut", place=replace(place, apart=True))  # as a stage of the pipeline does
    assert state.read_bytes() == before
    train(data, "cut", place=replace(place, fresh=True))
    assert not state.exists()
    run(validate_every=2, checkpointing=True, accumulate=2, threads=1)
    train(data, "cut", place=place, val_list=None)  # none of these changes a weight
    assert not state.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 and then nothing", "not a saved state"),
        ({"fingerprint": "of an earlier version"}, "other settings.*it records no settings"),
        ({"settings": {}, "encoder": {}, "head": 3}, "not a state of this run"),
    ],
)
def test_states_that_are_none_are_one_line(tmp_path: Path, content: object, said: str) -> None:
    job = Job(out=tmp_path / "model.pt")
    state = tmp_path / ".model.pt.state" / "state.pt"
    state.parent.mkdir()
    if isinstance(content, bytes):
        state.write_bytes(content)
    else:
        torch.save(content, state)
    branch = tiny_video_branch()
    with pytest.raises(BikeError, match=said):
        fit(branch, _Batches(1), PublishedUpdater(branch.parts, Optimisation(), 1, ALONE.device), ALONE, job)
    assert state.exists()


def test_two_runs_do_not_share_a_state(tmp_path: Path) -> None:
    branch = tiny_video_branch()
    updater = PublishedUpdater(branch.parts, Optimisation(), 1, ALONE.device)
    job = Job(out=tmp_path / "model.pt")
    with held_state(job.state_folder(), "training"), pytest.raises(BusyError, match="another run is training here"):
        fit(branch, _Batches(1), updater, ALONE, job)
    fit(branch, _Batches(1), updater, ALONE, job)
    assert not list(tmp_path.iterdir())


def stop(data: DataSet, name: str, asked: int) -> dict[str, Any]:
    """Train until the loop has asked so often whether to stop: 3 steps and the end of an epoch, twice; the state."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fit_module, "StopRequest", lambda: StopsAfter(asked))
        train(data, name, place=replace(CPU, state_dir=data.root / f"{name}.state"))
    return torch.load(data.root / f"{name}.state" / "state.pt", weights_only=True)


# Where other loaders lost their place, gave a batch twice or left one out.
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("asked", "epoch", "step"),
    [(3, 0, 3), (4, 1, 0), (6, 1, 2), (7, 1, 3)],
    ids=["after the last batch of an epoch", "between epochs", "in a later epoch", "after the last batch of all"],
)
def test_a_state_of_any_moment_goes_on_with_any_number_of_workers(
    data: DataSet, plain: Trained, asked: int, epoch: int, step: int, workers: int
) -> None:
    state = stop(data, "moment", asked)
    assert (state["epoch"], state["step"]) == (epoch, step)
    place = replace(CPU, state_dir=data.root / "moment.state", workers=workers)
    done = train(data, "moment", place=place, replace=True)
    assert filecmp.cmp(plain.checkpoint, done.checkpoint, shallow=False)
    assert done.points == plain.points
    done.checkpoint.unlink()


@pytest.mark.parametrize("asked", [0, 3, 6], ids=["alone", "after the last batch of an epoch", "in a later epoch"])
def test_two_processes_train_the_same_model(data: DataSet, plain: Trained, asked: int) -> None:
    """From the start, and from the state of a single one."""
    root, name = data.root, f"pair{asked}"
    if asked:
        stop(data, name, asked)
    both = run_processes(2, fit_program.train, "video", str(root), name)
    assert [ended.status for ended in both] == [0, 0], both
    assert ("going on after" in both[0].errors) == bool(asked)
    alone, pair = state_of(plain.checkpoint), state_of(root / f"{name}.pt")
    for key, value in alone.items():
        # Adam divides by the gradient's size: where it is nearly 0, rounding decides the sign of a step.
        assert (pair[key] - value).abs().mean() < 2e-4, key
    losses = losses_of(plain)
    rows = (root / f"{name}.live/plots/metrics/train/loss.tsv").read_text().splitlines()[1:]
    assert [float(row.split("\t")[1]) for row in rows] == pytest.approx(losses, rel=1e-3)


def test_parts_change_memory_only() -> None:
    whole = gradients_of("video", 7, ALONE, StepOptions())
    parts = gradients_of("video", 7, ALONE, StepOptions(parts=3))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-3, atol=1e-5)


def test_training_learns_colours(tmp_path: Path) -> None:
    section = {"epochs": 12, "batch_size": 6, "lr": 3e-3, "clip_ratio": 1.0, "augment": False, "validate_every": 12}
    data = make_data(tmp_path / "data", per_class=6, val_per_class=3, sections={"train": section})
    done = train(data, temporal="none", interaction="dp")
    losses = losses_of(done)
    assert sum(losses[-3:]) < 0.5 * sum(losses[:3])
    top1 = done.latest("val/top1")
    assert top1 is not None
    assert top1 > 80


def losses_of(trained: Trained) -> list[float]:
    return [values["train/loss"] for _, values in trained.points if "train/loss" in values]


def test_options_for_memory_and_precision(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", per_class=2)
    found = {}
    for name, section in {
        "plain": {},
        "checkpointing": {"checkpointing": True},
        "parts": {"accumulate": 3},
        "bf16": {"precision": "bf16"},
        "text": {"fix_text": False},
        "ds": {"loss": "ds"},
    }.items():
        settings = {"epochs": 2, "batch_size": 6, "lr": 1e-3, "warmup_epochs": 0, "lr_every_steps": 1, **section}
        write_params(data, {"train": settings})
        found[name] = losses_of(train(data, name, val_list=None))
    assert found["checkpointing"] == pytest.approx(found["plain"], rel=1e-4)
    assert found["parts"] == pytest.approx(found["plain"], rel=1e-4)
    assert found["bf16"] == pytest.approx(found["plain"], rel=0.02)
    assert found["bf16"] != found["plain"]
    assert found["text"][0] == pytest.approx(found["plain"][0], rel=1e-4)
    assert found["text"][1] != pytest.approx(found["plain"][1], rel=1e-4)
    assert found["ds"][0] != pytest.approx(found["plain"][0], rel=1e-6)
    changed = state_of(data.root / "text.pt")
    assert not torch.equal(changed["text_projection"], load_clip(data.weights).text_projection)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_scaler_scales_the_gradients_and_nothing_else(parts: int) -> None:
    """As fp16 needs it; the scaler runs on a CPU, too."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, labels = batch_of(6, "video")
    plain, scaled = tiny_video_branch(), tiny_video_branch()
    loss = compute_gradients(plain, inputs, labels, [6], ALONE, StepOptions(parts=parts))
    again = compute_gradients(scaled, inputs, labels, [6], ALONE, StepOptions(parts=parts, scaler=scaler))
    assert float(loss) == pytest.approx(float(again), rel=1e-5)
    for one, other in zip(trained_parameters(plain), trained_parameters(scaled), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad / 1024, one.grad, rtol=1e-3, atol=1e-6)


class _FloatBranch(VideoBranch):
    """Takes frames that are normalised already, as the reference batches are."""

    def embed(self, inputs: Tensor) -> Tensor:
        return self.encoder.encode_image(inputs.flatten(0, 1)).view(*inputs.shape[:2], -1)


def test_four_published_steps_are_reproduced(golden: Path) -> None:
    settings = json.loads((golden / "train.json").read_text())
    tensors = load_file(golden / "tensors.safetensors")
    encoder = load_clip(golden / "clip_fp16.safetensors")
    head = VideoHead(encoder.embed_dim, encoder.text_heads)
    head.load_state_dict({k: v.float() for k, v in load_file(golden / "video_head_fp16.safetensors").items()})
    choose_trained(encoder, vision=True, text=False)
    branch = _FloatBranch(encoder, head, tensors["text_ids"])
    names = ("lr", "clip_ratio", "weight_decay", "epochs", "warmup_epochs")
    published = Optimisation(**{name: settings[name] for name in names})
    updater = PublishedUpdater(branch.parts, published, settings["steps_per_epoch"], ALONE.device)
    batches = load_file(golden / "train_batches_fp16.safetensors")
    for number, expected in enumerate(settings["losses"]):
        updater.set_rates(*divmod(number, settings["steps_per_epoch"]))
        frames, labels = batches[f"batch{number}.frames"].float(), batches[f"batch{number}.labels"]
        loss = compute_gradients(branch, frames, labels, [len(labels)], ALONE, updater.options)
        updater.update()
        assert float(loss) == pytest.approx(expected, rel=1e-4)
    after = load_file(golden / "train_after.safetensors")
    with torch.no_grad():
        frames = tensors["frames"]
        features = encoder.encode_image(frames.flatten(0, 1)).view(*frames.shape[:2], -1)
        found = {
            "head.frame_position_embeddings": head.frame_position_embeddings.weight[:8],
            "image_features": features,
            "logit_scale": encoder.logit_scale.view(1),
            "logits": head(features, encoder.encode_text(branch.ids)[1], encoder.encode_text(branch.ids)[0]),
            "visual.proj": encoder.visual.proj,
        }
    for name, value in found.items():
        torch.testing.assert_close(value, after[f"after.{name}"], rtol=0, atol=1e-5, msg=name)


class _Batches:
    """The same random batch in each of ``steps`` steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([batch_of(4, "video")] * (self._steps - first_step))


class _Spoils(PublishedUpdater):
    """Puts a value into a weight, or into its gradient, at one step."""

    def __init__(self, branch: VideoBranch, what: str, value: float, step: int) -> None:
        super().__init__(branch.parts, Optimisation(warmup_epochs=0), 100, ALONE.device)
        self._first, self._what, self._value, self._left = trained_parameters(branch)[0], what, value, step

    def update(self) -> None:
        self._left -= 1
        if self._what == "gradient" and self._left == 0:
            assert self._first.grad is not None
            self._first.grad.flatten()[0] = self._value
        super().update()
        if self._what == "weight" and self._left == 0:
            with torch.no_grad():
                self._first.flatten()[0] = self._value


@pytest.mark.parametrize("what", ["weight", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("step", [3, 5])
@pytest.mark.parametrize("saves", ["each step", "at the end"])
def test_no_state_and_no_checkpoint_has_anything_but_numbers(
    tmp_path: Path, what: str, value: float, step: int, saves: str
) -> None:
    branch, written = tiny_video_branch(), []
    each = saves == "each step"
    job = Job(out=tmp_path / "model.pt", place=Place(save_every_seconds=0.0 if each else 1e9), points=1)
    # A weight is looked at when it is saved; until then it shows in the next loss.
    named = step if each or what == "gradient" else min(step + 1, 5)
    with pytest.raises(BikeError, match=rf"no longer a number \(epoch 1, step {named}\).*state stays.*train\.lr"):
        fit(branch, _Batches(5), _Spoils(branch, what, value, step), ALONE, job, lambda: written.append(1))
    assert not written
    if not each:
        assert not list(tmp_path.iterdir())
        return
    state = torch.load(tmp_path / ".model.pt.state" / "state.pt", weights_only=True)
    assert state["step"] == step - 1
    assert all(bool(value.isfinite().all()) for part in ("encoder", "head") for value in state[part].values())


@pytest.mark.parametrize("bad", [[float("nan")], [float("inf")], [float("inf"), -float("inf")]])
def test_one_value_that_is_no_number_is_found(bad: list[float]) -> None:
    sound = [torch.full((3, 3), 1e30), torch.zeros(0), torch.tensor(-1e300, dtype=torch.float64)]
    assert is_finite(sound)
    assert not is_finite([*sound, torch.tensor([0.0, *bad, 1.0])])


def test_bad_input_is_named(data: DataSet, tmp_path: Path) -> None:
    samples = read_list(data.train)
    write_list(tmp_path / "empty.csv", [])
    write_list(tmp_path / "few.csv", samples[:3])
    write_labels(tmp_path / "labels.csv", NAMES[:2])
    for kind, said, options in (
        (ParamsError, "--temporal.*'transformer'.*none or transf", {"temporal": "transformer"}),
        (BikeError, r"absent\.csv: no such file", {"train_list": tmp_path / "absent.csv"}),
        (BikeError, "is a folder", {"out": tmp_path}),
        (BikeError, "can't be written", {"out": "/proc/nowhere/model.pt"}),
        (BikeError, "not where its frames are", {"val_frames": None}),
        (DataError, r"empty\.csv: no rows", {"train_list": tmp_path / "empty.csv"}),
        (
            DataError,
            r"3 samples, fewer than one batch of 4; .* Set train\.batch_size to 3 or less",
            {"train_list": tmp_path / "few.csv"},
        ),
        (DataError, "classes without a name", {"labels": tmp_path / "labels.csv"}),
    ):
        with pytest.raises(kind, match=said):
            train(data, **options)
    assert not (data.root / "model.pt").exists()


def train_from(folder: Path, checkpoint: Path, section: dict[str, object], **options: object) -> Trained:
    """Train a moment on a data set of its own, starting from a checkpoint."""
    other = make_data(folder / f"data{len(list(folder.iterdir()))}", per_class=2)
    training = {"epochs": 1, "warmup_epochs": 0, "lr": 1e-12, "batch_size": 6}
    write_params(other, {"model": {"start_from": str(checkpoint), **section}, "train": training})
    return train(other, **options)


def test_training_starts_from_a_released_head(plain: Trained, tmp_path: Path) -> None:
    started = state_of(train_from(tmp_path, plain.checkpoint, {}).checkpoint)
    for name, value in state_of(plain.checkpoint).items():
        torch.testing.assert_close(started[name], value, rtol=0, atol=1e-6)
    with pytest.raises(ParamsError, match=r"model\.temporal: .* has the head 'transf' \(got 'none'\)"):
        train_from(tmp_path, plain.checkpoint, {}, temporal="none")
    with pytest.raises(ParamsError, match="interaction: 'dp', but .* was trained with 'vcs'"):
        train_from(tmp_path, plain.checkpoint, {}, interaction="dp")


def test_a_checkpoint_says_what_it_was_trained_for(data: DataSet, plain: Trained, tmp_path: Path) -> None:
    contract = load_with_contract(plain.checkpoint).contract
    assert contract is not None
    assert (contract.kind, contract.classes, contract.frames, contract.head) == ("video", NAMES, 3, "transf+vcs")
    assert contract.weights == Origin(name="clip.safetensors", sha256=sha256(data.weights))
    assert (contract.training["epochs"], contract.data["list"]) == (2, sha256(data.train))
    assert str(data.root) not in contract.text()
    # The same data set and run elsewhere on this machine: the same bytes.
    twin = make_data(tmp_path / "data")
    assert train(twin, "twin").checkpoint.read_bytes() == plain.checkpoint.read_bytes()
    some = load_with_contract(train(twin, "some", train_frames=thin_packs(twin.frames, 4)).checkpoint).contract
    assert some is not None
    assert some.data["frames_per_video"].startswith("4 of each video")


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"frames": 6}, r"model\.frames: 6, but .*plain\.pt was trained with 3"),
        ({"prompt": "a {}"}, r"model\.prompt: 'a \{\}', but"),
        ({"weights": "ViT-B/16"}, r"model\.weights: 'ViT-B/16', but .* goes back to 'clip\.safetensors' \(SHA-256"),
    ],
)
def test_training_does_not_start_from_a_checkpoint_of_another_kind(
    plain: Trained, tmp_path: Path, section: dict[str, object], reason: str
) -> None:
    with pytest.raises(ParamsError, match=reason):
        train_from(tmp_path, plain.checkpoint, section)
    done = train_from(tmp_path, plain.checkpoint, {"allow_mismatch": list(section), **section})
    contract = load_with_contract(done.checkpoint).contract
    assert contract is not None
    assert contract.start_from == Origin(name="plain.pt", sha256=sha256(plain.checkpoint))
    assert contract.weights is not None
    assert contract.weights.name == "clip.safetensors"  # the first CLIP, whatever model.weights names


def test_a_released_checkpoint_of_another_architecture_is_not_started_from(tmp_path: Path) -> None:
    released, clip = tmp_path / "released.pt", tmp_path / "clip.safetensors"
    save_released(released, tiny_encoder(), VideoHead(16, 1, "none", "dp"), 0)
    save_safetensors(clip, build(replace(TINY, context_length=16)))  # a file, no name
    for weights in ("ViT-B/16", str(clip)):
        with pytest.raises(ParamsError, match=rf"{weights}', but .* goes back to another architecture"):
            train_from(tmp_path, released, {"weights": weights})
    contract = load_with_contract(train_from(tmp_path, released, {}).checkpoint).contract
    assert contract is not None
    assert contract.head == "none+dp"  # the params leave it out


def test_several_labels(data: DataSet, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Training says that it takes the first label; validation counts as evaluation does, and adds mAP."""
    every = tuple(range(len(NAMES)))
    lists = {}
    for path in (data.train, data.val):
        lists[path] = tmp_path / path.name
        write_list(lists[path], [replace(sample, labels=every) for sample in read_list(path)])
    done = train(data, train_list=lists[data.train], val_list=lists[data.val], out=tmp_path / "a.pt")
    assert "12 of 12 samples have several labels" in caplog.text
    assert (done.latest("val/top1"), done.latest("val/map")) == (100.0, 100.0)
