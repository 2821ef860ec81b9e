"""`bike init` and what people do with a project afterwards: edit, renew, break, clone, share."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.annotations import hmdb_replica, ucf_replica
from helpers.places import ROOT
from helpers.projects import SMALL, commit, git, make_videos, make_weights, own_videos, run_in
from helpers.wheel import unpacked_wheel
from ruamel.yaml import YAML

from bike.annotate.restrict import num_base
from bike.errors import BikeError, ParamsError
from bike.files import read_json
from bike.params import load_params
from bike.project.check import check_project, check_stage
from bike.project.dataset import load_datasets
from bike.project.init import init_project
from bike.project.protocol import plan
from bike.project.render import RUN
from bike.zoo import load_zoo


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project as `bike init` leaves it; nothing has run."""
    own_videos(tmp_path / "videos")
    init_project("folders", tmp_path / "p", videos=tmp_path / "videos", settings=SMALL)
    return tmp_path / "p"


@pytest.mark.parametrize("name", ["folders", "csv", "published", *load_zoo()])
def test_every_row_and_kind_resolves(name: str) -> None:
    protocol, tree, files = plan(name)
    assert protocol.name == name
    assert bool(files) == (protocol.labels is not None)
    assert protocol.task == "own" or tree == protocol.params
    assert protocol.task == "own" or (protocol.task == "zeroshot") == (protocol.lists.train is None)
    if "classes/labels.csv" in files:
        assert len(files["classes/labels.csv"].splitlines()) - 1 == protocol.num_classes


def test_presets_score_as_many_videos_as_were_published() -> None:
    datasets = load_datasets()
    trained = {name: data.train.expected for name, data in datasets.items() if data.train}
    counts = {"kinetics400": 19796, "activitynet": 4926, "charades": 1863, "ucf101": 3783, "hmdb51": 1530}
    assert trained == {name: (count,) for name, count in counts.items()}
    zeroshot = {name: sum(data.zeroshot.expected) for name, data in datasets.items() if data.zeroshot}
    assert zeroshot == {"activitynet": 14950, "ucf101": 13320, "hmdb51": 6766, "kinetics600": 14119 + 14067 + 14161}
    labels = plan("anet-vitl14-16f")[2]["classes/labels.csv"].splitlines()
    assert labels[1:4] == ["0,Applying sunscreen", "1,Archery", "2,Arm wrestling"]
    assert len(labels) == 201


def test_official_annotations_have_the_published_lists(shared: Path, tmp_path: Path) -> None:
    """The list that is scored, made of the annotation alone, has the published number of entries."""
    from bike.annotate.run import annotate

    for row, scored, trained in (
        ("zeroshot-ucf101", 13320, None),
        ("zeroshot-hmdb51", 6766, None),
        ("ucf101-vitl14-16f", 3783, 9537),
        ("hmdb51-vitl14-16f", 1530, 3570),
        ("charades-vitl14-336-16f", 1863, None),
    ):
        protocol = plan(row)[0]
        source = shared / "annotations" / protocol.reader
        audit = annotate(protocol.reader, source, None, tmp_path / row, options=protocol.read_options(tmp_path))
        assert audit.lists[protocol.lists.evaluate] == scored == protocol.lists.expected[0]
        assert protocol.lists.train is None or trained in (None, audit.lists["train"])


def test_splits_and_halves_have_as_many_videos_as_the_official_lists(shared: Path, tmp_path: Path) -> None:
    from bike.annotate.run import annotate
    from bike.records import read_list

    for name in ("ucf101", "hmdb51"):
        data, source = load_datasets()[name], shared / "annotations" / name
        audit = annotate(name, source, None, tmp_path / name)
        assert data.splits is not None
        assert data.base_to_novel is not None
        assert tuple(audit.lists[f"split{number}/test"] for number in (1, 2, 3)) == data.splits.expected
        assert audit.classes == data.num_classes
        samples = read_list(tmp_path / name / "split1/test.csv")
        base = sum(sample.labels[0] < num_base(data.num_classes) for sample in samples)
        assert (base, len(samples) - base) == data.base_to_novel.expected
        train = [read_list(tmp_path / name / f"split{number}/train.csv") for number in (1, 2, 3)]
        assert sum(map(len, train)) == data.splits.expected_train
        base = sum(sample.labels[0] < num_base(data.num_classes) for sample in train[0])
        assert base == data.base_to_novel.expected_train


