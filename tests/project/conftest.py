"""Remotes of every kind that the tests of this room push to; the further ones where rehearsals run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.remotes import Remote, make_remote, remote_server
from helpers.servers import use_s3

KINDS = ["folder", *(pytest.param(kind, marks=pytest.mark.rehearsal) for kind in ("s3", "ssh"))]


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    with remote_server(request.param, tmp_path_factory.mktemp("server") / request.param) as settings:
        yield request.param, settings


@pytest.fixture
def remote(server: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    kind, settings = server
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))  # what DVC remembers of a remote's content
    if kind == "s3":
        use_s3(monkeypatch, settings["endpoint"])
    with make_remote(kind, settings, tmp_path / "store") as remote:
        yield remote
