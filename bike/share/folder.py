"""A trained video branch as a folder, as the Hugging Face Hub lays it out; and a checkpoint as one safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bike.errors import BikeError, one_line
from bike.evaluate.results import LAST, read_numbers
from bike.files import claim_file, claim_folder, read_json, sha256, write_bytes, write_json
from bike.model.formats.read import files_of, find_file, weights_sha256
from bike.model.weights import load_with_contract, save_released
from bike.provenance import provenance_path
from bike.records import write_labels
from bike.share.card import Measured, card_text

WEIGHTS = "model.safetensors"
FILES = ("config.json", "labels.csv", "README.md", WEIGHTS)


def export_safetensors(model: Path, out: Path, *, replace: bool = False) -> None:
    """Write a checkpoint, of either branch, in a format that holds no code; it loads as before, in fp32.

    Raises:
        WeightsError: the model can't be loaded.
        BikeError: ``out`` is the model, is there already without ``replace``, or can't be written.
    """
    source = find_file(model)
    with claim_file(out, inputs=files_of(source), replace=replace):
        save_released(out, *load_with_contract(source))


def publish(
    model: Path, folder: Path, *, results: Sequence[Path] = (), dataset: str | None = None, replace: bool = False
) -> None:
    """Write a folder with all that others need: weights, contract, class names, and a model card.

    Args:
        model: a video branch that says what it was trained for.
        folder: to write; :func:`bike.model.choose.load_video_model` takes it in a checkpoint's place.
        results: folders of finished evaluations of this very model, whose metrics the card shows.
        dataset: name of the data that the results were measured on.
        replace: whether another model that was published there may be thrown away.

    Raises:
        BikeError: the model doesn't say what it was trained for, a result is of another model or was changed, or the
            folder can't be written to.
    """
    file = find_file(model)
    released = load_with_contract(file)
    contract = released.contract
    if contract is None or contract.kind != "video":
        raise BikeError(
            f"{model}: holds no video branch that says what it was trained for, as others would need it. "
            "Publish a model that `bike train` wrote."
        )
    digest = weights_sha256(file)
    measured = [_measured(place, digest, file) for place in results]
    card = card_text(one_line(folder.resolve().name), contract, measured, dataset=dataset)
    settings = {"model": digest, "card": card}
    read = [*files_of(file), *(place / LAST for place in results)]
    with (
        claim_folder(folder, "published", names=FILES, inputs=read, settings=settings, replace=replace) as output,
        output.writing(WEIGHTS) as new,
    ):
        config = {"architectures": ["bike"], "model_type": "bike", "contract": contract.model_dump(mode="json")}
        write_json(new / "config.json", config)
        write_bytes(new / "README.md", card.encode())
        write_labels(new / "labels.csv", contract.classes)
        save_released(new / WEIGHTS, *released)


def _measured(folder: Path, digest: str, model: Path) -> Measured:
    """Metrics of an evaluation whose provenance says that they are of this model, and are still what was written."""
    metrics, path = folder / LAST, provenance_path(folder)
    origin: Any = read_json(path) if path.is_file() else None
    if not isinstance(origin, dict) or not isinstance(origin.get("weights"), dict):
        raise BikeError(f"{path}: missing, or no provenance of an evaluation; it says which model was measured.")
    if origin.get(LAST) != sha256(metrics):
        raise BikeError(f"{metrics}: was changed after it was measured ({path} has another checksum). Evaluate again.")
    if origin["weights"].get("sha256") != digest:
        raise BikeError(
            f"{folder}: measured with another model ({one_line(origin['weights'].get('file'))[:100]}) than {model}. "
            "Name results of this one."
        )
    return Measured(read_numbers(metrics), origin)
