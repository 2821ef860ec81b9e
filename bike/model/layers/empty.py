"""Modules without values: shapes and names only, to be filled with tensors that are already loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FACTORIES = (torch.empty, torch.zeros, torch.ones)


class WithoutValues(TorchFunctionMode):
    """While entered, new tensors are on the meta device, and initialising them does nothing.

    ``torch.device("meta")`` alone would make the same tensors, but torch then traces the initialisation in Python and
    loads its compiler for that: more than a second in every process that loads a model.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # An initialiser returns its tensor, and callers such as nn.Parameter(nn.init.normal_(…)) use that.
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func in _FACTORIES:
            return torch.empty(*args, **{**kwargs, "device": "meta"})
        return func(*args, **kwargs)
