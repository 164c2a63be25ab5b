"""A user's own pack runs from its folder to its table."""

import json
import shutil

import pytest

from tests.commands import losstune


@pytest.fixture
def folder(values, write_pack, tmp_path):
    values["claims"][0]["cells"] = ["clean", "published"]
    del values["cells"]["noisy"]
    return write_pack(values)


def test_a_pack_of_ones_own_runs_to_its_table(folder, tmp_path):
    done = losstune(tmp_path, "pack", "run", "mine", "--folder", "out")
    pack = json.loads((tmp_path / "out" / "pack.json").read_text())
    assert [(claim["id"], claim["cell"]) for claim in pack["claims"]] == [
        ("focal", "clean"), ("focal", "published"), ("kl", "clean"),
    ]  # fmt: skip
    results = json.loads((tmp_path / "out" / "clean" / "results.json").read_text())
    (focal,) = [loss for loss in results["losses"] if loss["loss"] == "focal"]
    first, unread, identical = pack["claims"]
    assert first["decision"] == focal["decision"]
    assert first["mean"] == focal["difference"]["mean"]
    assert unread["outcome"] == "undecided"
    assert unread["reason"] == "not run: needs the data, as data.npz in the folder of --data"
    assert identical["outcome"] == "agrees"
    assert not (tmp_path / "out" / "published").exists()
    said = " ".join(done.stdout.split())
    assert "Of 2 comparisons with a published claim on smaller stand-ins, " in said
    assert said.endswith(" 1 more was not run.")
    page = (tmp_path / "out" / "pack.md").read_text()
    assert "| Focal loss is better. (published: focal 90, cross_entropy 89.5 % accuracy, Table 1) |" in page
    assert "digits in place of everything" in page

    # A finished pack only prints its table; one of which trainings are left continues.
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "clean").rglob("*") if path.is_file()}
    again = losstune(tmp_path, "pack", "run", "mine", "--folder", "out")
    assert "mine, clean: finished" in again.stdout
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert all(path.stat().st_mtime_ns == before for path, before in times.items())
    shutil.rmtree(tmp_path / "out" / "clean")
    assert "tune: kept 18, to train 0" in losstune(tmp_path, "pack", "run", "mine", "--folder", "out").stdout
    assert json.loads((tmp_path / "out" / "pack.json").read_text()) == pack


def test_code_of_a_pack_lies_beside_it(folder, values, write_pack, tmp_path):
    values["params"]["losses"].append("mine.py:doubled")
    values["claims"][0] |= {"cells": ["clean"], "loss": "doubled"}
    write_pack(values)
    (folder / "mine.py").write_text(
        "from torch.nn.functional import cross_entropy\n\n\n"
        "def doubled(logits, target):\n    return 2 * cross_entropy(logits, target, reduction='none')\n"
    )
    losstune(tmp_path, "pack", "run", "mine")
    results = json.loads((tmp_path / "packs" / "mine" / "clean" / "results.json").read_text())
    assert [loss["loss"] for loss in results["losses"] if loss["loss"] == "doubled"]
    assert json.loads((tmp_path / "packs" / "mine" / "pack.json").read_text())["claims"][0]["loss"] == "doubled"


def test_changed_settings_run_again(folder, values, write_pack, tmp_path):
    losstune(tmp_path, "pack", "run", "mine")
    values["params"]["losses"].append("gce")
    write_pack(values)
    assert "tune: kept 18, to train 6" in losstune(tmp_path, "pack", "run", "mine").stdout
    assert (tmp_path / "packs" / "mine" / "clean" / "results.json").exists()


def test_a_mistake_in_a_pack_trains_nothing(folder, values, write_pack, tmp_path):
    values["params"]["losses"].append("foacl")
    write_pack(values)
    done = losstune(tmp_path, "pack", "run", "mine", check=False)
    assert done.returncode == 2
    assert "cells.clean: losses: unknown loss 'foacl'; did you mean 'focal'?" in done.stderr
    assert not (tmp_path / "packs").exists()


def test_settings_of_others_are_not_overwritten(folder, tmp_path):
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "params.yaml").write_text("study: {name: precious}\n")
    done = losstune(tmp_path, "pack", "run", "mine", "--folder", ".", check=False)
    assert done.returncode == 2
    assert "clean/params.yaml: found settings that no pack wrote" in done.stderr
    assert (tmp_path / "clean" / "params.yaml").read_text() == "study: {name: precious}\n"


def test_the_list_names_every_pack(tmp_path):
    said = losstune(tmp_path, "pack", "list").stdout
    for name in ("janocha-2017", "hui-2021", "kornblith-2021", "zhang-2018", "ma-2020", "long-tail", "drager-2022"):
        assert name in said
    assert losstune(tmp_path, "pack").stdout == said
