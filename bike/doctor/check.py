"""One finding of the doctor: what was looked at, and whether it is ok, worth a note, or bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``ok``, worth a ``note``, or ``bad``."""

    subject: str
    status: Status
    detail: str
