"""OpenAI's published weights: names, files, checksums, and where they are kept on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bike.files.names import user_folder

# Below it lies {sha256}/{file}.
OFFICIAL_URL = "https://openaipublic.azureedge.net/clip/models/{sha256}"


@dataclass(frozen=True)
class OfficialFile:
    """One published weight file."""

    name: str  # the official name of the model, such as `ViT-B/32`
    file: str  # the file's name
    sha256: str  # hex checksum; also the folder in the official URL


OFFICIAL_FILES: dict[str, OfficialFile] = {
    name: OfficialFile(name, file, sha256)
    for name, file, sha256 in (
        ("ViT-B/32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
        ("ViT-B/16", "ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
        ("ViT-L/14", "ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
        ("ViT-L/14-336px", "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
        ("RN50", "RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
        ("RN101", "RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),
        ("RN50x4", "RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),
        ("RN50x16", "RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),
        ("RN50x64", "RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"),
    )
}


def find_official(name: str) -> OfficialFile | None:
    """The published file of a model's name; ``ViT-B-32``, ``vit-b/32`` and ``ViT-L/14@336px`` are understood too."""
    folded = {_fold(official): file for official, file in OFFICIAL_FILES.items()}
    return OFFICIAL_FILES.get(name) or folded.get(_fold(name))


def weights_folder() -> Path:
    """Where fetched files are kept: ``$BIKE_WEIGHTS``, or ``bike/weights`` in the user's cache folder."""
    return user_folder("BIKE_WEIGHTS", "weights")


def _fold(name: str) -> str:
    return name.lower().replace("/", "-").replace("@", "-")
