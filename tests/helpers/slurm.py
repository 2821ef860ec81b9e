"""A stand-in for a SLURM cluster on this machine: ``sbatch`` runs what it is given, ``srun`` does so for each node."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

_SBATCH = """\
#!{python}
import json, os, pathlib, subprocess, sys
options = [word for word in sys.argv[1:] if word.startswith("--")]
script, *arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
named = dict(option[2:].split("=", 1) for option in options if "=" in option)
assert "--wait" in options
home = pathlib.Path({folder!r})
job = os.getpid()
(home / f"{{job}}.json").write_text(json.dumps(sys.argv[1:]))
print("Submitted batch job", job)
tasks = []
for item in named.get("array", "").split(","):
    first, _, last = item.partition("-")
    tasks += range(int(first), int(last or first) + 1) if item else []
worst = 0
for task in tasks or [None]:
    environment = {{**os.environ, "SLURM_JOB_ID": str(job), "SLURM_PROCID": "0"}}
    environment["SLURM_NNODES"] = named.get("nodes", "1")
    if task is not None:
        numbers = {{"ID": task, "MIN": tasks[0], "MAX": tasks[-1], "COUNT": len(tasks)}}
        environment |= {{f"SLURM_ARRAY_TASK_{{name}}": str(value) for name, value in numbers.items()}}
    if str(task) == os.environ.get("STAND_IN_KILLS"):
        environment["BIKE_FAULT"] = f"20:kill:{{home / 'count'}}"
    log = named["output"].replace("%A", str(job)).replace("%j", str(job)).replace("%a", str(task))
    with open(log, "w") as output:
        done = subprocess.run(["/bin/sh", script, *arguments], env=environment, stdout=output, stderr=output,
                              start_new_session=True)
    worst = max(worst, abs(done.returncode))
sys.exit(worst)
"""
_SRUN = """\
#!{python}
import os, subprocess, sys
nodes = [subprocess.Popen(sys.argv[1:]) for _ in range(int(os.environ["SLURM_NNODES"]))]
sys.exit(max(abs(node.wait()) for node in nodes))
"""


def make_cluster(folder: Path) -> dict[str, str]:
    """Write the two programs; returns the variables by which a shell finds them."""
    folder.mkdir()
    for name, text in (("sbatch", _SBATCH), ("srun", _SRUN)):
        (folder / name).write_text(text.format(python=sys.executable, folder=str(folder)))
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def submitted(folder: Path) -> list[list[str]]:
    """What ``sbatch`` was given since the last call, without the script's path; in no order."""
    found = []
    for path in folder.glob("*.json"):
        found.append([word for word in json.loads(path.read_text()) if not word.endswith(".sh")])
        path.unlink()
    return found
