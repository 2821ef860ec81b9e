"""Does a state dict fit a model? All that is missing, unexpected or mis-shaped, in one message."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from torch import Tensor, nn

from bike.errors import WeightsError, first_few, one_line

LIMIT = 40  # groups of keys spelled out; the rest is counted
COUNTER = "num_batches_tracked"  # missing in old files


def load_fitting(module: nn.Module, state: Mapping[str, Tensor], source: object) -> None:
    """Put ``state`` into ``module``, whose own tensors may be on the meta device, without a copy.

    Args:
        module: takes the tensors over; a counter of batches, which old files don't have, starts from 0.
        state: tensors by the module's key names.
        source: names the file in the error.

    Raises:
        WeightsError: keys are missing, unexpected, mis-shaped or of another type; all are named, the repeated ones of
            several layers in one word with a ``*``, each with its nearest match.
    """
    check_fit(module, state, source)
    wanted = module.state_dict()  # after the check, batch counters are all that may be missing
    counters = {key: value.new_zeros((), device="cpu") for key, value in wanted.items() if key not in state}
    module.load_state_dict({**state, **counters}, assign=True)  # copying would leave them on the meta device


def check_fit(module: nn.Module, state: Mapping[str, Tensor], source: object) -> None:
    """Raise the error of :func:`load_fitting` if ``state`` doesn't fit ``module``."""
    problems = list_problems(module.state_dict(), state)
    if problems:
        raise WeightsError(
            f"{source}: keys do not fit the model: {first_few(problems, LIMIT)}. "
            "Check that the file is of the named kind and architecture."
        )


def list_problems(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Every difference in names, shapes and types, missing keys first; empty when ``state`` fits."""
    missing = _group(key for key in wanted if key not in state and not key.endswith(COUNTER))
    unexpected = _group(key for key in state if key not in wanted)
    shared = [key for key in wanted if key in state]
    shapes = _group(key for key in shared if state[key].shape != wanted[key].shape)
    types = _group(
        key
        for key in shared
        if state[key].is_floating_point() != wanted[key].is_floating_point() or state[key].is_complex()
    )
    problems = [f"missing {_name(group, keys)}{_hint(group, unexpected, state)}" for group, keys in missing.items()]
    problems += [
        f"unexpected {_name(group, keys)}{_hint(group, missing, wanted)}" for group, keys in unexpected.items()
    ]
    problems += [
        f"mis-shaped {_name(group, keys)} "
        f"(got {shape_text(state[keys[0]])}; the model has {shape_text(wanted[keys[0]])})"
        for group, keys in shapes.items()
    ]
    problems += [f"{_name(group, keys)} is of type {state[keys[0]].dtype}" for group, keys in types.items()]
    return problems


def shape_text(tensor: Tensor) -> str:
    """A shape for people: ``768x512``."""
    return "x".join(str(size) for size in tensor.shape) or "scalar"


def _group(keys: Iterable[str]) -> dict[str, list[str]]:
    """Keys that differ only in numbers, such as those of a stack of layers, under one name with stars."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "*", key), []).append(key)
    return groups


def _name(group: str, keys: list[str]) -> str:
    shown = keys[0] if len(keys) == 1 else f"{group} ({len(keys)} keys)"
    return one_line(shown)[:120]


def _hint(group: str, others: Mapping[str, list[str]], tensors: Mapping[str, Tensor]) -> str:
    close = get_close_matches(group, list(others)[:200], n=1, cutoff=0.6)
    if not close:
        return ""
    keys = others[close[0]]
    return f" [nearest: {_name(close[0], keys)}, {shape_text(tensors[keys[0]])}]"
