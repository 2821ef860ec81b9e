"""params.yaml: what is accepted, and messages that name the key and the way out."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bike.errors import BikeError, ParamsError
from bike.params import Params, load_params, load_params_or_defaults, parse_params


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"train": {"lrr": 1e-3}}, ["train.lrr: unknown key", "Did you mean 'lr'?"]),
        ({"modle": {}}, ["modle: unknown key", "Did you mean 'model'?"]),
        ({"evaluate": {"views": {"4x3": {"crop": 3}}}}, ["4x3.crop: unknown key", "Known: clips, crops, dense"]),
        ({"train": {"lr": 5}}, ["train.lr", "less than 1", "got 5"]),
        ({"train": {"epochs": 0}}, ["train.epochs", "1 or more is allowed"]),
        ({"train": {"loss": "mse"}}, ["train.loss", "'nce' or 'ds'", "'mse'"]),
        ({"model": {"prompt": "a video"}}, ["model.prompt: needs exactly one {}", "got 'a video'"]),
        ({"attributes": {"prompt": "a {} {}"}}, ["attributes.prompt: needs exactly one {}"]),
        ({"shard": {"max_size_mb": math.inf}}, ["shard.max_size_mb: a finite number is needed", "got inf"]),
        ({"train": {"warmup_epochs": math.nan}}, ["train.warmup_epochs", "finite"]),
        ({"train": {"batch_size": 10**5000}}, ["train.batch_size: "]),
        ({"demo_data": {"seed": 1 << 70}}, ["demo_data.seed: is too large"]),
        ({"defaults": {"epochs": 3}}, ["defaults: unknown key", "x-… may hold anchors"]),
        ({"evaluate": {"views": {"4x3": {"clips": 4, "crops": 4}}}}, ["evaluate.views.4x3.crops", "got 4"]),
        ({"extract": 5}, ["extract", "got 5"]),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(tree: dict[str, object], said: list[str]) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_params(tree, "params.yaml")
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("params.yaml: ")
    for words in said:
        assert words in text


def test_several_bad_values_are_all_named() -> None:
    with pytest.raises(ParamsError, match=r"train\.lr.*train\.epochs|train\.epochs.*train\.lr"):
        parse_params({"train": {"lr": 3, "epochs": 0}}, "p")


def test_floats_without_a_point_are_numbers(tmp_path: Path) -> None:
    """YAML 1.2, as DVC reads it; PyYAML would take 1e-3 for text."""
    file = tmp_path / "params.yaml"
    file.write_text("train:\n  lr: 1e-3\n")
    assert load_params(file).train.lr == 1e-3


def repeating(first: str, form: str) -> str:
    """Twelve keys, each of which repeats the one before it eight times."""
    lines = [f"x-{n}: &a{n} " + form.format(f"*a{n - 1}, " * 8) for n in range(1, 12)]
    return "\n".join([f"x-0: &a0 {first}", *lines])


BOMB, MERGES = repeating("[1]", "[{}]"), repeating("{a: 1}", "{{<<: [{}]}}")


@pytest.mark.parametrize(
    "text",
    [
        "train: [",
        "- a\n- b\n",
        "train: {lr: 1\n",
        BOMB,
        MERGES,
        "train: &a [*a]\n",
        "[" * 500_000,
        "- " * 500_000,
        "train: " + "{a: " * 5000,
        "train: {epochs: " + "9" * 5000 + "}",
        "train: {epochs: 0x" + "f" * 5000 + "}",
        "train: !!timestamp x",
        "train: !!int x",
        "train: {lr: .inf}",
        "? [a, b]\n: c\n",
        "a: " + "x" * (1 << 20),
        "a: [" + "b, " * 60_000 + "]",
        "a: " + "[" * 3000 + ".0",
        "\0",
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_no_params_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(BikeError, match="params.yaml") as caught:
        load_params(file)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_yaml_can_not_make_objects(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("train: !!python/object/apply:os.system ['touch pwned']\n")
    with pytest.raises(BikeError):
        load_params(file)
    assert not (tmp_path / "pwned").exists()


def test_sections_without_keys_and_anchors_in_a_section_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("x-shared: &d {epochs: 20, warmup_epochs: 2}\ntrain: {<<: *d, lr: 1e-4}\nmodel:\n  # frames: 4\n")
    params = load_params(file)
    assert (params.train.epochs, params.train.lr, params.model) == (20, 1e-4, Params().model)


def test_the_file_of_another_project_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("prepare: {split: 0.2}\ntrain: {n_est: 50}\n")
    with pytest.raises(ParamsError, match=r"prepare: unknown key.*another project's, name yours with --params\.$"):
        load_params_or_defaults("params.yaml")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match="no such file"):
        load_params(tmp_path / "absent.yaml")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("")
    assert load_params(file) == parse_params({}, "p")


def test_a_warm_up_that_never_ends_is_refused() -> None:
    with pytest.raises(
        ParamsError, match=r"x: train: warmup_epochs \(5\) must be below epochs \(3\), .*; state both\.$"
    ):
        parse_params({"train": {"epochs": 3}}, "x")


def test_without_a_file_the_published_settings_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_params_or_defaults(Path("params.yaml"))
    assert (settings.model.weights, settings.train.lr, settings.train.batch_size) == ("ViT-B/32", 5e-5, 256)
    with pytest.raises(BikeError, match="my.yaml: no such file"):
        load_params_or_defaults("my.yaml")
    (tmp_path / "params.yaml").write_text("train: {lr: 1e-5}\n")
    assert load_params_or_defaults("params.yaml").train.lr == 1e-5


def test_what_was_a_parameter_once_is_told_its_place() -> None:
    with pytest.raises(ParamsError, match=r"evaluate\.workers: each machine's own: machine\.yaml, BIKE_WORKERS or"):
        parse_params({"evaluate": {"workers": 1}}, "p.yaml")
