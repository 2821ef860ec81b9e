"""The model card: what the Hub reads of it, whatever names there are."""

from __future__ import annotations

import re

import pytest
from helpers.contracts import video_contract
from ruamel.yaml import YAML

from bike.share.card import Measured, card_text

ORIGIN = {"commit": "0123abc", "dvc.lock": None, "versions": {"bike-video": "0.2.0", "torch": "2.13.0"}}
METRICS = {"top1": 79.7619, "top5": 99.0476, "map": 64.2, "clips": 4.0, "crops": 3.0, "videos": 420.0}
HOSTILE = 'x: [\n---\n<script>alert(1)</script> | ![a](https://e.invalid) `b` "\x00'


def header(card: str) -> dict[str, object]:
    """The values between the two lines of dashes."""
    found = re.match(r"---\n(.*?)^---\n", card, re.S | re.M)
    assert found
    return YAML(typ="safe", pure=True).load(found[1])  # type: ignore[no-any-return]


def test_the_header_has_the_metrics() -> None:
    card = card_text("tiny", video_contract(), [Measured(METRICS, ORIGIN)], dataset="demo")
    assert header(card)["model-index"] == [
        {
            "name": "tiny",
            "results": [
                {
                    "task": {"type": "video-classification"},
                    "dataset": {"name": "demo", "type": "demo"},
                    "metrics": [
                        {"type": "accuracy", "name": "top-1, 4x3 views (%)", "value": 79.76},
                        {"type": "accuracy", "name": "top-5, 4x3 views (%)", "value": 99.05},
                        {"type": "mean_average_precision", "name": "mAP, 4x3 views (%)", "value": 64.2},
                    ],
                }
            ],
        }
    ]
    assert "\ncommit 0123abc, bike-video 0\\.2\\.0, torch 2\\.13\\.0." in card
    assert "| classes | 3: red square, green square, blue square |" in card


def test_the_hub_reads_it() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = hub.ModelCard(card_text("tiny", video_contract(), [Measured(METRICS, ORIGIN)], dataset="demo"))
    assert card.data.model_name == "tiny"
    assert [(each.metric_type, each.metric_value, each.dataset_name) for each in card.data.eval_results] == [
        ("accuracy", 79.76, "demo"),
        ("accuracy", 99.05, "demo"),
        ("mean_average_precision", 64.2, "demo"),
    ]


def test_hostile_names_stay_where_they_are() -> None:
    contract = video_contract(classes=[HOSTILE, "b"] * 30, prompt=HOSTILE + "{}")
    measured = Measured(METRICS, {"commit": HOSTILE, "versions": {HOSTILE: HOSTILE}})
    card = card_text(HOSTILE, contract, [measured], dataset=HOSTILE)
    found = header(card)
    assert list(found) == ["library_name", "pipeline_tag", "tags", "model-index"]
    body = card.split("\n---\n", 2)[-1]
    assert "and 40 more in `labels.csv`" in body
    assert not re.search(r"(?<!\\)[<>\[\]!]", body.replace("```", "")), "markup"
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (0, 3, 4) for line in body.splitlines())
    assert "\x00" not in card


def test_without_results_there_are_no_metrics() -> None:
    card = card_text("tiny", video_contract(), [])
    assert "model-index" not in header(card)
    assert "Measured" not in card
