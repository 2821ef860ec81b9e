"""What a row stands for: the frames that its project keeps are those that it scores."""

from __future__ import annotations

import pytest

from bike.data.temporal import test_indices as clip_indices
from bike.formats.kept import placed_frames
from bike.params import parse_params
from bike.project.protocol import KINDS, plan
from bike.project.render import render
from bike.zoo import load_zoo

TRIMMED = ("ActivityNet 1.3", "Charades")  # parts of videos are trained on


@pytest.mark.parametrize("name", [*KINDS, *load_zoo()])
def test_32_frames_are_kept_where_they_hold_all_that_is_scored(name: str) -> None:
    protocol, tree, _ = plan(name)
    params = parse_params(tree, name)
    assert "frames_per_video" in tree["extract"]  # stated in params.yaml, also where it is none
    one_clip = all(views.clips == 1 and not views.dense for views in params.evaluate.views.values())
    sampled = one_clip and not params.train.dense and protocol.title not in TRIMMED and protocol.task != "own"
    assert params.extract.frames_per_video == (32 if sampled else None)
    for num_frames in (33, 250, 299, 300, 1775) if sampled else ():
        assert set(clip_indices(num_frames, params.model.frames, 1)) <= set(placed_frames(num_frames, 32))


@pytest.mark.parametrize("name", load_zoo())
def test_a_published_map_is_a_running_mean_that_the_project_measures(name: str) -> None:
    protocol, tree, _ = plan(name)
    assert "map" not in protocol.published  # nobody published an exact one
    batch = 256 if name.startswith(("anet", "charades")) else None
    assert ("map_published" in protocol.published) == (batch is not None)
    assert protocol.published_map_batch == batch
    stages = render(protocol, tree, parse_params(tree, name))["dvc.yaml"]
    assert stages.count(" --published-map 256\n") == stages.count("--published-map") == (batch is not None)
