"""Data that only the training loop reads: the digest covers names and contents of all files, and nothing else."""

import hashlib
import json
import os

import pytest

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.core.files import digest
from losstune.data import files, prepared


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "raw"
    (root / "below").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"a")
    (root / "below/b.bin").write_bytes(b"\0" * 1000)
    return root


def test_each_file_is_listed_with_its_hash(root):
    found = files.listing(root)
    assert found == {"a.txt": hashlib.sha256(b"a").hexdigest(), "below/b.bin": hashlib.sha256(b"\0" * 1000).hexdigest()}
    assert files.listing(root / "a.txt") == {"a.txt": found["a.txt"]}


def test_the_folder_is_complete_and_has_no_samples(root, tmp_path):
    folder = tmp_path / "data/prepared"
    settings = DataSettings(name="files", options={"num_classes": 3})
    manifest = files.write(folder, root, settings)
    assert manifest == prepared.read_manifest(folder)
    assert not manifest.has_samples
    assert manifest.num_classes == 3
    assert manifest.digest == manifest.development_digest == manifest.test_digest == digest(files.listing(root))
    for part in ("development", "test"):
        assert json.loads((folder / part / "files.json").read_text(encoding="utf-8")) == files.listing(root)
    assert files.write(folder, root, DataSettings(name="files")).class_names == ()


CHANGES = {
    "content": lambda root: (root / "a.txt").write_bytes(b"b"),
    "name": lambda root: (root / "a.txt").rename(root / "c.txt"),
    "place": lambda root: (root / "a.txt").rename(root / "below/a.txt"),
    "another file": lambda root: (root / "c.txt").write_bytes(b""),
    "one file less": lambda root: (root / "a.txt").unlink(),
}
KEPT = {
    "time": lambda root: os.utime(root / "a.txt", (0, 0)),
    "hidden file": lambda root: (root / ".DS_Store").write_bytes(b"x"),
    "folder": lambda root: root.rename(root.with_name("moved")),
}


@pytest.mark.parametrize("change", CHANGES | KEPT)
def test_what_is_other_data(root, tmp_path, change):
    manifest = files.write(tmp_path / "prepared", root, DataSettings(name="files"))
    (CHANGES | KEPT)[change](root)
    root = root if root.exists() else root.with_name("moved")
    if change in KEPT:
        files.require_same(root, manifest)
    else:
        with pytest.raises(LosstuneError, match="the files are not those that were prepared; `dvc repro` or `losstune"):
            files.require_same(root, manifest)


def test_missing_data_is_one_line(tmp_path):
    with pytest.raises(LosstuneError, match=r"^data.root: .*absent: No such file or directory; expected the folder or"):
        files.listing(tmp_path / "absent")
    with pytest.raises(LosstuneError, match=r"holds no files, expected those that the training loop reads$"):
        files.listing(tmp_path)
