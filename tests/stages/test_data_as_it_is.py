"""Data as people have it, through `prepare`: tables, groups, own splits, images that cannot be read."""

import json

import numpy as np
import pandas as pd
import pytest

import losstune
from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.data.own import as_raw
from losstune.data.prepared import read_development, read_manifest, read_test
from losstune.stages import prepare
from losstune.stages.data_facts import data_facts, groups_note
from losstune.stages.layout import PREPARED
from tests.data.test_imagefolder import fill, put

N = 120


@pytest.fixture
def run(request, tmp_path):
    params = load_params(request.config.rootpath / "params.yaml")

    def prepared(raw=None, **data):
        chosen = params.model_copy(update={"data": type(params.data)(**data)})
        prepare.run(chosen, tmp_path, tmp_path, raw)
        folder = tmp_path / PREPARED
        return read_manifest(folder), read_development(folder, verify=True), read_test(folder, verify=True)

    return prepared


@pytest.fixture
def people(tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.normal(40, 10, N).round(1),
            "city": generator.choice(["Rome", "Oslo", "Lima"], N),
            "patient": np.arange(N) // 4,
            "label": generator.choice(["ill", "well"], N),
            "row": np.arange(N) * 10.0,
        }
    )
    frame.loc[::9, "age"] = np.nan
    frame.to_csv(tmp_path / "people.csv", index=False)
    return frame


def test_a_table_is_encoded_by_its_training_split_alone(run, people, tmp_path, capsys):
    manifest, development, test = run(name="table", root="people.csv", groups="patient")
    assert manifest.feature_names == ("age", "row", "city=Lima", "city=Oslo", "city=Rome")
    rows = {
        split: (array[:, 1] / 10).astype(int)
        for split, array in (
            ("train", development.train_images),
            ("validation", development.validation_images),
            ("test", test.images),
        )
    }
    median = people["age"][rows["train"]].median()
    for split, images in (("train", development.train_images), ("test", test.images)):
        np.testing.assert_allclose(images[:, 0], people["age"][rows[split]].fillna(median), rtol=1e-6)
    assert np.array_equal(np.array(["ill", "well"])[test.labels], people["label"][rows["test"]])
    patients = {split: set(people["patient"][found]) for split, found in rows.items()}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == N // 4
    assert {split: len(found) for split, found in patients.items()} == manifest.num_groups.model_dump()
    assert abs(len(rows["test"]) - N / 5) <= 4
    told = capsys.readouterr().out
    assert "Features: numbers in age, row, categories in city.\n" in told
    assert f"{len(patients['train'])} groups in the training split, " in told


def test_the_report_says_what_its_intervals_mean(run, people, request):
    params = load_params(request.config.rootpath / "params.yaml")
    manifest, *_ = run(name="table", root="people.csv", groups="patient")
    facts = data_facts(params, manifest)
    assert facts.num_groups == manifest.num_groups.model_dump()
    assert facts.details[0].startswith(f"{facts.num_groups['train']} groups in the training split, ")
    assert "this one split by groups" in groups_note(manifest)[0]
    manifest, *_ = run(name="table", root="people.csv")
    assert data_facts(params, manifest).num_groups == {}
    assert groups_note(manifest) == []


def test_votes_and_noisy_columns(run, people, tmp_path):
    people["second"] = people["label"].where(np.arange(N) % 10 > 0, "well")
    people.to_parquet(tmp_path / "people.parquet")
    data = {"name": "table", "root": "people.parquet", "drop": ["patient"]}
    _, development, _ = run(**data, label=["label", "second"])
    assert set(np.unique(development.train_targets)) == {0.0, 0.5, 1.0}
    _, development, test = run(**data, label_noise="second")
    rows = (development.train_images[:, 1] / 10).astype(int)
    assert np.array_equal(np.array(["ill", "well"])[development.train_labels], people["second"][rows])
    rows = (test.images[:, 1] / 10).astype(int)
    assert np.array_equal(np.array(["ill", "well"])[test.labels], people["label"][rows])


def test_an_own_test_split_shares_no_group(run, tmp_path):
    x, y, groups = np.arange(40.0)[:, None], np.arange(40) % 2, np.arange(40) // 4
    arrays = {"x": x, "y": y, "groups": groups, "test_x": x[:8], "test_y": y[:8]}
    np.savez(tmp_path / "a.npz", **arrays, test_groups=groups[:8] + 9)
    with pytest.raises(LosstuneError, match=r"1 of the 10 groups of the training data are in the test split that the"):
        run(name="npz", root="a.npz", groups="groups")
    np.savez(tmp_path / "a.npz", **arrays, test_groups=groups[:8] + 10)
    manifest, *_ = run(name="npz", root="a.npz", groups="groups")
    assert manifest.num_groups.model_dump() == {"train": 8, "validation": 2, "test": 2}
    np.savez(tmp_path / "a.npz", **arrays)
    manifest, *_ = run(name="npz", root="a.npz", groups="groups")
    assert manifest.num_groups.test is None


def test_own_splits_and_images_that_cannot_be_read(run, tmp_path, capsys):
    for number, split in enumerate(("train", "val", "test")):
        for label in "ab":
            for index in range(4):
                put(tmp_path / "pets" / split / label / f"cat{number}{index // 2}_{index}.png", 10 * number + index)
    (tmp_path / "pets/train/a/cat00_1.png").write_bytes(b"broken")
    data = {"name": "imagefolder", "root": "pets", "own_validation": True, "groups": r"(cat\d+)_"}
    with pytest.raises(LosstuneError, match=r"cat00_1\.png: not a readable image .*; data\.on_bad_image: skip leaves"):
        run(**data)
    manifest, development, test = run(**data, on_bad_image="skip")
    assert manifest.skipped == ("train/a/cat00_1.png",)
    assert sorted(development.train_images[:, 0, 0, 0].tolist()) == [0, 0, 1, 2, 2, 3, 3]
    assert sorted(development.validation_images[:, 0, 0, 0].tolist()) == [10, 10, 11, 11, 12, 12, 13, 13]
    assert sorted(test.images[:, 0, 0, 0].tolist()) == [20, 20, 21, 21, 22, 22, 23, 23]
    assert manifest.num_groups.model_dump() == {"train": 2, "validation": 2, "test": 2}
    told = capsys.readouterr().out
    assert "1 image that cannot be read left out (train/a/cat00_1.png)." in told.lower()
    assert "val/ is the validation split, test/ is the test split." in told


def test_without_a_validation_split_or_groups_the_keys_are_refused(run, tmp_path):
    raw = as_raw(losstune.Dataset(train=(np.zeros((20, 2)), np.arange(20) % 2)), "data")
    for data in ({"own_validation": True}, {"groups": "patient"}):
        with pytest.raises(LosstuneError, match=rf"data\.{next(iter(data))}: found .*, and the data has none; remove"):
            run(raw, name="npz", **data)
    raw = as_raw(losstune.Dataset(train=(np.zeros((20, 2)), np.arange(20) % 2), groups=np.arange(20) // 2), "data")
    manifest, *_ = run(raw, name="npz")
    assert manifest.num_groups.model_dump() == {"train": 6, "validation": 2, "test": 2}


def test_the_manifest_of_other_data_has_no_new_field(run, tmp_path):
    fill(tmp_path / "pets")
    run(name="imagefolder", root="pets")
    written = json.loads((tmp_path / PREPARED / "manifest.json").read_text())
    assert not {"num_groups", "skipped", "feature_names"} & written.keys()
