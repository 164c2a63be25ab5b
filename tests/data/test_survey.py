import numpy as np
import pytest
from PIL import Image

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data.sources import load
from losstune.data.survey import Survey, survey
from tests.own_repository import write_photos


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def look(name, most_pixels=64):
    found = survey(str(name), most_pixels=most_pixels)
    DataSettings(**found.settings)
    return found


def read(found: Survey):
    """Read the data with the settings that were found for it."""
    return load(DataSettings(**found.settings))


def test_images_of_one_size_stay_as_they_are(folder):
    write_photos(folder / "photos", per_class=4)
    found = look("photos")
    assert found.settings == {"name": "imagefolder", "root": "photos"}
    assert found.class_names == ("class0", "class1", "class2")
    assert found.class_counts == (4, 4, 4)
    assert found.input_shape == read(found).images.shape[1:] == (3, 8, 8)
    assert "12 images, 4 per class" in found.facts
    assert "8x8 pixels, not resized" in found.facts


def test_images_of_several_sizes_are_resized_to_a_usual_one(folder):
    write_photos(folder / "photos", sides=(20, 30, 50, 70))
    found = look("photos")
    assert found.settings["image_size"] == 24  # half of the images are at least 30 high and wide
    assert found.input_shape == read(found).images.shape[1:] == (3, 24, 24)
    assert "from 20x20 to 70x70 pixels, resized to 24x24 (data.image_size)" in found.facts


@pytest.mark.parametrize(("most", "side"), [(64, 64), (224, 96)])
def test_large_images_are_resized_to_what_the_model_needs(folder, most, side):
    write_photos(folder / "photos", per_class=3, sides=(300,) if most == 64 else (100, 120))
    assert look("photos", most).settings["image_size"] == side


def test_tiny_images_of_several_sizes(folder):
    write_photos(folder / "photos", sides=(5, 7))
    assert look("photos").settings["image_size"] == 5
    write_photos(folder / "smaller", sides=(2, 3))
    assert look("smaller").settings["image_size"] == 4, "the smallest that is allowed"


def test_an_upright_photo_of_a_turned_camera_has_its_own_size(folder):
    for label in "ab":
        for number in range(3):
            (folder / "photos" / label).mkdir(parents=True, exist_ok=True)
            image, exif = Image.new("RGB", (16, 8)), Image.Exif()
            if number == 0:
                image, exif[0x0112] = Image.new("RGB", (8, 16)), 6
            image.save(folder / "photos" / label / f"{number}.jpg", exif=exif)
    found = look("photos")
    assert "image_size" not in found.settings
    assert found.input_shape == read(found).images.shape[1:] == (3, 8, 16)


def test_grey_images_have_one_channel(folder):
    for label in "ab":
        for number in range(3):
            (folder / "photos" / label).mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8)).save(folder / "photos" / label / f"{number}.png")
    found = look("photos")
    assert found.input_shape == read(found).images.shape[1:] == (1, 8, 8)


def test_a_test_split_and_unequal_classes_are_told(folder):
    write_photos(folder / "photos/train", classes=2, per_class=2)
    write_photos(folder / "photos/test", classes=2, per_class=3)
    for number in range(20):
        Image.new("RGB", (8, 8)).save(folder / f"photos/train/class1/more{number}.png")
    found = look("photos")
    assert found.class_counts == (5, 25)
    assert found.imbalance == 5
    assert "30 images, 5 to 25 per class: the largest class has 5.0 times the smallest" in found.facts
    assert "its own test split has 6 of them" in found.facts


def test_arrays(folder):
    np.savez(folder / "a.npz", x=np.zeros((30, 7)), y=np.arange(30) % 3)
    found = look("a.npz")
    assert found.settings == {"name": "npz", "root": "a.npz"}
    assert found.input_shape == (7,)
    assert "30 samples of 7 features, 10 per class" in found.facts


def test_a_large_file_of_arrays_is_not_read(folder, monkeypatch):
    np.savez(folder / "a.npz", x=np.zeros((30, 7)), y=np.arange(30) % 3)
    monkeypatch.setattr("losstune.data.survey.MOST_BYTES", 100)
    found = look("a.npz")
    assert found.has_files
    assert found.class_names == ()
    assert found.input_shape is None


