"""Sentences about a video: a class name or a list of attributes put into a template."""

from __future__ import annotations

from collections.abc import Sequence

TEMPLATE = "This is a video about {}"


def class_prompts(names: Sequence[str], template: str = TEMPLATE) -> list[str]:
    """Put each class name into the template.

    Args:
        names: class names; braces and per cent signs in them stay as they are.
        template: a sentence with one ``{}`` where the name goes.

    Returns:
        One prompt per name, in the same order.

    Raises:
        ValueError: the template does not have exactly one ``{}``, or one string was given in place of a list.
    """
    if isinstance(names, str):
        raise ValueError("names is one string; give a list of strings.")
    before, after = _split_template(template)
    return [f"{before}{name}{after}" for name in names]


def attribute_sentence(phrases: Sequence[str], template: str = TEMPLATE) -> str:
    """Put a video's phrases, best first, into one sentence: ``This is a video about a1,a2,…``.

    Args:
        phrases: phrases, joined by commas without blanks; none gives a sentence that ends with the template.
        template: a sentence with one ``{}`` where the phrases go.

    Raises:
        ValueError: the template does not have exactly one ``{}``, or one string was given in place of a list.
    """
    if isinstance(phrases, str):
        raise ValueError("phrases is one string; give a list of strings.")
    before, after = _split_template(template)
    return f"{before}{','.join(phrases)}{after}"


def _split_template(template: str) -> tuple[str, str]:
    parts = template.split("{}")
    if len(parts) != 2:
        raise ValueError(f"template needs exactly one {{}} (got {template!r}).")
    return parts[0], parts[1]
