"""What a checkpoint was trained for, kept inside it: a run that contradicts it ends, or says so in its metrics."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bike.errors import ParamsError, WeightsError, one_line
from bike.model.formats.official import OFFICIAL_FILES
from bike.model.formats.read import is_checkpoint, read_checkpoint, weights_sha256
from bike.progress import log
from bike.records import other_class
from bike.trees.sections import Section

KEY = "contract"  # beside `model_state_dict`; readers of released files leave unknown keys alone
MAX_CHARS = 1 << 24  # of the JSON: some 500,000 class names

AnySection = TypeVar("AnySection", bound=Section)


class Origin(BaseModel):
    """A weight file: its own name without folders, or the official one; and its checksum."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Contract(BaseModel):
    """What was true when a checkpoint was trained. Equal runs give equal contracts: no dates, hosts or folders."""

    model_config = ConfigDict(frozen=True, strict=True)

    kind: Literal["video", "attributes"]  # video branch or attribute branch
    version: str  # of this package
    classes: list[str] = Field(min_length=1)  # class names by label
    prompt: str  # sentence with `{}` for the class name
    input_size: int = Field(ge=1, le=1 << 16)  # side of the pictures, px
    # frames, short_side, temporal, interaction: as section `model` has them; None for the attribute branch
    frames: int | None = Field(None, ge=1, le=77)
    short_side: int | None = Field(None, ge=8, le=1 << 16)
    temporal: Literal["none", "transf"] | None = None
    interaction: Literal["dp", "vcs"] | None = None
    # top_k, attribute_prompt: as section `attributes` has them; None for the video branch
    top_k: int | None = Field(None, ge=1)
    attribute_prompt: str | None = None
    weights: Origin | None = None  # CLIP's, where all training began; None where a released checkpoint doesn't say
    start_from: Origin | None = None  # the checkpoint that this training began with
    training: dict[str, str | int | float | bool | None] = {}  # parameters of the training
    # checksums of list, class names and frames: of their manifest, or of paths, sizes and times where there is none
    data: dict[str, str] = {}

    @field_validator("prompt", "attribute_prompt")
    @classmethod
    def _one_place_for_the_name(cls, prompt: str | None) -> str | None:
        if prompt is not None and prompt.count("{}") != 1:
            raise ValueError("exactly one {} is needed")
        return prompt

    @property
    def head(self) -> str:
        """Such as ``transf+vcs``."""
        return f"{self.temporal}+{self.interaction}"

    def text(self) -> str:
        """JSON, as it is stored."""
        return json.dumps(self.model_dump(), separators=(",", ":"))


def make_contract(*, classes: Sequence[str], data: Mapping[str, str], **facts: Any) -> Contract:
    """A contract of this version of the package; see :class:`Contract`.

    Args:
        classes: class names by label; bytes that are not UTF-8 (surrogates) are stored as ``?``.
        data: checksums of a run's inputs; of a path only the name is kept.
        **facts: the other fields.

    Raises:
        ParamsError: a contract that could not be read back: a checkpoint with it would be lost.
    """
    try:
        version = importlib.metadata.version("bike-video")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    names = [_plain(name) for name in classes]
    sums = {name: _plain(Path(value).name) for name, value in data.items()}
    try:
        return _parsed(Contract(version=version, classes=names, data=sums, **facts).text())
    except ValueError as error:
        raise ParamsError(
            f"The checkpoint can't say what it is trained for ({_reason(error)}). Change that parameter or the names."
        ) from error


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def origin_of(weights: Path | str, file: Path) -> Origin:
    """Name and checksum of the weight file ``file``, which the user named ``weights``: an official name, or a path."""
    official = str(weights) in OFFICIAL_FILES
    return Origin(name=str(weights) if official else _plain(file.name), sha256=weights_sha256(file))


def parse_contract(text: object, source: object) -> Contract | None:
    """The contract in a checkpoint's entry; None for None, which is what released files have.

    Raises:
        WeightsError: not a contract.
    """
    if text is None:
        return None
    try:
        return _parsed(text)
    except ValueError as error:
        raise WeightsError(
            f"{source}: what it says of its training is damaged ({_reason(error)}). Train again."
        ) from error


def _parsed(text: object) -> Contract:
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise ValueError(f"not a text of at most {MAX_CHARS} letters")
    return Contract.model_validate_json(text)


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return one_line(error)[:200]
    first = error.errors()[0]
    return one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")[:200]


def read_contract(path: Path) -> Contract | None:
    """The contract of any weight file; None for files that hold none, such as CLIP's own weights."""
    return parse_contract(read_checkpoint(path).get(KEY), path) if is_checkpoint(path) else None


class Agreement:
    """Compares what a run asks for with the contract of its checkpoint.

    A value that the params file states must be the contract's; one that it leaves out is taken from there. What is
    allowed by name (``model.allow_mismatch``, ``--allow-mismatch``) may differ, and is noted for the metrics.

    Args:
        contract: None for released files: whatever is asked for holds.
        source: names the checkpoint in errors.
        allowed: names of values that may differ.
    """

    def __init__(self, contract: Contract | None, source: Path | str, allowed: Collection[str]) -> None:
        self.contract, self._source, self._allowed = contract, source, allowed
        self.mismatch: dict[str, str] = {}

    def settle(self, section: AnySection, place: str, theirs: Mapping[str, object]) -> AnySection:
        """A section of the params, ``model`` or ``attributes``, with the contract's values where it states none.

        Raises:
            ParamsError: a stated value is another one.
        """
        if self.contract is None:
            return section
        taken = {}
        for name, value in theirs.items():
            if name in section.model_fields_set:
                self.check(f"{place}.{name}", getattr(section, name), value)
            else:
                taken[name] = value
        return section.model_copy(update=taken)

    def check(self, key: str, ours: object, theirs: object) -> None:
        """One value; its name in ``allow_mismatch`` is the last word of ``key``.

        Raises:
            ParamsError: the two differ, and the name is not allowed to.
        """
        if self.contract is not None and ours != theirs:
            self.differs(key, f"{_shown(ours)}, but {self._source} was trained with {_shown(theirs)}")

    def check_classes(self, names: Sequence[str], labels: Path | str) -> None:
        """All class names, in order.

        Raises:
            ParamsError: naming the first that differs.
        """
        if self.contract is None:
            return
        other = other_class([_plain(name) for name in names], self.contract.classes)
        if other:
            self.differs("classes", f"{labels} and {self._source} differ: {other}")

    def differs(self, key: str, text: str) -> None:
        """Two values differ, as ``text`` says: the end of the run, or a note.

        Raises:
            ParamsError: the last word of ``key`` is not allowed to differ.
        """
        name = key.rpartition(".")[2]
        if name not in self._allowed:
            raise ParamsError(
                f"{key}: {text}. Change one, or allow it: --allow-mismatch {name}, or model.allow_mismatch."
            )
        log.warning("%s: %s (allowed)", key, text)
        self.mismatch[name] = text


def _shown(value: object) -> str:
    return one_line(repr(value) if isinstance(value, str) else value)[:200]
