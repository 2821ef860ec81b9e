"""JSON and YAML of unknown origin to plain values: bounded in nesting and in what aliases repeat, or refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from bike.errors import BikeError, ParamsError, one_line

LARGEST_YAML_CHARACTERS = 1 << 18  # of a file that people write
LARGEST_YAML_VALUES = 20_000  # with aliases written out; the zoo has 300
DEEPEST_YAML = 40
_TOO_DEEP = f"nested more than {DEEPEST_YAML} deep"
_TOO_MANY = f"more than {LARGEST_YAML_VALUES} values, aliases written out"


def parse_json(text: str, source: object, remedy: str = "Write the file again.") -> Any:
    """The value of a JSON text. Numbers that JSON doesn't have (``NaN``) are refused, and so is a key with two values.

    Args:
        text: the JSON.
        source: names it in errors.
        remedy: the error's last sentence.

    Raises:
        BikeError: not JSON (the line is named), nested too deeply, or with a number of thousands of digits.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}: {error.msg}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:  # Python reads integers of up to 4,300 digits
        problem = one_line(error).partition(";")[0]
    raise BikeError(f"{source}: not valid JSON ({problem}). {remedy}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise ValueError(f"{one_line(key)[:80]} is there twice, with different values")
    return found


def parse_yaml(text: str, source: object) -> Any:
    """The value of a YAML 1.2 text, made of dictionaries, lists, texts, numbers, dates and None.

    An alias stands for all that it repeats, and a merge key (``<<``) copies it, so ten lines can mean billions of
    values. They are counted before anything is built.

    Raises:
        ParamsError: not YAML, or too large, too deep or too often repeated for a file that people write.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > LARGEST_YAML_CHARACTERS:
        raise ParamsError(
            f"{source}: {len(text)} characters; {LARGEST_YAML_CHARACTERS} are read. Is it the right file?"
        )
    yaml = YAML(typ="safe", pure=True)
    try:
        # Before it is composed, since nested brackets take the square of their number.
        problem = _too_many_events(YAML(typ="safe", pure=True).parse(text))
        node = None if problem else yaml.compose(text)
        problem = problem or _oversized(node)
        if not problem:
            return None if node is None else yaml.constructor.construct_document(node)
    except YAMLError as error:
        problem = one_line(error)[:300]
    except RecursionError:
        problem = "nested too deeply"
    except Exception as error:  # a tag on a value that does not suit it (`!!timestamp x`) raises nearly anything
        problem = f"{type(error).__name__}: {one_line(error)[:100]}"
    raise ParamsError(f"{source}: not valid YAML ({problem}).")


def _too_many_events(events: Iterable[Any]) -> str:
    depth = 0
    for count, event in enumerate(events):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > DEEPEST_YAML or count > LARGEST_YAML_VALUES:
            return _TOO_DEEP if depth > DEEPEST_YAML else _TOO_MANY
    return ""


def _oversized(node: Any) -> str:
    """What is too much of a tree of nodes, whose aliases are the same node in several places; empty if nothing is."""
    waiting, count = [(node, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        inner = [] if node is None or isinstance(node.value, str) else node.value
        children = [child for item in inner for child in (item if isinstance(item, tuple) else (item,))]
        count += 1
        if depth > DEEPEST_YAML:  # also where an alias lies within what it repeats
            return _TOO_DEEP
        if count + len(children) > LARGEST_YAML_VALUES:
            return _TOO_MANY
        waiting += [(child, depth + 1) for child in children]
    return ""
