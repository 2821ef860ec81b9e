"""Checkpoints of tiny models that say what they were trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from helpers.fit import tiny_encoder
from helpers.fit_data import NAMES

from bike.model.contract import Contract, make_contract
from bike.model.heads import VideoHead
from bike.model.weights import save_released

FACTS: dict[str, Any] = {
    "kind": "video",
    "prompt": "This is a video about {}",
    "input_size": 16,
    "frames": 3,
    "short_side": None,
    "temporal": "transf",
    "interaction": "vcs",
}


def video_contract(**changes: Any) -> Contract:
    """Of a tiny video branch for the three classes of the small data set."""
    return make_contract(**{"classes": NAMES, "data": {}, **FACTS, **changes})


def save_model(path: Path, **changes: Any) -> Path:
    """An untrained video branch with its contract."""
    torch.manual_seed(1)
    contract = video_contract(**changes)
    assert contract.temporal is not None
    assert contract.interaction is not None
    encoder = tiny_encoder()
    head = VideoHead(16, 1, contract.temporal, contract.interaction, num_layers=1)
    save_released(path, encoder, head, 0, contract)
    return path