def test_mistakes_are_one_line_and_leave_no_project(tmp_path: Path) -> None:
    videos = own_videos(tmp_path / "videos")
    for name, options, said in (
        ("ucf101-vitl14-16", {"videos": videos}, "Did you mean 'ucf101-vitl14-16f'"),
        ("folders", {}, "--videos: needed the first time"),
        ("csv", {"videos": videos}, "--annotation: the annotation's file or folder is not there"),
        (
            "ucf101-vitl14-16f",
            {"videos": tmp_path / "absent"},
            "--videos: no such folder .* Correct it, or leave it out",
        ),
        ("folders", {"videos": videos, "settings": ["train.lr"]}, "key=value is needed"),
        ("folders", {"videos": videos, "settings": ["train.lrr=1"]}, "Did you mean 'lr'"),
        ("folders", {"videos": videos, "settings": ["train.lr=50"]}, "train.lr"),
        (None, {}, "this is no project"),
    ):
        with pytest.raises(ParamsError if name else BikeError, match=said):
            init_project(name, tmp_path / "p", **options)  # type: ignore[arg-type]
        assert not (tmp_path / "p" / "dvc.yaml").exists()
    with pytest.raises(ParamsError, match="nothing could be scored"):
        init_project("folders", tmp_path / "q", videos=videos / "train")
    ucf_replica(tmp_path / "ucf")
    (tmp_path / "ucf" / "testlist01.txt").unlink()
    with pytest.raises(ParamsError, match="no test list in it"):
        init_project("ucf101-vitl14-16f", tmp_path / "r", videos=videos, annotation=tmp_path / "ucf")


def test_a_rows_project_is_written_before_its_videos_are_there(tmp_path: Path) -> None:
    """What is to be named is said by init, and by check until it is; then the project is the usual one."""
    project, row = tmp_path / "p", "ucf101-vitl14-16f"
    said = run_in(tmp_path, "bike.cli", "init", row, "p")
    assert (
        "Missing: media.csv: names no videos yet. Write `videos: /folder` into machine.yaml or set BIKE_VIDEOS" in said
    )
    assert "Missing: annotation/: absent. Run `bike init . --annotation" in said
    assert said.endswith("Next: cd p && bike check\n")
    found = {check.subject: check for check in check_project(project)}
    assert {name for name, check in found.items() if check.status == "bad"} == {"videos", "annotation", "start_from"}
    assert "run `bike manifest`" in found["videos"].detail
    said = run_in(project, "dvc", "repro", status=255)
    assert "annotation: annotation/: absent. Run `bike init . --annotation …`, or `dvc pull` in a clone" in said

    videos = make_videos(tmp_path / "videos", ucf_replica(tmp_path / "ucf")["split1/train"])
    (project / "machine.yaml").write_text(f"videos: {videos}\n", encoding="utf-8")
    run_in(project, "bike.cli", "manifest")
    said = run_in(project, "bike.cli", "init", ".", "--annotation", str(tmp_path / "ucf"))
    assert "Missing" not in said
    assert [check.subject for check in check_project(project) if check.status == "bad"] == ["start_from"]
    copy = next(check for check in check_project(project) if check.subject == "copy")
    assert copy.status == "note"
    assert copy.detail.startswith("12 of 13,320 videos. ")
    init_project(row, tmp_path / "q", videos=videos, annotation=tmp_path / "ucf")
    for name in ("dvc.yaml", "params.yaml", "protocol.yaml", "media.csv", "annotation.dvc"):
        assert (project / name).read_bytes() == (tmp_path / "q" / name).read_bytes(), name


def test_check_notes_a_copy_that_is_incomplete_and_no_other(tmp_path: Path) -> None:
    hmdb_replica(tmp_path / "annotation")
    project, videos = tmp_path / "p", own_videos(tmp_path / "videos")
    init_project("zeroshot-hmdb51", project, videos=videos, annotation=tmp_path / "annotation")
    assert "8 of 6,766 videos. " in {check.subject: check for check in check_project(project)}["copy"].detail
    protocol = project / "protocol.yaml"
    protocol.write_text(protocol.read_text(encoding="utf-8").replace("6766", "8"), encoding="utf-8")
    assert "copy" not in {check.subject for check in check_project(project)}


def test_the_annotation_may_be_absent_where_it_is_not_read_again(tmp_path: Path) -> None:
    """As in a clone of a finished project, of which an experiment needs the later stages."""
    init_project("ucf101-vitl14-16f", tmp_path)
    tree = YAML(typ="safe").load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    stages = {}
    for name in ("extract", "annotate"):
        files = {file: (tmp_path / file).read_bytes() for file in (f"code/{name}.txt", "media.csv")}
        deps = [
            {"path": file, "md5": hashlib.md5(data, usedforsecurity=False).hexdigest()} for file, data in files.items()
        ]
        stages[name] = {"deps": deps, "params": {"params.yaml": {name: tree[name]}}}
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": stages}), encoding="utf-8")
    with pytest.raises(BikeError, match="start_from") as raised:
        check_stage(tmp_path)
    assert "annotation" not in str(raised.value)
    for name in stages:
        (tmp_path / "dvc.lock").write_text(json.dumps({"stages": {**stages, name: {}}}), encoding="utf-8")
        with pytest.raises(BikeError, match="annotation/: absent. Run"):
            check_stage(tmp_path)


