"""What others get from a finished project: results from a remote, its model and numbers, experiments of their own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.projects import SMALL, commit, environment, git, make_weights, own_videos, run_in
from helpers.remotes import Remote
from ruamel.yaml import YAML

from bike.files import read_json
from bike.project.init import init_project
from bike.project.push import push_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MODEL = "models/video.pt"
EXPERIMENT = ("dvc", "exp", "run", "--temp", "--copy-paths", "machine.yaml", "-S")


def ran(said: str) -> set[str]:
    """The stages that were executed."""
    return set(re.findall("Running stage '(.*)'", said))


def clone_of(project: Path, name: str, *options: str) -> Path:
    git(project.parent, "clone", "--quiet", *options, f"file://{project}", name)
    return project.parent / name


def md5(project: Path, path: str) -> str:
    """The checksum that dvc.lock has of an output."""
    stages = YAML(typ="safe", pure=True).load((project / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return next(out["md5"] for stage in stages.values() for out in stage["outs"] if out["path"] == path)


def make_own(source: Path, project: Path) -> None:
    """A project of the videos and weights in a folder."""
    settings = [*SMALL, f"model.weights={source / 'clip.safetensors'}"]
    init_project("folders", project, videos=source / "videos", settings=settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages have run and whose results are committed."""
    folder = tmp_path_factory.mktemp("finished")
    make_weights(folder)
    own_videos(folder / "videos")
    make_own(folder, folder / "p")
    run_in(folder / "p", "dvc", "repro")
    commit(folder / "p")
    return folder / "p"


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, cache included, to do with as a test likes."""
    return shutil.copytree(finished, tmp_path / "project", symlinks=True)


@pytest.fixture
def shared_project(project: Path, remote: Remote) -> Path:
    """A project with its results in a remote, and everything committed."""
    remote.add_to(project)
    commit(project)
    push_project(project)
    commit(project)
    return project


def test_a_clone_computes_nothing_but_what_is_damaged(shared_project: Path, remote: Remote) -> None:
    clone = clone_of(shared_project, "clone")
    run_in(clone, "dvc", "pull", "--quiet", "--run-cache")
    assert ran(run_in(clone, "dvc", "repro")) == set()

    remote.damage(md5(shared_project, MODEL))
    other = clone_of(shared_project, "other")
    said = run_in(other, "dvc", "pull", "--run-cache", status=1)
    assert f"Checkout failed for following targets:\n{MODEL}" in said
    assert ran(run_in(other, "dvc", "repro")) == {"train"}
    assert (other / MODEL).read_bytes() == (shared_project / MODEL).read_bytes()

    assert push_project(shared_project).mended == 1
    mended = clone_of(shared_project, "mended")
    run_in(mended, "dvc", "pull", "--quiet", "--run-cache")
    assert ran(run_in(mended, "dvc", "repro")) == set()


def test_back_from_another_extraction_shards_are_made_again(project: Path, tmp_path: Path) -> None:
    """DVC brings back the manifest, not the packs; videos are needed where shards are made of them, not elsewhere."""
    params, away = project / "params.yaml", {"BIKE_VIDEOS": str(tmp_path / "away")}
    good, manifest = params.read_text(encoding="utf-8"), project / "frames/manifest.csv"
    pinned = manifest.read_bytes()
    params.write_text(good.replace("short_side: 32", "short_side: 24"), encoding="utf-8")
    run_in(project, "dvc", "repro", "extract")
    assert manifest.read_bytes() != pinned
    git(project, "checkout", "params.yaml", "dvc.lock")
    other = good.replace("shard: {}", "shard: {max_size_mb: 100}")

    params.write_text(other, encoding="utf-8")
    assert "so the 8 videos of media.csv are absent" in run_in(project, "dvc", "repro", status=255, **away)
    params.write_text(good, encoding="utf-8")
    assert ran(run_in(project, "dvc", "repro", **away)) <= {"check"}
    assert manifest.read_bytes() == pinned
    params.write_text(other, encoding="utf-8")
    assert "so the 8 videos of media.csv are absent" in run_in(project, "dvc", "repro", status=255, **away)
    assert {"shard@train", "shard@test"} <= ran(run_in(project, "dvc", "repro"))
    assert manifest.read_bytes() == pinned


@pytest.mark.parametrize("server", ["folder"], indirect=True)
def test_a_second_project_of_the_same_videos_computes_nothing(
    finished: Path, shared_project: Path, remote: Remote, tmp_path: Path
) -> None:
    """Another folder, another repository, no dvc.lock: the same stages all the same."""
    second = tmp_path / "elsewhere/second"
    make_own(finished.parent, second)
    remote.add_to(second)
    assert ran(run_in(second, "dvc", "repro", "--pull")) == set()
    for name in ("metrics.json", "summary.md", "dvc.lock", MODEL):
        assert (second / name).read_bytes() == (shared_project / name).read_bytes()


@pytest.mark.parametrize("server", ["folder"], indirect=True)
def test_models_and_numbers_are_fetched_and_imported_by_url(shared_project: Path, tmp_path: Path) -> None:
    """With git and the remote alone: the project's own cache is away."""
    (shared_project / ".dvc/cache").rename(tmp_path / "away")
    url = f"file://{shared_project}"
    away = tmp_path / "elsewhere"
    away.mkdir()
    git(away, "init", "--quiet")
    run_in(away, "dvc", "init", "--quiet")
    for path in (MODEL, "metrics.json"):
        name = Path(path).name
        run_in(away, "dvc", "get", "--quiet", url, path, "--out", f"got-{name}")
        run_in(away, "dvc", "import", "--quiet", url, path)
        content = (shared_project / path).read_bytes()
        assert (away / f"got-{name}").read_bytes() == (away / name).read_bytes() == content
        source = YAML(typ="safe", pure=True).load((away / f"{name}.dvc").read_text(encoding="utf-8"))["deps"][0]
        assert source["repo"] == {"url": url, "rev_lock": git(shared_project, "rev-parse", "HEAD")}
    artifacts = YAML(typ="safe", pure=True).load((shared_project / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
    assert [facts["path"] for facts in artifacts.values()] == [MODEL]


@pytest.mark.parametrize("server", ["folder"], indirect=True)
def test_a_shallow_clone_fetches_what_an_experiment_needs(shared_project: Path) -> None:
    """Nothing was pulled: no figure is missing from its summary."""
    clone = clone_of(shared_project, "shallow", "--depth", "1")
    said = run_in(clone, "dvc", "exp", "run", "--pull", "--allow-missing", "-S", "train.lr=1e-3")
    assert ran(said) == {"check", "train", "evaluate@1x1", "summary"}
    before, after = (read_json(folder / "metrics.json") for folder in (shared_project, clone))
    assert list(after) == list(before)
    assert after["top1_zeroshot"] == before["top1_zeroshot"]
    rows = [(folder / "summary.md").read_text(encoding="utf-8").count("\n| ") for folder in (shared_project, clone)]
    assert rows[0] == rows[1]


def kill_in_training(folder: Path, *words: str) -> None:
    """Start a run in which training would take long, and kill all of its processes there."""
    command = [sys.executable, "-u", "-m", *words]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert any("Running stage 'train'" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.rehearsal
def test_experiments_in_a_copy_start_from_the_commit(project: Path) -> None:
    """One after another, one of them killed: none has another's parameters, and nothing is left in the project."""
    run_in(project, *EXPERIMENT, "train.lr=1e-3")
    kill_in_training(project, *EXPERIMENT, "train.epochs=5000")
    assert git(project, "status", "--short") == ""
    run_in(project, *EXPERIMENT, "train.epochs=2")
    assert git(project, "status", "--short") == ""
    names = git(project, "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    params = (git(project, "show", f"{name}:params.yaml") for name in names if "/exec/" not in name)
    trained = [YAML(typ="safe", pure=True).load(text)["train"] for text in params]
    assert sorted((found["lr"], found["epochs"]) for found in trained) == [(5e-5, 2), (1e-3, 1)]


def test_a_killed_experiment_in_the_project_is_undone(project: Path) -> None:
    """By what its README says."""
    before = (project / "metrics.json").read_bytes()
    kill_in_training(project, "dvc", "exp", "run", "-S", "train.epochs=5000")
    git(project, "checkout", "HEAD", "params.yaml")
    assert ran(run_in(project, "dvc", "repro")) <= {"check", "summary"}
    assert "epochs: 1" in (project / "params.yaml").read_text(encoding="utf-8")
    assert (project / "metrics.json").read_bytes() == before
    assert git(project, "diff", "HEAD", "--stat", "--", "dvc.lock", "params.yaml") == ""
