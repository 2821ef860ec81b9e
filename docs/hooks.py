"""What ``mkdocs build`` adds to these pages: commands, parameters, and the pages of the repository's root."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from ruamel.yaml import YAML
from typer.cli import get_docs_for_click

from bike.cli import COMMANDS, build_app
from bike.params import Machine, Params, Views
from bike.trees.sections import Section, variable_of

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md"} | {name: name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")}

LEAD = """# Commands

What `bike COMMAND --help` prints, in the order of the work: a project, the pipeline, then what looks at either.

"""
PARAMETERS = """# Parameters

`params.yaml` holds every number of an experiment. What it leaves out has the default below; `bike params show` prints
all the values of a project. An unknown key or a bad value ends the run with one line that names it.

"Read by" are the stages of this repository's `dvc.yaml` that run again when the value changes. The report shows all
parameters, so it is named only where it does more than that.
"""
MACHINE = """
## `machine.yaml`

What a machine decides and no result depends on. Git and DVC ignore the file; a variable overrules it, and a command's
own option overrules both.

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs/``."""
    pages = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in PAGES.items()}
    for name, text in {**pages, "commands.md": commands_page(), "parameters.md": parameters_page()}.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Mend links between the root and ``docs/``, one folder here; show ``<class>``, which Markdown takes for a tag."""
    code_or_tag = re.compile(r"^```.*?^```|`[^`\n]*`|<(?=\w)", re.M | re.S)
    text = code_or_tag.sub(lambda found: "&lt;" if found[0] == "<" else found[0], markdown)
    return text if "/" in page.file.src_uri else re.sub(r"\]\((?:docs/|\.\./)", "](", text)


def on_page_content(html: str, **_: Any) -> str:
    """Leave out what Sphinx would take for a role: ``:class:`` before a name."""
    return re.sub(r":(?:class|func|mod|data|meth):(?=<code>)", "", html)


def commands_page() -> str:
    """The help of every command, by Typer's own writer of Markdown; examples become blocks of code."""
    group: Any = typer.main.get_command(build_app())
    context = typer.Context(group, info_name="bike")
    pages = [
        get_docs_for_click(obj=group.commands[name], ctx=context, indent=1, name=name, call_prefix="bike")
        for name in COMMANDS
    ]
    text = re.sub(r"\[/?b(?:old)?\]", "**", "".join(pages).replace("\b", "")).replace(r"\[", "[")
    examples = re.compile(r"^\*\*Examples\*\*\n((?: .*\n)+)", re.M)
    return LEAD + examples.sub(lambda found: f"**Examples**:\n\n```sh\n{dedent(found[1])}```\n", text)


def parameters_page() -> str:
    """Every key of ``params.yaml`` and ``machine.yaml``, from the schema and the comments in it."""
    params, readers = Params(), stages_by_parameter()
    sections = {name: value for name, value in params if isinstance(value, Section)}
    page = PARAMETERS + "\n## At the top\n\n"
    page += table(params, {name: readers(name) for name, _ in params if name not in sections}, "read by")
    for name, section in sections.items():
        page += f"\n## `{name}`\n\n{type(section).__doc__}\n\n".replace("``", "`")
        page += table(section, {key: readers(f"{name}.{key}") for key, _ in section}, "read by")
        if name == "evaluate":
            page += "\n### Each of `evaluate.views`\n\n"
            page += table(Views(), {key: readers("evaluate.views") for key, _ in Views()}, "read by")
    return page + MACHINE + table(Machine(), {key: f"`{variable_of(key)}`" for key, _ in Machine()}, "variable")


def table(section: Section, last: dict[str, str], title: str) -> str:
    """The keys of ``last`` as rows of a table, with what ``last`` says of each at the end."""
    schema, comments = type(section).model_json_schema(), comments_of(type(section))
    rows = [f"| key | may be | default | what it changes | {title} |", "|---|---|---|---|---|"]
    for key, words in last.items():
        default = json.dumps(getattr(section, key), default=lambda value: value.model_dump())
        changes = comments[key].replace("None", "`null`")
        rows.append(f"| `{key}` | {allowed(schema['properties'][key])} | `{default}` | {changes} | {words} |")
    return "\n".join(rows) + "\n"


def allowed(schema: dict[str, Any]) -> str:
    """What a JSON schema lets through, in words."""
    if "anyOf" in schema:
        return " or ".join(allowed(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = {"number": "number", "integer": "integer", "null": "`null`", "boolean": "`true`, `false`", "string": "text"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    ends = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    items = schema.get("items", {})
    several = {"array": "list", "object": "sections by name"}.get(schema.get("type", "object"))
    if several:
        return several + (f" of {allowed(items)}" if "enum" in items else "")
    return " ".join([kind[schema["type"]], ", ".join(ends)]).strip()


def comments_of(schema: type[Section]) -> dict[str, str]:
    """The comment at the end of each field's line; a field without one is an error where its row is made."""
    found: dict[str, str] = {}
    for one in reversed(schema.__mro__[: schema.__mro__.index(Section)]):
        found |= dict(re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(one), re.M))
    return found


def stages_by_parameter() -> Any:
    """A function from a parameter's dotted name to the stages that read it."""
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

    def readers(name: str) -> str:
        names, used = {name, name.partition(".")[0]}, f"${{{name}}}"  # in a command or a path
        found = [stage for stage, what in stages.items() if names & set(what.get("params", ())) or used in str(what)]
        return ", ".join(f"`{stage}`" for stage in found if stage != "report" or name.startswith("report.")) or "–"

    return readers