def test_every_file_that_init_writes_is_listed(tmp_path: Path) -> None:
    ucf_replica(tmp_path / "ucf")
    options = {"videos": own_videos(tmp_path / "videos"), "annotation": tmp_path / "ucf"}
    said = init_project("ucf101-vitl14-16f", tmp_path / "p", **options).written
    there = {path.name for path in (tmp_path / "p").iterdir() if path.name != ".bike.json"}
    listed = {name.split("/")[0] for name in said}
    assert listed == there
    assert {name for name in said if name.startswith("code/")} == {
        f"code/{path.name}" for path in (tmp_path / "p/code").iterdir()
    }
    assert len(said) == len(set(said))


def test_params_without_a_value_say_null(small: Path) -> None:
    lines = (small / "params.yaml").read_text(encoding="utf-8").splitlines()
    assert "  frames_per_video: null" in lines
    assert "fps: null" in run_in(small, "bike.cli", "params", "show", "extract")


def test_a_project_is_small_and_complete(small: Path) -> None:
    files = {path.relative_to(small).as_posix() for path in small.rglob("*") if ".git/" not in path.as_posix()}
    assert files >= {"dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", "README.md", "media.csv", "code/train.txt"}
    assert YAML(typ="safe").load((small / "machine.yaml").read_text())["videos"] == str(small.parent / "videos")
    assert git(small, "status", "--short") == ""  # DVC's experiments need a first commit
    assert "machine.yaml" not in git(small, "ls-files")
    stages = YAML(typ="safe", pure=True).load((small / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        module = stage["cmd"].removeprefix(f"{RUN} ").split()[0]
        assert (ROOT / "stages" / f"{module}.py").is_file()
        assert name == "check" or f"code/{module}.txt" in stage["deps"]
    assert "train" in run_in(small, "bike.cli", "params", "show", "train")


@pytest.mark.parametrize("text", ["jobs: [", "- 1", "[" * 10_000])
def test_a_machine_file_that_says_nothing_is_one_line(small: Path, text: str) -> None:
    (small / "machine.yaml").write_text(text)
    before = {path.name: path.read_bytes() for path in small.iterdir() if path.is_file()}
    own_videos(small.parent / "more" / "videos")
    with pytest.raises(ParamsError, match=r"machine\.yaml: "):
        init_project(None, small, videos=small.parent / "more")
    assert {path.name: path.read_bytes() for path in small.iterdir() if path.is_file()} == before


def test_params_show_has_every_value(small: Path, tmp_path: Path) -> None:
    (tmp_path / "shown.yaml").write_text(run_in(small, "bike.cli", "params", "show"), encoding="utf-8")
    assert load_params(tmp_path / "shown.yaml") == load_params(small / "params.yaml")
    assert "no such section. Did you mean 'train'" in run_in(small, "bike.cli", "params", "show", "trian", status=1)


def test_init_again_keeps_what_people_edited_and_says_what_differs(small: Path) -> None:
    before = {path.name: path.read_bytes() for path in small.iterdir() if path.is_file()}
    report = init_project(None, small)
    assert (report.written, report.kept, report.stages) == ([], {}, [])
    assert before == {path.name: path.read_bytes() for path in small.iterdir() if path.is_file()}
    params, pipeline = small / "params.yaml", small / "dvc.yaml"
    params.write_text(params.read_text().replace("lr: 5e-05", "lr: 5e-3 # mine"))
    pipeline.write_text(pipeline.read_text() + "# mine\n")
    report = init_project(None, small)
    assert (report.written, report.kept) == ([], {})  # nothing new to say
    params.write_text(params.read_text().replace("1x1:", "4x1:"))
    (small / "README.md").write_text("mine\n")
    report = init_project(None, small)
    assert report.written == [".gitignore"]  # the folder of the other views' results
    assert list(report.kept) == ["dvc.yaml"]
    assert "+    matrix: {views: [4x1]}" in report.kept["dvc.yaml"]
    assert "# mine" in params.read_text()
    assert pipeline.read_text().endswith("# mine\n")
    with pytest.raises(BikeError, match="is a project of folders"):
        init_project("ucf101-vitl14-16f", small)


def test_a_project_inside_a_dvc_project_shares_its_cache(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    run_in(tmp_path, "dvc", "init", "--quiet")
    init_project("folders", tmp_path / "p", videos=own_videos(tmp_path / "videos"), settings=SMALL)
    assert not (tmp_path / "p" / ".dvc").exists()
    assert not (tmp_path / "p" / ".git").exists()
    run_in(tmp_path / "p", "dvc", "status", "--quiet", "extract", status=1)  # known to the project above; not run yet


def test_check_names_what_is_missing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIKE_VIDEOS", raising=False)
    found = {check.subject: check for check in check_project(small)}
    assert [check.subject for check in found.values() if check.status == "bad"] == []
    assert re.fullmatch(
        r"about [\d.]+ kB, less than a minute on two cores: 96 of 96 frames, by the headers of 8 of 8 videos",
        found["packs"].detail,
    )
    assert found["shards"].detail.startswith("about ")
    assert "batch" not in found
    (small.parent / "videos/test/red/1.mp4").unlink()
    (small / "code/train.txt").write_text("bike/train/fit.py 0\n")
    (small / "params.yaml").write_text("model: {weights: absent.pt}\ntrain: {lr: 50}\n")
    found = {check.subject: check for check in check_project(small)}
    assert "absent: test/red/1.mp4" in found["videos"].detail
    assert "--renew" in found["code"].detail
    assert "train.lr" in found["params"].detail
    (small / "params.yaml").write_text("model: {weights: absent.pt}\n")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    found = {check.subject: check for check in check_project(small)}
    assert "train.batch_size is 256, the training list has 4 samples" in found["batch"].detail
    assert found["batch"].detail.endswith("Set it to 4 or less.")
    assert "1.0 kB are free, less than the" in found["disk"].detail
    assert found["weights"].detail == "absent.pt: no such file. Put it there."
    (small / "machine.yaml").write_text("device: gpux\n")
    found = {check.subject: check for check in check_project(small)}
    assert found["machine.yaml"].detail.endswith("machine.yaml: device: cpu, cuda or cuda:N is allowed (got 'gpux').")
    (small / "machine.yaml").write_text(f"videos: {small.parent / 'videos'}\n")
    assert "1 of" not in run_in(small, "bike.cli", "check", "--renew", status=1).split("videos")[0]
    assert "fit.py" not in run_in(small, "bike.cli", "check", status=1)


def test_a_project_without_its_git_repository_says_what_it_needs(small: Path, tmp_path: Path) -> None:
    """As a zip download is: `git archive`, and no `.git`."""
    folder = tmp_path / "download"
    git(small, "archive", "--output", str(tmp_path / "p.tar"), "HEAD")
    shutil.unpack_archive(tmp_path / "p.tar", folder)
    assert "is not a git repository" in run_in(folder, "dvc", "repro", status=255)
    remedy = "git init && git add . && git commit -m Start"
    assert f"Run `{remedy}`." in run_in(folder, "bike.cli", "check", status=1)
    for words in remedy.split(" && "):
        git(folder, *words.split()[1:])
    assert "git                a repository with commits" in run_in(folder, "bike.cli", "check", status=1)
    run_in(folder, "dvc", "status", "--quiet", status=1)  # DVC works; nothing has run


def test_an_installed_package_makes_the_same_project(tmp_path: Path) -> None:
    """The wheel itself, unpacked: no checkout is near."""
    site = unpacked_wheel(tmp_path / "site")
    hmdb_replica(tmp_path / "annotation")
    videos = own_videos(tmp_path / "videos")
    words = ("zeroshot-hmdb51", "p", "--videos", str(videos), "--annotation", str(tmp_path / "annotation"))
    run_in(tmp_path, "bike.cli", "init", *words, PYTHONPATH=str(site))
    (tmp_path / "other").mkdir()
    run_in(tmp_path / "other", "bike.cli", "init", *words)
    for name in ("dvc.yaml", "params.yaml", "protocol.yaml", "code/zeroshot.txt"):
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "other/p" / name).read_bytes(), name
    stage = run_in(tmp_path, "bike.project.stage", "zeroshot", "--help", PYTHONPATH=str(site))
    assert "--classes" in stage


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_project_from_init_to_a_fresh_clone(tmp_path: Path) -> None:
    """What is broken ends the run with every result in place; what is changed reruns its stages and no others."""
    clip, _ = make_weights(tmp_path)
    own_videos(tmp_path / "videos")
    init_project("folders", tmp_path / "p", videos=tmp_path / "videos", settings=[*SMALL, f"model.weights={clip}"])
    project = tmp_path / "p"
    run_in(project, "dvc", "repro")
    assert "Running stage" not in run_in(project, "dvc", "repro")
    commit(project)
    outputs = [project / name for name in ("frames/manifest.csv", "models/video.pt", "results/video/1x1/metrics.json")]

    # A bad value, and absent videos where they are needed: one line, nothing is gone.
    good = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(good.replace("lr: 5e-05", "lr: 50"))
    assert "train.lr: less than 1 is allowed (got 50)" in run_in(project, "dvc", "repro", status=255)
    (tmp_path / "videos").rename(tmp_path / "away")
    (project / "params.yaml").write_text(good.replace("short_side: 32", "short_side: 24"))
    assert "so the 8 videos of media.csv are absent" in run_in(project, "dvc", "repro", status=255)
    assert [path for path in outputs if not path.exists()] == []

    # Where no video is decoded they may be away; a parameter of training reruns what comes of it.
    (project / "params.yaml").write_text(good.replace("lr: 5e-05", "lr: 1e-4"))
    said = run_in(project, "dvc", "repro")
    assert set(re.findall("Running stage '(.*)'", said)) == {"check", "train", "evaluate@1x1", "summary"}

    # Other code of one stage: refused until it is renewed, then that stage runs.
    stale = (project / "code/evaluate.txt").read_text()
    (project / "code/evaluate.txt").write_text(stale.replace("bike/evaluate/metrics.py ", "bike/evaluate/metrics.py 0"))
    said = run_in(project, "dvc", "repro", status=255)
    assert "bike/evaluate/metrics.py" in said
    assert "bike check --renew" in said
    run_in(project, "bike.cli", "check", "--renew", status=1)  # the videos are still away
    said = run_in(project, "dvc", "repro")
    assert set(re.findall("Running stage '(.*)'", said)) <= {"check"}

    # A fresh clone shows the numbers without a cache, and runs nothing once it has pulled.
    commit(project)
    run_in(project, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run_in(project, "dvc", "push", "--quiet")
    git(project, "commit", "--quiet", "--all", "--message", "remote")
    git(tmp_path, "clone", "--quiet", str(project), "clone")
    clone = tmp_path / "clone"
    assert read_json(clone / "metrics.json") == read_json(project / "metrics.json")
    shown = run_in(clone, "dvc", "exp", "show", "--no-pager", "--drop", ".*(/|csv$|txt$|yaml$|json$|lists|code)")
    assert max(map(len, shown.splitlines())) <= 100
    run_in(clone, "dvc", "pull", "--quiet")
    assert "Running stage" not in run_in(clone, "dvc", "repro")

    # There, without videos and frame packs, training runs on the shards.
    assert not list((clone / "frames").glob("*.mjpg"))
    said = run_in(clone, "dvc", "exp", "run", "--set-param", "train.lr=1e-3")
    assert {"train", "summary"} <= (ran := set(re.findall("Running stage '(.*)'", said)))
    assert not ran & {"extract", "annotate", "shard@train", "shard@test"}


@pytest.mark.rehearsal
@pytest.mark.timeout(1800)
def test_ut_interaction_from_its_csv(shared: Path, tmp_path: Path) -> None:
    """120 real videos with a CSV of their own; the second time from the first one's remote, and nothing is computed."""
    clip, _ = make_weights(tmp_path)
    source = shared / "ut_interaction"
    options = {"videos": source / "videos", "annotation": source / "labels.csv"}
    settings = [*SMALL, f"model.weights={clip}", "train.batch_size=20"]
    one, two = tmp_path / "one", tmp_path / "two"
    init_project("csv", one, settings=settings, **options)
    run_in(one, "dvc", "repro")
    numbers = read_json(one / "metrics.json")
    assert numbers["videos"] == numbers["expected"] == 60
    run_in(one, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    commit(one)
    assert "a clone gets all" in run_in(one, "bike.cli", "push")

    # A clone of it: the numbers are there at once, and no stage runs.
    git(tmp_path, "clone", "--quiet", str(one), "clone")
    run_in(tmp_path / "clone", "dvc", "pull", "--quiet", "--run-cache")
    assert "Running stage" not in run_in(tmp_path / "clone", "dvc", "repro")

    # A project of one's own from the same videos: all is fetched.
    init_project("csv", two, settings=settings, **options)
    run_in(two, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    assert "Running stage" not in run_in(two, "dvc", "repro", "--pull")
    assert (two / "metrics.json").read_bytes() == (one / "metrics.json").read_bytes()
    assert (two / "summary.md").read_bytes() == (one / "summary.md").read_bytes()
