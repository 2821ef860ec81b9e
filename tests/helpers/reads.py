"""Which parameters a stage reads: a ``sitecustomize`` for the stages' processes that writes them down at the end."""

from __future__ import annotations

import json
from pathlib import Path

# Python imports a module of this name at every start. A section's values are read as attributes; a dump counts where
# its values are used (views; the report's page, which shows all of them), not where it goes into a fingerprint. What a
# copy was given in place of the file's value is not the file's.
RECORDER = """
import atexit, json, os, re, sys

stage = re.search(r"(?<!\\S)stages\\.(\\w+)", " ".join(sys.orig_argv))
if stage:
    import bike.params as module

    names, reads, load = {}, set(), module.load_params
    get, copy, dump = module.Section.__getattribute__, module.Section.model_copy, module.Section.model_dump

    def parts(value):
        found = value.items() if isinstance(value, dict) else [("", value)]
        return [(name, part) for name, part in found if isinstance(part, module.Section)]

    def register(section, path, given=()):
        names[id(section)] = (path, section, set(given))
        for key in type(section).model_fields:
            for name, part in parts(get(section, key)):
                register(part, ".".join(filter(None, (path, key, name))))

    def read(section, name):
        value = get(section, name)
        known = names.get(id(section))
        if known and name in type(section).model_fields and name not in known[2] and not parts(value):
            reads.add(".".join(filter(None, (known[0], name))))
        return value

    def copied(section, **options):
        other = copy(section, **options)
        if id(section) in names:
            path, _, given = names[id(section)]
            register(other, path, given | set(options.get("update") or ()))
        return other

    def dumped(section, **options):
        if id(section) in names and isinstance(section, (module.Params, module.Views)):
            read_all(section)
        return dump(section, **options)

    def read_all(section):
        for key in type(section).model_fields:
            for _, part in parts(read(section, key)):
                read_all(part)

    def loaded(*words):
        params = load(*words)
        register(params, "")
        return params

    module.load_params = loaded
    module.Section.__getattribute__ = read
    module.Section.model_copy = copied
    module.Section.model_dump = dumped

    def save(own=os.getpid()):
        if os.getpid() == own:
            with open(os.path.join(os.environ["BIKE_TEST_READS"], f"{stage[1]}.{own}.json"), "w") as file:
                json.dump(sorted(reads), file)

    atexit.register(save)
"""


def install_recorder(folder: Path) -> dict[str, str]:
    """Write the recorder below ``folder``.

    Returns:
        The environment variables that make Python load it; PYTHONPATH holds only the recorder's folder.
    """
    (folder / "site").mkdir(parents=True)
    (folder / "reads").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(RECORDER)
    return {"PYTHONPATH": str(folder / "site"), "BIKE_TEST_READS": str(folder / "reads")}


def recorded(folder: Path) -> dict[str, set[str]]:
    """Module of the stage (``train_attributes``) -> what its runs read, such as ``train.lr`` or ``train``."""
    found: dict[str, set[str]] = {}
    for path in sorted((folder / "reads").glob("*.json")):
        found.setdefault(path.name.split(".")[0], set()).update(json.loads(path.read_text()))
    return found