def test_names(folder):
    digits = look("digits")
    assert digits.settings == {"name": "digits"}
    assert sum(digits.class_counts) == 1797
    assert not digits.has_files
    assert look("MNIST").settings == {"name": "MNIST", "download": True}
    (folder / "data/raw/MNIST").mkdir(parents=True)
    assert look("MNIST").settings == {"name": "MNIST"}


def test_a_loader_of_ones_own(folder):
    (folder / "my_data.py").write_text("def load():\n    raise SystemExit\n")
    assert look("my_data.py:load").settings == {"name": "my_data.py:load"}, "it is not run"


def one_class(folder):
    write_photos(folder / "photos", classes=1)


def empty(folder):
    (folder / "photos").mkdir()


def no_images(folder):
    (folder / "photos/a").mkdir(parents=True)
    (folder / "photos/b").mkdir(parents=True)
    (folder / "photos/a/x.txt").touch()


def too_small(folder):
    write_photos(folder / "photos", per_class=2)


def damaged(folder):
    write_photos(folder / "photos")
    (folder / "photos/class0/0.png").write_bytes(b"no image")


def a_table(folder):
    (folder / "photos").write_text("a,b\n1,2\n")


def one_class_of_arrays(folder):
    with (folder / "photos").open("wb") as file:
        np.savez(file, x=np.zeros((30, 7)), y=np.zeros(30, dtype=int))


MISTAKES = [
    (lambda folder: None, "photos: no such file or folder, and no data set of that name; expected a folder of images"),
    (lambda folder: (folder / "photo").mkdir(), "did you mean 'photo'?"),
    (one_class, "found one class folder (class0) in"),
    (empty, "found no class folders in"),
    (no_images, "has no images"),
    (too_small, "photos: class 'class0' has 2 samples in the data to split 3 ways, expected at least 3"),
    (damaged, "0.png: not a readable image"),
    (a_table, "photos: found a table of text, such as CSV; expected a folder of images or an .npz file"),
    (one_class_of_arrays, "photos: has only one class, expected two or more"),
]


@pytest.mark.parametrize(("prepare", "message"), MISTAKES, ids=[message[:30] for _, message in MISTAKES])
def test_a_mistake(folder, prepare, message):
    prepare(folder)
    with pytest.raises(LosstuneError) as caught:
        look("photos")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_data_set_and_a_loader_that_is_not_there():
    with pytest.raises(LosstuneError, match="did you mean 'MNIST'"):
        look("mnist")
    with pytest.raises(LosstuneError, match=r"^PATH: found 'my_data.py:load', but .* does not exist"):
        look("my_data.py:load")


def test_a_table(folder):
    rows = [f"{row},{'Rome' if row % 3 else 'Oslo'},{'ab'[row % 2]}" for row in range(12)]
    (folder / "t.csv").write_text("\n".join(["age,city,label", *rows]))
    found = look("t.csv")
    assert found.settings == {"name": "table", "root": "t.csv"}
    assert found.input_shape == (3,)
    assert found.class_counts == (6, 6)
    assert found.facts[0] == "labels are in the column label"
    (folder / "u.csv").write_text("\n".join(["age,city,kind", *rows]))
    found = look("u.csv")
    assert found.settings == {"name": "table", "root": "u.csv", "label": "kind"}
    assert found.facts[0] == "labels are in the column kind, the last one; data.label names another"


def test_a_saved_data_set(folder):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    kinds = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["ant", "bee"]))
    pixels = [Image.new("L", (90, 70), index) for index in range(8)]
    data = datasets.Dataset.from_dict({"image": pixels, "label": [0, 1] * 4}, features=kinds)
    datasets.DatasetDict(train=data, test=data).save_to_disk("photos")
    found = look("photos")
    assert found.settings == {"name": "huggingface", "root": "photos", "image_size": 64}
    assert found.class_names == ("ant", "bee")
    assert found.class_counts == (8, 8)
    assert found.input_shape == (1, 64, 64)
    assert "16 images, 8 per class" in found.facts
    data.remove_columns("image").add_column("age", list(range(0, 16, 2))).save_to_disk("rows")
    found = look("rows")
    assert found.settings == {"name": "huggingface", "root": "rows"}
    assert found.input_shape == (1,)
