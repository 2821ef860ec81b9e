"""A tree of values as YAML that people read and edit."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter


class _Representer(RoundTripRepresenter):
    pass


# `key: null`, since a bare `key:` looks like one whose value was forgotten.
_Representer.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def yaml_text(tree: Mapping[str, Any]) -> str:
    """YAML 1.2 of values of plain types, in their order, a key a line."""
    text = StringIO()
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.dump(dict(tree), text)
    return text.getvalue()
