"""What a recipe means."""

from __future__ import annotations

import json

from bike.extract.task import Recipe, jpeg_quality, recipe_text


def test_quality_maps_as_the_tables_scale() -> None:
    values = [jpeg_quality(q) for q in range(1, 32)]
    assert values[1] == 90
    assert values[4] == 75
    assert values == sorted(values, reverse=True)
    assert all(1 <= value <= 100 for value in values)


def test_what_keeps_a_part_does_not_change_sound_videos() -> None:
    assert "keep_partial" not in json.loads(recipe_text(Recipe()))
    assert recipe_text(Recipe(keep_partial=True)) == recipe_text(Recipe()) != recipe_text(Recipe(fps=5.0))
