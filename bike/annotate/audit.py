"""What does not fit between annotation and videos, what was done about it, and the counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bike.errors import DataError, first_few, one_line
from bike.files.tables import write_table
from bike.params import Annotate, Policy

AUDIT_NAME = "audit.csv"
DONE = {"drop": "dropped", "keep": "kept"}
KINDS: dict[str, str] = {
    "missing": "annotated, but no such video",
    "unannotated": "a video without annotation",
    "rejected": "the video could not be extracted",
    "too_short": "fewer frames than min_frames",
    "past_end": "times outside the video",
    "duplicate": "annotated twice",
    "near_duplicate": "looks like another video",
    "not_compared": "could look like another video",
    "no_name": "a label without a class name",
    "spelling": "a name spelt in another way",
}


class Finding(NamedTuple):
    """A row of ``audit.csv``: one thing that did not fit, and the policy that was applied to it."""

    finding: str
    action: Policy
    list: str
    path: str
    label: str
    detail: str


@dataclass
class Audit:
    """The result of :func:`bike.annotate.run.annotate`.

    Attributes:
        dataset: its name.
        policies: what to do about each kind of finding.
        findings: all of them, in order of annotation.
        lists: list name (``train``, ``split1/test`` …) -> number of samples written.
        annotated: entries read, over all folds.
        videos: videos found, rejected ones included; None when lists were made without looking at videos.
        classes: number of classes.
        notes: remarks that are not findings.
    """

    dataset: str
    policies: Annotate
    findings: list[Finding] = field(default_factory=list)
    lists: dict[str, int] = field(default_factory=dict)
    annotated: int = 0
    videos: int | None = None
    classes: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._actions: dict[str, Policy] = {kind: getattr(self.policies, kind, "keep") for kind in KINDS}

    def add(
        self, kind: str, place: str, path: str, label: str = "", detail: str = "", force: Policy | None = None
    ) -> bool:
        """Note a finding; True when the policy keeps the thing. ``force`` overrules a ``keep`` that is impossible."""
        action = self._actions[kind]
        if force is not None and action == "keep":
            action = force
        self.findings.append(Finding(kind, action, place, path, label, detail))
        return action == "keep"

    def counts(self) -> dict[tuple[str, str], int]:
        """(finding, action) -> how often, in the order of the policies."""
        found = Counter((row.finding, row.action) for row in self.findings)
        order = list(KINDS)
        return {key: found[key] for key in sorted(found, key=lambda key: (order.index(key[0]), key[1]))}

    def summary(self) -> str:
        """One line: what was read and what is there."""
        videos = "videos not looked at" if self.videos is None else f"{self.videos} videos"
        return f"{self.dataset}: {self.annotated} annotated, {videos}, {self.classes} classes"

    def list_counts(self) -> str:
        """Samples in each list, as ``train 12, test 4``."""
        return ", ".join(f"{name} {count}" for name, count in self.lists.items())

    def write(self, path: Path | str) -> None:
        """Write ``audit.csv``: ``finding,action,list,path,label,detail``, one row for each finding."""
        write_table(path, Finding._fields, self.findings)

    def check(self, path: Path | str) -> None:
        """Stop where a policy says so.

        Raises:
            DataError: a finding's policy is ``error``; the first ten are named, ``path`` has them all.
        """
        errors = [row for row in self.findings if row.action == "error"]
        if not errors:
            return
        problems = [
            # Cut, since paths and labels are as long as a stranger's file likes.
            one_line(f"{row.finding} {row.path or row.label}"[:200] + f" ({row.detail})"[:200])
            for row in errors
        ]
        kinds = ", ".join(sorted({row.finding for row in errors}))
        raise DataError(
            f"{self.dataset}: {len(errors)} findings whose policy is error: {first_few(problems)}. "
            f"All are in {path}; correct the data, or set the policy of {kinds} to drop or keep."
        )
