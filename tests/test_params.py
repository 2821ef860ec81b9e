"""params.yaml: what is accepted, and messages that name the key and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bike.errors import BikeError, ParamsError
from bike.params import load_params, load_params_or_defaults, parse_params


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"train": {"lrr": 1e-3}}, ["train.lrr: unknown key", "Did you mean 'lr'?"]),
        ({"modle": {}}, ["modle: unknown key", "Did you mean 'model'?"]),
        ({"evaluate": {"views": {"4x3": {"crop": 3}}}}, ["4x3.crop: unknown key", "Known: clips, crops, dense"]),
        ({"train": {"lr": 5}}, ["train.lr", "less than 1", "got 5"]),
        ({"train": {"epochs": 0}}, ["train.epochs", "greater than or equal to 1"]),
        ({"train": {"loss": "mse"}}, ["train.loss", "'nce' or 'ds'", "'mse'"]),
        ({"model": {"prompt": "a video"}}, ["model", "exactly one {}"]),
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


@pytest.mark.parametrize("text", ["train: [", "- a\n- b\n", "train: {lr: 1\n"])
def test_a_file_that_is_no_params_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(ParamsError, match="params.yaml"):
        load_params(file)


def test_yaml_can_not_make_objects(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("train: !!python/object/apply:os.system ['touch pwned']\n")
    with pytest.raises(BikeError):
        load_params(file)
    assert not (tmp_path / "pwned").exists()


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match="no such file"):
        load_params(tmp_path / "absent.yaml")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("")
    assert load_params(file) == parse_params({}, "p")


def test_a_warm_up_that_never_ends_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"x: train: warmup_epochs must be below epochs, .* \(got 5 of 3\)\.$"):
        parse_params({"train": {"epochs": 3}}, "x")
    with pytest.raises(ParamsError, match=r"x: model: prompt needs exactly one \{\} .* \(got 'a \{\} \{\}'\)\.$"):
        parse_params({"model": {"prompt": "a {} {}"}}, "x")


def test_without_a_file_the_published_settings_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_params_or_defaults(Path("params.yaml"))
    assert (settings.model.weights, settings.train.lr, settings.train.batch_size) == ("ViT-B/32", 5e-5, 256)
    with pytest.raises(BikeError, match="my.yaml: no such file"):
        load_params_or_defaults("my.yaml")
    (tmp_path / "params.yaml").write_text("train: {lr: 1e-5}\n")
    assert load_params_or_defaults("params.yaml").train.lr == 1e-5
