"""What sections of YAML files have in common, and an error that names every unknown key and bad value."""

from __future__ import annotations

import os
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from bike.errors import ParamsError, first_few, nearest, one_line


class Section(BaseModel):
    """A section of a YAML file: frozen, without keys the schema does not know; numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, content: Any) -> Any:
        return {} if content is None else content  # `train:` with all of its keys commented out

    @field_validator("*")
    @classmethod
    def _fits(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) >= 1 << 62:  # sums of such leave the 64 bits of arrays and seeds
            raise ValueError("is too large a number")
        return value


# What pydantic says in words of its own.
_ALLOWED = {
    "missing": "is missing",
    "literal_error": "{expected} is allowed",
    "greater_than": "more than {gt:g} is allowed",
    "greater_than_equal": "{ge:g} or more is allowed",
    "less_than": "less than {lt:g} is allowed",
    "less_than_equal": "{le:g} or less is allowed",
    "finite_number": "a finite number is needed",
    "string_type": "a text is needed",
    "list_type": "a list is needed",
    **dict.fromkeys(("dict_type", "model_type"), "keys with values are needed"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is needed"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number is needed"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number is needed"),
    **dict.fromkeys(("tuple_type", "too_long", "too_short"), "a list of another length is needed"),
}
MACHINE = {"launch", "device", "workers", "jobs"}
AnySection = TypeVar("AnySection", bound=Section)


def variable_of(name: str) -> str:
    """The variable that goes over a setting of ``machine.yaml``."""
    return f"BIKE_{name.upper()}"


def stated_by(name: str) -> str:
    """What states a setting of this machine, for an error: ``BIKE_VIDEOS``, or ```videos` in machine.yaml``."""
    return variable_of(name) if os.environ.get(variable_of(name)) else f"`{name}` in machine.yaml"


def validated(schema: type[AnySection], tree: dict[str, Any], source: str) -> AnySection:
    """A tree as the section that the schema describes.

    Args:
        schema: the class.
        tree: keys and values.
        source: names it in errors.

    Raises:
        ParamsError: unknown keys or bad values; each is named, with what it got.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        problems = [_explain(schema, item) for item in error.errors()]
        raise ParamsError(f"{source}: {first_few(problems)}.") from None


def _explain(schema: type[Section], item: Any) -> str:
    place = one_line(".".join(str(part) for part in item["loc"]))[:100]
    if item["type"] == "extra_forbidden":
        model: Any = schema
        for part in item["loc"][:-1]:  # sections, and names of views: keys of a dict whose values are sections
            model = get_args(model)[-1] if get_origin(model) is dict else model.model_fields[part].annotation
        allowed, key = model.model_fields, place.rpartition(".")[2]
        if key in MACHINE and model is not schema:  # parameters once
            return f"{place}: each machine's own: machine.yaml, {variable_of(key)} or the command's option"
        anchors = " (x-… may hold anchors)" if model is schema else ""
        return f"{place}: unknown key.{nearest(key, allowed)} Known: {', '.join(allowed)}{anchors}"
    ours = _ALLOWED.get(item["type"])
    message = item["msg"] if ours is None else ours.format(**item.get("ctx", {}))
    if item["type"] == "string_pattern_mismatch":  # people read no patterns
        message = f"{schema.model_fields[place].description} is allowed"
    # Not a whole section: what its rule says names the values.
    silent = isinstance(item["input"], dict) or (item["input"] is None and item["type"] == "missing")
    got = "" if silent else f" (got {_shown(item['input'])})"
    # "Value error, " stands before what our own validators say.
    return f"{place}: {one_line(message).removeprefix('Value error, ')}{got}"


def _shown(value: Any) -> str:
    try:
        return repr(value)[:80]
    except ValueError:  # a hexadecimal number of thousands of digits, which Python writes no other way
        return "a huge number"
