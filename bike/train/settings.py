"""What decides a training's result, as its state keeps it, and what differs between two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bike.errors import first_few, one_line


def flat_settings(**settings: Any) -> dict[str, str]:
    """What decides a job's result, as a state keeps it: ``{"train.lr": "0.001", "weights": "\\"9f86d0…\\""}``."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat_settings(**{f"{name}.{key}": inner for key, inner in value.items()})
        else:
            found[name] = json.dumps(value, sort_keys=True, default=str)
    return found


def different_settings(saved: object, now: Mapping[str, str]) -> str:
    """What differs between a state's settings and a run's, both values: ``train.lr is 0.001 there and 0.01 here``.

    Empty where nothing does. ``saved`` comes from a file and may be anything.
    """
    if not isinstance(saved, Mapping):
        return "it records no settings"
    names = [name for name in {**saved, **now} if saved.get(name) != now.get(name)]
    values = [(name, *(_shown(side.get(name)) for side in (saved, now))) for name in names]
    return first_few([f"{name} is {there} there and {here} here" for name, there, here in values], 5)


def _shown(value: object) -> str:
    text = one_line("unset" if value is None else value)
    return text if len(text) <= 40 else f"{text[:12]}…"  # checksums
