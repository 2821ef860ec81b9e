"""Values over those of a file: ``--set train.lr=1e-5``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bike.errors import ParamsError
from bike.files.parse import parse_yaml


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, section by section; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def overrides(words: Iterable[str]) -> dict[str, Any]:
    """``train.lr=1e-5`` … as a tree; values are YAML.

    Raises:
        ParamsError: no such form.
    """
    tree: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            raise ParamsError(f"--set: key=value is needed (got {word!r}), such as train.lr=1e-5.")
        value = parse_yaml(text, f"--set {key}")
        for part in reversed(key.split(".")):
            value = {part: value}
        tree = merge(tree, value)
    return tree
