"""Files that are not what was wanted, as the libraries write them that people use."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from losstune.core.errors import LosstuneError
from losstune.data import imagefolder, npz
from losstune.data.filetypes import describe_file

TABLE = pd.DataFrame({"width": [1.5, 2.5], "label": ["ant", "bee"]})


def _zip(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")


def _tar(path):
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("ant/0.png")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"png"))


def _sqlite(path):
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (x)")


def _image(form):
    return lambda path: Image.new("RGB", (4, 4)).save(path, form)


FILES = {
    "csv": (lambda path: TABLE.to_csv(path), "a table of text"),
    "tsv": (lambda path: TABLE.to_csv(path, sep="\t"), "a table of text"),
    "csv from Excel": (lambda path: TABLE.to_csv(path, sep=";", encoding="utf-8-sig"), "a table of text"),
    "csv in UTF-16": (lambda path: TABLE.to_csv(path, encoding="utf-16"), "text in UTF-16"),
    "a long text": (lambda path: path.write_text("€" * 3000), "text"),
    "parquet": (lambda path: TABLE.to_parquet(path), "a Parquet table"),
    "feather": (lambda path: TABLE.to_feather(path), "an Arrow table"),
    "xlsx": (lambda path: _zip(path, "[Content_Types].xml", "xl/workbook.xml"), "an Office document, such as .xlsx"),
    "json": (lambda path: path.write_text(json.dumps({"x": [1]})), "text in JSON"),
    "html": (lambda path: path.write_text("<!DOCTYPE html><p>404"), "a page of HTML"),
    "zip": (lambda path: _zip(path, "ant/0.png", "bee/0.png"), "a ZIP archive of 2 other files"),
    "zip cut off": (lambda path: path.write_bytes(b"PK\x03\x04 broken"), "a ZIP archive that is truncated"),
    "tar": (_tar, "a TAR archive"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"x")), "compressed by gzip"),
    "bzip2": (lambda path: path.write_bytes(bz2.compress(b"x")), "compressed by bzip2"),
    "xz": (lambda path: path.write_bytes(lzma.compress(b"x")), "compressed by xz"),
    "pt": (lambda path: torch.save({"x": torch.ones(2)}, path), "a file of torch.save"),
    "old pt": (
        lambda path: torch.save({"x": torch.ones(2)}, path, _use_new_zipfile_serialization=False),
        "a pickle, which could run any code and is not opened",
    ),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"x": 1})), "a pickle, which could run any code"),
    "mat": (lambda path: savemat(path, {"x": np.ones(2)}, appendmat=False), "a MATLAB file"),
    "sqlite": (_sqlite, "an SQLite database"),
    "jpg": (_image("JPEG"), "a JPEG image"),
    "png": (_image("PNG"), "a PNG image"),
    "gif": (_image("GIF"), "a GIF image"),
    "bmp": (_image("BMP"), "a BMP image"),
    "tif": (_image("TIFF"), "a TIFF image"),
    "webp": (_image("WEBP"), "a WebP image"),
    "Git LFS": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "a Git LFS pointer",
    ),
    "nothing": (lambda path: path.touch(), "an empty file"),
    "noise": (lambda path: path.write_bytes(bytes(range(3, 203))), "of an unknown kind (it begins with bytes 03 04"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is_is_told_wherever_it_lies(tmp_path, name):
    make, kind = FILES[name]
    make(tmp_path / "a.npz")
    assert describe_file(tmp_path / "a.npz").startswith(kind)
    with pytest.raises(LosstuneError) as caught:
        npz.load(tmp_path / "a.npz")
    assert f"found {kind}" in str(caught.value)
    assert "expected an .npz file with images and labels" in str(caught.value)
    with pytest.raises(LosstuneError, match="no folder") as caught:
        imagefolder.load(tmp_path / "a.npz", image_size=None)
    assert f"there is a file, {kind}" in str(caught.value)


def test_an_archive_of_arrays_is_one_compressed_or_not(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=np.ones(3))
        assert describe_file(tmp_path / "a.npz") == "an archive of arrays (.npz)"
