"""Accuracy and average precision; torchnet's meter as oracle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from bike.evaluate.metrics import (
    _torchnet_meter,
    average_precision,
    class_accuracy,
    label_ranks,
    mean_average_precision,
    mean_class_accuracy,
    published_mean_average_precision,
    top_k_accuracy,
)

# torchnet was written for older torch; only what its meter itself sets off is let through.
quiet_torchnet = [
    pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8 is now deprecated:UserWarning"),
]


def random_case(seed: int, videos: int, classes: int, positive: float = 0.2) -> tuple[Tensor, Tensor]:
    """Distinct random scores, and targets in which the first class has no video."""
    rng = torch.Generator().manual_seed(seed)
    scores = torch.randperm(videos * classes, generator=rng).view(videos, classes).float()
    targets = (torch.rand(videos, classes, generator=rng) < positive).long()
    targets[:, 0] = 0
    return scores, targets


@pytest.fixture
def torchnet_meter() -> Any:
    return pytest.importorskip("torchnet.meter", reason="torchnet is not installed (extra 'torchnet')")


def meter_values(meter: Any, scores: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    single, mean = meter.APMeter(), meter.mAPMeter()
    single.add(scores, targets)
    mean.add(scores, targets)
    return single.value(), float(mean.value())


class TestTorchnet:
    pytestmark = quiet_torchnet

    @pytest.mark.parametrize(("videos", "classes"), [(1, 3), (7, 4), (200, 9)])
    def test_agrees_on_distinct_scores(self, torchnet_meter: Any, videos: int, classes: int) -> None:
        scores, targets = random_case(videos, videos, classes)
        single, mean = meter_values(torchnet_meter, scores, targets)
        torch.testing.assert_close(average_precision(scores, targets).float(), single, atol=1e-6, rtol=0)
        assert mean_average_precision(scores, targets) == pytest.approx(mean * 100, abs=1e-4)
        assert single[0] == 0

    def test_agrees_on_equal_scores(self, torchnet_meter: Any) -> None:
        # Up to 16 rows its sort happens to keep the order of rows, as ours always does ...
        rng = torch.Generator().manual_seed(0)
        scores = torch.randint(0, 3, (16, 40), generator=rng).float()
        targets = (torch.rand(16, 40, generator=rng) < 0.3).long()
        single, _ = meter_values(torchnet_meter, scores, targets)
        torch.testing.assert_close(average_precision(scores, targets).float(), single, atol=1e-6, rtol=0)
        # ... with more rows it does not, so the order of rows is written into the scores.
        scores = torch.randint(0, 5, (300, 6), generator=rng).float()
        targets = (torch.rand(300, 6, generator=rng) < 0.2).long()
        spread = scores - torch.arange(300)[:, None] / 1024
        single, _ = meter_values(torchnet_meter, spread, targets)
        torch.testing.assert_close(average_precision(scores, targets).float(), single, atol=1e-6, rtol=0)

    def test_running_mean_is_its_work_and_ours_agrees(
        self, torchnet_meter: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scores, targets = random_case(5, 53, 6)
        theirs = published_mean_average_precision(scores, targets.bool(), 10)
        meter, total = torchnet_meter.mAPMeter(), 0.0
        for batch_scores, batch_targets in zip(scores.split(10), targets.split(10), strict=True):
            meter.add(batch_scores, batch_targets)
            total += float(meter.value()) * 100 * len(batch_scores)
        assert theirs == total / 53
        monkeypatch.setitem(sys.modules, "torchnet.meter", None)  # as if it were not installed
        assert _torchnet_meter() is None
        assert published_mean_average_precision(scores, targets.bool(), 10) == pytest.approx(theirs, abs=1e-4)


def test_average_precision_equals_the_published_one(golden: Path) -> None:
    tensors = load_file(golden / "tensors.safetensors")
    scores, targets = tensors["map.scores"], tensors["map.targets"]
    torch.testing.assert_close(average_precision(scores, targets).float(), tensors["map.ap"], atol=1e-6, rtol=0)
    assert mean_average_precision(scores, targets) / 100 == pytest.approx(float(tensors["map.value"]), abs=1e-6)


def test_average_precision_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    targets = torch.tensor([[1, 0], [0, 0], [1, 0], [0, 0]])
    torch.testing.assert_close(average_precision(scores, targets), torch.tensor([(1 + 2 / 3) / 2, 0.0]).double())
    for kind in (torch.bool, torch.uint8, torch.int32):
        assert mean_average_precision(scores, targets.to(kind)) == pytest.approx(100 * 5 / 12)
    # Equal scores keep the order of rows.
    same = torch.zeros(4, 1)
    assert float(average_precision(same, torch.tensor([[1], [0], [0], [0]]))[0]) == 1
    assert float(average_precision(same, torch.tensor([[0], [0], [0], [1]]))[0]) == 0.25


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), videos=st.integers(1, 40), classes=st.integers(2, 6))
def test_average_precision_properties(seed: int, videos: int, classes: int) -> None:
    scores, targets = random_case(seed, videos, classes, 0.4)
    precision = average_precision(scores, targets)
    assert ((precision >= 0) & (precision <= 1)).all()
    torch.testing.assert_close(average_precision(scores.sqrt(), targets), precision)  # only the order counts
    order = torch.randperm(videos, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(average_precision(scores[order], targets[order]), precision)
    perfect = average_precision(targets.float(), targets)
    assert perfect.equal(targets.any(0).double())


def test_running_mean_of_one_batch_is_exact_and_otherwise_depends_on_order() -> None:
    scores, targets = random_case(1, 40, 5)
    exact = mean_average_precision(scores, targets)
    assert published_mean_average_precision(scores, targets, 40) == pytest.approx(exact, abs=1e-4)
    assert published_mean_average_precision(scores, targets, 1000) == pytest.approx(exact, abs=1e-4)
    assert published_mean_average_precision(scores, targets, 8) != pytest.approx(exact, abs=1e-3)
    with pytest.raises(ValueError, match="batch_size"):
        published_mean_average_precision(scores, targets, 0)
    with pytest.raises(ValueError, match="at least one video"):
        published_mean_average_precision(scores[:0], targets[:0], 8)
    with pytest.raises(ValueError, match="0 or 1"):
        published_mean_average_precision(scores, targets + 1, 8)


def test_accuracy_by_hand() -> None:
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.2, 0.2, 0.6]])
    labels = torch.tensor([0, 1, 0, 2])
    assert label_ranks(scores, labels).tolist() == [0, 1, 1, 0]
    assert [top_k_accuracy(scores, labels, k) for k in (1, 2, 5)] == [50, 100, 100]
    assert class_accuracy(scores, labels).tolist() == [50, 0, 100]
    assert mean_class_accuracy(scores, labels) == 50
    # A class without videos does not count.
    scores, labels = torch.eye(3)[[0, 0, 2]], torch.tensor([0, 0, 0])
    assert class_accuracy(scores, labels)[0] == mean_class_accuracy(scores, labels) == pytest.approx(200 / 3)
    assert class_accuracy(scores, labels)[1:].isnan().all()
    # Equal scores are no free hit.
    scores, labels = torch.zeros(10, 10), torch.arange(10)
    assert top_k_accuracy(scores, labels, 1) == pytest.approx(10)
    assert top_k_accuracy(scores, labels, 5) == pytest.approx(50)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), videos=st.integers(1, 30), classes=st.integers(1, 8))
def test_accuracy_properties(seed: int, videos: int, classes: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    scores = torch.rand(videos, classes, generator=rng)
    labels = torch.randint(classes, (videos,), generator=rng)
    hits = [top_k_accuracy(scores, labels, k) for k in range(1, classes + 1)]
    assert hits == sorted(hits)
    assert hits[-1] == 100
    best = (scores.topk(1).indices == labels[:, None]).any(1).double().mean() * 100
    assert hits[0] == pytest.approx(float(best))


def test_bad_input_is_refused() -> None:
    nan, fine = torch.full((2, 3), float("nan")), torch.zeros(2, 3)
    labels = torch.tensor([0, 1])
    for function in (label_ranks, top_k_accuracy, class_accuracy, mean_class_accuracy):
        for bad in (nan, nan.nan_to_num(torch.inf)):
            with pytest.raises(ValueError, match="not finite"):
                function(bad, labels)
    with pytest.raises(ValueError, match="not finite"):
        average_precision(nan, torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="0 or 1"):
        average_precision(fine, torch.full((2, 3), 2))
    for bad in ([0, 3], [-1, 0]):
        for check in (top_k_accuracy, class_accuracy):
            with pytest.raises(ValueError, match="from 0 to 2"):
                check(fine, torch.tensor(bad))
    for function, *arguments in (
        (top_k_accuracy, fine[:0], labels[:0]),
        (mean_class_accuracy, fine[:0], labels[:0]),
        (mean_average_precision, fine[:0], torch.zeros(0, 3, dtype=torch.int64)),
        (top_k_accuracy, fine, labels, 0),
    ):
        with pytest.raises(ValueError, match="at least one video"):
            function(*arguments)
