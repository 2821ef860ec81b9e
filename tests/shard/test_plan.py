"""The partition rule: sizes, names, and how little an edit changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bike.records import VideoRecord
from bike.shard.plan import PlannedShard, PlannedVideo, hash_position, plan_shards

LIMIT = 1000
WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.integers(1, 1500), max_size=60)


def plan(weights: dict[str, int]) -> list[PlannedShard]:
    videos = [PlannedVideo(VideoRecord(key, key, "ok"), (), "", weight, "") for key, weight in weights.items()]
    return plan_shards(videos, LIMIT)


def as_files(shards: list[PlannedShard]) -> dict[str, tuple[str, ...]]:
    return {shard.name: tuple(video.key for video in shard.videos) for shard in shards}


@given(WEIGHTS)
@settings(deadline=None, max_examples=60)
def test_every_video_has_one_shard_of_the_right_size(weights: dict[str, int]) -> None:
    shards = plan(weights)
    assert sorted(video.key for shard in shards for video in shard.videos) == sorted(weights)
    assert [shard.name for shard in shards] == sorted({shard.name for shard in shards})
    for shard in shards:
        assert len(shard.videos) == 1 or sum(video.weight for video in shard.videos) <= LIMIT
        assert [video.key for video in shard.videos] == sorted(video.key for video in shard.videos)


@given(WEIGHTS, st.integers(1, 1500))
@settings(deadline=None, max_examples=150)
def test_adding_a_video_changes_at_most_one_of_the_shards_there(weights: dict[str, int], weight: int) -> None:
    before, after = as_files(plan(weights)), as_files(plan({**weights, "new": weight}))
    untouched = [name for name in before if after.get(name) == before[name]]
    assert len(before) - len(untouched) <= 1
    # Removing it is the same step backwards: what was split is joined again, the rest stays.
    assert {key for name in after if name not in untouched for key in after[name]} == {
        "new",
        *(key for name in before if name not in untouched for key in before[name]),
    }


def test_one_video_among_thousands_rewrites_at_most_two_shards() -> None:
    weights = {f"v{number}": 90 + number % 20 for number in range(2000)}
    before = as_files(plan(weights))
    for number in range(2000, 2050):
        after = as_files(plan({**weights, f"v{number}": 100}))
        assert len(set(after.items()) - set(before.items())) <= 2
        assert len(set(before.items()) - set(after.items())) <= 1


def test_shards_are_named_after_their_first_hash() -> None:
    assert [shard.name for shard in plan({"only": 5})] == ["00000.tar"]
    for shard in plan({f"v{number}": 100 for number in range(200)}):
        first = int(shard.name.removesuffix(".tar"), 16)
        assert all(hash_position(video.key) >= first for video in shard.videos)


def test_keys_with_one_hash_stay_together() -> None:
    by_hash: dict[int, str] = {}
    number = 0
    while True:
        other = by_hash.setdefault(hash_position(f"v{number}"), f"v{number}")
        if other != f"v{number}":
            break
        number += 1
    (shard,) = plan({other: LIMIT, f"v{number}": LIMIT})
    assert len(shard.videos) == 2


def test_the_example_in_the_documentation() -> None:
    assert hash_position("walk__a") == 0x4A010
    videos = dict.fromkeys(("walk__a", "jump__b", "jump__c", "jump__a"), 40)
    before = {"00000.tar": ("jump__b", "walk__a"), "80000.tar": ("jump__a", "jump__c")}
    after = {**before, "80000.tar": ("jump__c", "walk__c"), "c0000.tar": ("jump__a",)}
    for weights, expected in ((videos, before), ({**videos, "walk__c": 40}, after)):
        assert as_files(plan({key: weight * LIMIT // 100 for key, weight in weights.items()})) == expected
