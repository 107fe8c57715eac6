"""A user's own task: folders, tables, sidecars, pairs; a layout gives the labels that it shows, or one line says why not."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Example, Skipped, Task


def told(task: Task, split: str = "test") -> list[tuple[str, tuple[str, ...]]]:
    """(key, names of its classes) of each example."""
    part = task.splits[split]
    found = list(part.read(range(len(part))))
    return [(one.key, tuple(task.class_names[label] for label in one.labels)) for one in found if isinstance(one, Example)]


def skipped(task: Task, split: str = "test") -> list[tuple[str, str]]:
    part = task.splits[split]
    return [(one.key, one.reason) for one in part.read(range(len(part))) if isinstance(one, Skipped)]


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(ValueError) as found:
        find_task(str(folder))
    message = str(found.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_folder_of_images_for_each_class(tree):
    folder = tree({"hot_dog/10.png": 1, "hot_dog/2.JPG": 2, "hot_dog/01.png": 3, "hot_dog/1.png": 4, "cat/a/b/x.WebP": 5})
    task = find_task(str(folder))
    assert (task.name, task.kind, task.metric, task.classes) == ("set", "classification", "accuracy", (("cat",), ("hot dog",)))
    assert told(task) == [
        ("cat/a/b/x.WebP", ("cat",)),
        ("hot_dog/01.png", ("hot dog",)),
        ("hot_dog/1.png", ("hot dog",)),
        ("hot_dog/2.JPG", ("hot dog",)),
        ("hot_dog/10.png", ("hot dog",)),
    ]


def test_any_places_can_be_read(tree):
    folder = tree({f"{name}/{i}.png": i for name in ("cat", "dog") for i in range(5)})
    split = find_task(str(folder)).splits["test"]
    whole = list(split.read(range(10)))
    assert [one.key for one in split.read(range(3, 7))] == [one.key for one in whole[3:7]]
    assert [one.image for one in whole[:5]] == [(folder / f"cat/{i}.png").read_bytes() for i in range(5)]


@pytest.mark.parametrize(
    ("train", "validation", "test"), [("train", "val", "test"), ("Training", "valid", "Testing"), ("TRAIN", "dev", "Test")]
)
def test_splits_by_the_names_of_folders(tree, train, validation, test):
    folder = tree(
        {f"{split}/{name}/{i}.png": i for i, split in enumerate((train, validation, test)) for name in ("cat", "dog")}
    )
    task = find_task(str(folder))
    assert {split: told(task, split)[1] for split in task.splits} == {
        "train": ("dog/0.png", ("dog",)),
        "validation": ("dog/1.png", ("dog",)),
        "test": ("dog/2.png", ("dog",)),
    }
    assert task.note == ""


def test_validation_is_measured_where_there_is_no_test_split(tree):
    folder = tree({f"{split}/{name}/{i}.png": i for i, split in enumerate(("train", "val")) for name in ("cat", "dog")})
    task = find_task(str(folder))
    assert task.splits.keys() == {"train", "test"}
    assert [key for key, _ in told(task)] == ["cat/1.png", "dog/1.png"]
    assert task.note == "Measured on val: there is no test split."


def test_a_note_of_the_users_stands_before_ours(tree):
    pictures = {f"{split}/{name}/{i}.png": i for i, split in enumerate(("train", "val")) for name in ("cat", "dog")}
    task = find_task(str(tree({**pictures, "task.toml": 'note = "Some were trained on."'})))
    assert task.note == "Some were trained on. Measured on val: there is no test split."


@pytest.mark.parametrize("around", ["", "images", "archive/pets", "archive/pets/images"])
def test_lone_folders_around_the_classes(tree, around):
    folder = tree({str(Path(around, name, "1.png")): 1 for name in ("cat", "dog")})
    assert told(find_task(str(folder))) == [("cat/1.png", ("cat",)), ("dog/1.png", ("dog",))]


def test_lone_folders_around_the_splits_and_within(tree):
    folder = tree({f"pets/{split}/images/{name}/1.png": 1 for split in ("train", "test") for name in ("cat", "dog")})
    task = find_task(str(folder))
    assert told(task) == told(task, "train") == [("cat/1.png", ("cat",)), ("dog/1.png", ("dog",))]


def test_a_domain_of_several_is_a_task_and_all_of_them_are_none(tree):
    folder = tree(
        {f"{domain}/{name}/1.png": 1 for domain in ("photo", "sketch", "cartoon") for name in ("dog", "house", "horse")}
    )
    assert [name for _, (name,) in told(find_task(str(folder / "sketch")))] == ["dog", "horse", "house"]
    refused(folder, "cartoon, photo, sketch hold the same folders (dog, horse, house)", "Point at one of them", "[splits]")
    (folder / "task.toml").write_text('[splits]\ntrain = "photo"\ntest = "sketch"\n')
    assert find_task(str(folder)).splits.keys() == {"train", "test"}
    (folder / "task.toml").write_text('[classes]\nphoto = "a photo"\nsketch = "a sketch"\ncartoon = "a cartoon"\n')
    assert find_task(str(folder)).class_names == ("a photo", "a sketch", "a cartoon")


def test_splits_within_each_class_are_none(tree):
    refused(tree({f"{name}/{split}/1.png": 1 for name in ("cat", "dog") for split in ("train", "test")}), "(test, train)")


def test_classes_that_are_called_like_splits(tree):
    folder = tree({"bus/1.png": 1, "train/1.png": 2, "car/1.png": 3})
    assert [name for _, (name,) in told(find_task(str(folder)))] == ["bus", "car", "train"]
    only = tree({"train/1.png": 1, "test/2.png": 2}, name="only")
    refused(only, "test holds images, but no folder for each class", "[classes]")
    (only / "task.toml").write_text('[classes]\ntrain = "a train"\ntest = "a test"\n')
    assert told(find_task(str(only))) == [("train/1.png", ("a train",)), ("test/2.png", ("a test",))]


def test_a_test_split_without_labels_is_refused(tree):
    folder = tree({"train/cat/1.png": 1, "train/dog/1.png": 1, "test/1.png": 2})
    refused(folder, "test holds images, but no folder for each class", "a table of labels")


def test_hidden_files_do_not_count(tree):
    files = {
        "cat/1.png": 1,
        "dog/1.png": 1,
        "cat/._1.png": b"",
        "__MACOSX/cat/1.png": 1,
        ".cache/x/1.png": 1,
        "cat/.t/2.png": 1,
    }
    task = find_task(str(tree(files)))
    assert (told(task), skipped(task)) == ([("cat/1.png", ("cat",)), ("dog/1.png", ("dog",))], [])


def test_what_lies_beside_the_classes_is_counted_or_named(tree):
    folder = tree({"cat/1.png": 1, "dog/1.png": 1, "dog/notes.txt": "x", "logo.png": 1, "LICENSE": "x"})
    assert skipped(find_task(str(folder))) == [("logo.png", "in no class's folder")]
    (folder / "annotations").mkdir()
    refused(folder, "the class 'annotations' has no image in it")
    (folder / "task.toml").write_text('[classes]\ncat = "a cat"\ndog = "a dog"\n')
    assert len(told(find_task(str(folder)))) == 2
    (folder / "dogs").mkdir()
    (folder / "dogs/1.png").write_bytes((folder / "dog/1.png").read_bytes())
    refused(folder, "the folder 'dogs' is no class; did you mean 'dog'?")


def test_files_that_only_look_like_images_are_examples_to_be_counted_later(tree):
    folder = tree({"cat/1.png": b"", "cat/2.heic": b"x", "dog/1.ppm": b"P6 1 1 255 abc"})
    assert [key for key, _ in told(find_task(str(folder)))] == ["cat/1.png", "cat/2.heic", "dog/1.ppm"]


def test_links_are_followed_and_loops_end(tree):
    store = tree({"1.png": 1, "2.png": 2}, name="store")
    folder = tree({"cat/0.png": 1, "dog/1.png": 1})
    (folder / "cat/more").symlink_to(store, target_is_directory=True)
    (folder / "cat/again").symlink_to(folder, target_is_directory=True)
    (folder / "dog/gone.png").symlink_to(folder / "nothing.png")
    (folder / "elk").symlink_to(store, target_is_directory=True)
    task = find_task(str(folder))
    assert [key for key, _ in told(task)] == [
        "cat/0.png",
        "cat/more/1.png",
        "cat/more/2.png",
        "dog/1.png",
        "elk/1.png",
        "elk/2.png",
    ]
    assert skipped(task) == [("dog/gone.png", "no such file")]


def test_names_in_any_script_and_either_form_of_unicode(tree):
    folder = tree({f"{unicodedata.normalize('NFD', 'café')}/ein Bild.png": 1, "日本 語/1.png": 2})
    task = find_task(str(folder))
    assert task.class_names == (unicodedata.normalize("NFC", "café"), "日本 語")
    (folder / "task.toml").write_text(f'[classes]\n"日本 語" = "Japanese"\n{json.dumps("café")} = "coffee"\n')
    assert find_task(str(folder)).class_names == ("Japanese", "coffee")
    (folder / unicodedata.normalize("NFC", "café")).mkdir()
    refused(folder, "two folders are called 'café', written in two ways")


def test_names_that_are_no_text(tree):
    folder = tree({"cat/1.png": 1, "dog/1.png": 1})
    Path(os.fsdecode(os.fsencode(folder) + b"/cat/\xff.png")).write_bytes(b"x")
    keys = [key for key, _ in told(find_task(str(folder)))]
    assert keys == ["cat/1.png", "cat/\\xff.png", "dog/1.png"]
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).mkdir()
    refused(folder, "is no UTF-8; rename it")


def test_numbers_as_classes_count_by_their_value(tree):
    assert find_task(str(tree({f"{i}/1.png": i for i in (10, 9, 100, 0)}))).class_names == ("0", "9", "10", "100")


def test_very_many_classes(tree):
    folder = tree({f"class_{i:04d}/{i}.png": b"x" for i in range(1200)})
    task = find_task(str(folder))
    assert (len(task.classes), len(task.splits["test"]), told(task)[-1]) == (
        1200,
        1200,
        ("class_1199/1199.png", ("class 1199",)),
    )


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({"dog/1.png": 1}, ["1 classes", "at least two"]),
        ({"README": "x"}, ["no folder of images for each class"]),
        (
            {"train/a/1.png": 1, "train/b/1.png": 1, "test/a/1.png": 1},
            ["test: the class 'b' has no folder", "out of every split"],
        ),
        ({"train/a/1.png": 1, "train/b/1.png": 1, "test/b/x.txt": "", "test/a/1.png": 1}, ["'b' has no image in it"]),
        ({"train/a/1.png": 1, "train/b/1.png": 1, "test/x.txt": ""}, ["test: no folder of images"]),
        ({"train/a/1.png": 1, "train/b/1.png": 1}, ["no test split, only train"]),
        ({"a/1.png": 1, "A/1.png": 1}, ["both called 'a'"]),
        ({"hot_dog/1.png": 1, "hot dog/1.png": 1}, ["both called 'hot dog'"]),
        ({"val/a/1.png": 1, "validation/a/1.png": 1}, ["has both val and validation", "rename"]),
    ],
)
def test_a_folder_that_is_no_task(tree, files, parts):
    refused(tree(files), *parts)


# classnames.txt


def test_names_beside_the_folders(tree):
    folder = tree({"a/1.png": 1, "b_c/1.png": 1, "classnames.txt": "\ufeffB_c | bee cee\na\n\n"})
    task = find_task(str(folder))
    assert task.classes == (("B c", "bee cee"), ("a",))
    assert told(task) == [("b_c/1.png", ("B c",)), ("a/1.png", ("a",))]


def test_names_for_folders_in_sorted_order(tree):
    folder = tree(
        {
            "test/n2/1.png": 1,
            "test/n10/1.png": 2,
            "classnames.txt": "ten\ntwo\n",
            "zeroshot_classification_templates.txt": "{c}!\n",
        }
    )
    task = find_task(str(folder))
    assert told(task) == [("n10/1.png", ("ten",)), ("n2/1.png", ("two",))]
    assert task.templates == ("{c}!",)


def test_the_names_above_the_set_are_of_another_one(tree):
    folder = tree({"classnames.txt": "x\ny\n", "set/a/1.png": 1, "set/b/1.png": 1}) / "set"
    assert find_task(str(folder)).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("a\nb\nc\n", ["3 lines for 2 classes"]),
        ("b\nsomething\n", ["has 'b' on line 1", "'something', which is no folder"]),
        ("a\n\nb\n", ["3 lines"]),
        (b"\xff\xfe", ["classnames.txt: no text in UTF-8"]),
    ],
)
def test_names_that_do_not_fit_the_folders(tree, names, parts):
    refused(tree({"a/1.png": 1, "b/1.png": 1, "classnames.txt": names}), *parts)


# task.toml


def test_every_setting(tree):
    folder = tree(
        {
            "seen/n1/1.png": 1,
            "seen/n2/1.png": 2,
            "new/n1/2.png": 3,
            "new/n2/2.png": 4,
            "task.toml": """
                name = "pets at home"
                kind = "classification"
                metric = "mean_per_class"
                templates = ["a photo of a {}, a pet.", "{}"]
                reference = "imagenet"
                [classes]
                n2 = ["dog", "hound"]
                n1 = "cat"
                [splits]
                train = "seen"
                test = "new"
                [reference_classes]
                n1 = []
                n2 = ["golden retriever", 162]
            """,
        }
    )
    task = find_task(str(folder))
    assert (task.name, task.metric, task.templates) == ("pets at home", "mean_per_class", ("a photo of a {}, a pet.", "{}"))
    assert (task.classes, task.reference) == ((("dog", "hound"), ("cat",)), "imagenet")
    assert task.reference_classes == (("golden retriever", 162), ())
    assert told(task) == [("n2/2.png", ("dog",)), ("n1/2.png", ("cat",))]
    assert told(task, "train") == [("n2/1.png", ("dog",)), ("n1/1.png", ("cat",))]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("metrik = 'accuracy'", ["metrik: no such setting; did you mean 'metric'?"]),
        ("clases = 3", ["clases: no such setting; did you mean 'classes'?"]),
        ("name = ", ["task.toml: "]),
        ("kind = 'classified'", ["kind: expected", "'classified'"]),
        ("metric = 'recall@1'", ["recall@1 is no metric of a classification task; there are: accuracy"]),
        ("templates = 'a {}'", ["templates: expected"]),
        ("name = '../../etc'", ["'../../etc' cannot be the name of a task"]),
        ("name = '/etc'", ["cannot be the name of a task"]),
        (f"name = '{'x' * 200}'", ["cannot be the name of a task"]),
        ("classes = ['a', 'b']", ["write a table, [classes]"]),
        ("[classes]\na = 1\nb = 2", ["classes.a = 1: write a name or a list of names"]),
        ("[classes]\na = 'x'\na = 'y'", ["task.toml: "]),
        ("[classes]\na = 'x'\nb = 'X '", ["both called 'X '"]),
        ("[classes]\na = 'x'\nb = ''", ["classes.b = ''"]),
        ("[classes]\na = 'x'\nb = 'y'\nc = 'z'", ["the class 'c' has no folder"]),
        ("[splits]\nexam = 'a'", ["splits.exam = 'a'", "the splits are train, validation, test"]),
        ("[splits]\ntest = 'c'", ["c: no such folder, but task.toml calls it the test split"]),
        ("[splits]\ntrain = '.'", ["no test split, only train"]),
        ("[reference_classes]\na = 'x'", ["reference_classes are classes of which task?"]),
        ("reference = 'r'\n[reference_classes]\nc = 'x'", ["reference_classes.a: missing"]),
        ("reference = 'r'\n[reference_classes]\na = 'x'\nb = 'y'\nz = 'z'", ["reference_classes.z: no such class"]),
        ("reference = 'r'\n[reference_classes]\na = 1.5\nb = 2", ["reference_classes.a = 1.5"]),
        ("kind = 'multilabel'", ["a multi-label task needs `labels`"]),
        ("labels = 'labels.csv'", ["labels.csv: no such file"]),
        ("metric = 'roc_auc'\n[classes]\na = 'x'", ["the folder 'b' is no class"]),
    ],
)
def test_settings_that_are_wrong(tree, text, parts):
    refused(tree({"a/1.png": 1, "b/1.png": 1, "task.toml": text}), *parts)


def test_settings_that_are_no_text(tree):
    refused(tree({"a/1.png": 1, "b/1.png": 1, "task.toml": b"name = '\xff'"}), "task.toml: ", "utf-8")


def test_roc_auc_is_of_two_classes(tree):
    refused(tree({"a/1.png": 1, "b/1.png": 1, "c/1.png": 1, "task.toml": "metric = 'roc_auc'"}), "3 classes; roc_auc is of two")


# Tables


def table(tree, rows: str, *more: str, name: str = "labels.csv", **files):
    pictures = {f"{i}.png": i for i in range(4)}
    return tree({**pictures, name: rows, "task.toml": "\n".join([f"labels = '{name}'", *more]), **files})


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("labels.csv", "image,label,split,by\n0.png,cat,test,Ann\n1.png,hot dog,test,\n2.png,cat,val,B\n3.png,hot dog,val,B\n"),
        (
            "labels.tsv",
            "\ufeffsplit\timage\tlabel\tby\ntest\t0.png\tcat\tAnn\nTest\t1.png\thot dog\t\n"
            "val\t2.png\tcat\tB\nvalidation\t3.png\thot dog\tB\n",
        ),
        (
            "labels.jsonl",
            "".join(
                json.dumps({"image": f"{i}.png", "label": name, "split": split, "by": by}) + "\n\n"
                for i, name, split, by in [
                    (0, "cat", "test", "Ann"),
                    (1, "hot dog", "test", ""),
                    (2, "cat", "validation", "B"),
                    (3, "hot dog", "validation", "B"),
                ]
            ),
        ),
    ],
)
def test_labels_in_a_table(tree, name, rows):
    task = find_task(str(table(tree, rows, name=name)))
    assert told(task) == [("0.png", ("cat",)), ("1.png", ("hot dog",))]
    assert told(task, "validation") == [("2.png", ("cat",)), ("3.png", ("hot dog",))]
    assert [one.meta for one in task.splits["test"].read(range(2))] == [{"by": "Ann"}, {"by": ""}]


def test_a_table_may_lead_out_of_the_folder_and_to_files_that_are_gone(tree, tmp_path):
    tree({"x.png": 5}, name="other")
    rows = f"image,label\n../other/x.png,a\n{tmp_path}/other/x.png,b\ngone.png,a\n.,b\n/dev/zero,a\n"
    task = find_task(str(table(tree, rows)))
    assert [key for key, _ in told(task)] == ["../other/x.png", f"{tmp_path}/other/x.png"]
    assert skipped(task) == [("gone.png", "no such file"), (".", "no such file"), ("/dev/zero", "no such file")]


def test_a_row_without_a_label_is_counted(tree):
    task = find_task(str(table(tree, "image,label\n0.png,a\n1.png,\n2.png,b\n")))
    assert skipped(task) == [("1.png", "no label")]


def test_several_labels(tree):
    rows = "image,label,not_judged\n0.png,cat; dog,\n1.png,,cat;dog\n2.png,dog;dog,cat\n"
    task = find_task(str(table(tree, rows, "kind = 'multilabel'")))
    assert (task.kind, task.metric, told(task)) == (
        "multilabel",
        "map_11_point",
        [("0.png", ("cat", "dog")), ("1.png", ()), ("2.png", ("dog",))],
    )
    assert [one.meta["not_judged"] for one in task.splits["test"].read(range(3))] == [[], [0, 1], [0]]
    listed = "".join(
        json.dumps({"image": f"{i}.png", "label": each}) + "\n" for i, each in enumerate([["cat", "dog"], [], ["dog"]])
    )
    again = find_task(str(table(tree, listed, "kind = 'multilabel'", name="labels.jsonl")))
    assert told(again) == told(task)


def test_numbers_of_the_lines_of_classnames(tree):
    task = find_task(str(table(tree, "image,label\n0.png,1\n1.png,0\n2.png,01\n", **{"classnames.txt": "cat\ndog\n"})))
    assert told(task) == [("0.png", ("dog",)), ("1.png", ("cat",)), ("2.png", ("dog",))]


@pytest.mark.parametrize(
    ("rows", "more", "parts"),
    [
        ("image,label\n0.png,a\n1.png,c\n", "[classes]\na = 'x'\nb = 'y'", ["1.png has the label 'c', which is no class"]),
        ("image,label\n0.png,cta\n1.png,dog\n", "[classes]\ncat = 'x'\ndog = 'y'", ["'cta'", "did you mean 'cat'?"]),
        ("image,label\n0.png,a\n1.png,a\n", "[classes]\na = 'x'\nb = 'y'", ["in the split test no image is of the class 'b'"]),
        (
            "image,label,split\n0.png,a,test\n1.png,b,test\n2.png,a,train\n",
            "",
            ["in the split train no image is of the class 'b'"],
        ),
        ("image,label,split\n0.png,a,test\n1.png,b,exam\n", "", ["1.png is of the split 'exam'"]),
        ("image,label,split\n0.png,a,train\n1.png,b,train\n", "", ["no test split, only train"]),
        ("image,label\n0.png,a\n1.png,b\n0.png,a\n", "", ["0.png is there twice in the split test; leave one row out"]),
        ("file,label\n0.png,a\n", "", ["row 1 has no image; the columns are image, label"]),
        ("image,class\n0.png,a\n", "", ["row 1 has no label; the columns are image, label"]),
        ("image,label\n0.png,a,b\n", "", ["row 1 has more fields than there are columns"]),
        ("image,label\n", "", ["no rows in it"]),
        ('image,label\n0.png,a\n1.png,"b\n', "", ["cannot be read after row 1"]),
        (b"image,label\n0.png,\xff\n", "", ["cannot be read after row 0"]),
        ("image,label\n0.png,a\n1.png,b\n", "[splits]\ntest = '.'", ["both labels and [splits]"]),
    ],
)
def test_tables_that_are_wrong(tree, rows, more, parts):
    refused(table(tree, rows, more), *parts)


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ('{"image": "0.png", "label": "a"}\n{"image": ', ["cannot be read after row 1"]),
        ('["0.png", "a"]\n', ["row 1 has no image"]),
        ('{"image": 3, "label": "a"}\n', ["row 1 has no image"]),
        ('{"image": "0.png", "label": ["a", "b"]}\n', ["several labels; set kind = 'multilabel'"]),
    ],
)
def test_lines_of_json_that_are_wrong(tree, rows, parts):
    refused(table(tree, rows, name="labels.jsonl"), "labels.jsonl", *parts)


def test_labels_out_of_range_and_tables_of_another_kind(tree):
    rows = "image,label\n0.png,0\n1.png,2\n"
    refused(table(tree, rows, **{"classnames.txt": "a\nb\n"}), "label 2, but classnames.txt has 2 classes, from 0")
    refused(table(tree, "x", name="labels.xlsx"), "labels.xlsx: labels are in a .csv, .tsv or .jsonl")
    several = "image,label\n0.png,a\n0.png,b\n"
    refused(
        table(tree, several, "kind = 'multilabel'"), "0.png is there twice", "all its labels in one row, between semicolons"
    )


# .cls files


def test_labels_in_files_beside_the_images(tree):
    files = {
        "test/a b.png": 1,
        "test/a b.cls": "1\n",
        "test/x/2.png": 2,
        "test/x/2.cls": "0",
        "classnames.txt": "cat\nhot_dog\n",
    }
    files |= {
        "test/._a b.png": b"",
        "test/3.png": 3,
        "test/4.png": 4,
        "test/4.cls": "cat",
        "test/5.png": 4,
        "test/5.cls": "--1",
    }
    task = find_task(str(tree(files)))
    assert told(task) == [("a b.png", ("hot dog",)), ("x/2.png", ("cat",))]
    assert skipped(task) == [("3.png", "no label"), ("4.png", "broken label"), ("5.png", "broken label")]


def test_labels_in_files_that_are_wrong(tree):
    folder = tree({"1.png": 1, "1.cls": "2"})
    refused(folder, "labels are in .cls files, but classnames.txt is not there")
    (folder / "classnames.txt").write_text("a\nb\n")
    refused(folder, "1.cls: label 2, but classnames.txt has 2 classes, from 0")
    (folder / "1.cls").write_text("-1")
    refused(folder, "label -1")
    (folder / "1.cls").write_text("one")
    refused(folder, "no image with a label in it; the split is empty")


# Pairs


def test_retrieval_in_a_folder(tree):
    folder = tree(
        {
            "1.png": 1,
            "1.txt": "a dog\nthe dog\n",
            "2.png": 2,
            "2.txt": "a cat",
            "3.png": 3,
            "4.png": b"no image",
            "4.txt": "x",
            "task.toml": "kind = 'retrieval'\ntemplates = ['a photo of {}']",
        }
    )
    task = find_task(str(folder))
    split = task.splits["test"]
    found = list(split.read(range(len(split))))
    assert [(one.key, one.texts) for one in found[:2]] == [("1", ("a dog", "the dog")), ("2", ("a cat",))]
    assert sorted(one.reason for one in found[2:]) == ["image without text", "not an image"]
    assert (task.kind, task.metric, task.templates) == ("retrieval", "recall@1", ("a photo of {}",))
    for places in (range(1, 4), range(1), range(4), range(3, 4), range(1, 2)):
        assert [one.key for one in split.read(places)] == [one.key for one in found[places.start : places.stop]]
    (folder / "1.txt").unlink()
    with pytest.raises(ValueError, match="has fewer now; start again"):
        list(split.read(range(4)))


def test_retrieval_with_splits_and_a_table(tree):
    rows = "image,caption\n1.png,a dog\n1.png,the dog\n"
    folder = tree(
        {
            f"{split}/{name}": content
            for split in ("train", "test")
            for name, content in {"1.png": 1, "captions.csv": rows}.items()
        }
    )
    (folder / "task.toml").write_text("kind = 'retrieval'")
    task = find_task(str(folder))
    assert [next(iter(split.read(range(1)))).texts for split in task.splits.values()] == [("a dog", "the dog")] * 2


# By its name


def test_what_is_no_task(tree, monkeypatch):
    folder = tree({"a/1.png": 1, "b/1.png": 1, "set.zip": b"PK"})
    for name, part in [
        (str(folder / "set.zip"), "is a file; a task is a folder"),
        (str(folder / "c"), "a task is a folder or a name"),
        ("cifar-10", "did you mean 'cifar10'?"),
    ]:
        with pytest.raises(ValueError, match=part.replace("?", r"\?")):
            find_task(name)
    monkeypatch.chdir(folder)
    assert find_task(".").name == find_task(f"{folder}/").name == "set"


def test_folders_of_wordnet_ids_are_asked_by_imagenets_names(tree):
    folder = tree({"n01440764/1.png": 1, "n03000684/1.png": 1, "n02979186/1.png": 2})
    assert find_task(str(folder)).class_names == ("tench", "cassette player", "chainsaw")
    other = tree({"n01440764/1.png": 1, "n99999999/1.png": 1}, name="other")
    task = find_task(str(other))
    assert (task.class_names, task.note[:30]) == (("n01440764", "n99999999"), "Its classes are WordNet ids, w")
