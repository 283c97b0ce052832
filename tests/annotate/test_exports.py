"""Exports hold what was annotated: in every format, by predict.py again, as an experiment."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree, ignore_patterns
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import interseg
from annotate.exports import export
from annotate.folders import key_of
from annotate.state import decode, encode, mask_of
from annotate.truth import Truth
from interseg.evaluation.comparison import read_objects
from tests.helpers.annotating import project_of
from tests.helpers.commands import CROP, called
from tests.helpers.drawing import draw_folder

SIZE = (72, 96)
NETWORK = "model.network={_target_: tests.helpers.tiny_network.TinyNetwork}"
FAST = (
    "loading.num_workers=0",
    "loading.batch_size=4",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    f"loading.augment={CROP[0]}",
)
EVERY = {"noc@80", "noc@85", "noc@90", *(f"iou@{k}" for k in range(1, 21))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Photos with masks, and a run that was trained on them."""
    base = tmp_path_factory.mktemp("trained")
    data = draw_folder(base / "data", 4)
    words = (
        "--config",
        "small.yaml",
        "--config",
        "data/folder.yaml",
        NETWORK,
        *FAST,
        "trainer.enable_progress_bar=false",
    )
    done = called(
        "train.py", "--trust", "tests", *words, f"data.root={data}", f"run={base / 'run'}"
    )
    assert done.returncode == 0, done.stderr
    return data, base / "run"


def middle(data, stem, id):
    """A pixel of a true object."""
    pixels = np.argwhere(np.array(Image.open(data / "masks" / f"{stem}.png")) == id)
    return pixels[len(pixels) // 2].tolist()


class Hand:
    """A person without a server."""

    def __init__(self, project, name):
        self.project, self.key = project, key_of(name)

    def act(self, do, **more):
        version = len(self.project.photo(self.key).journal.events)
        answer = self.project.act(self.key, "hand", version, {"do": do, **more})
        return answer["things"][0] if answer["things"] else answer


@pytest.fixture
def annotated(trained, tmp_path):
    """A project with three objects on two photos, of clicks alone."""
    data, run = trained
    model = interseg.load(run, device="cpu", trusted=["tests"])
    truth = Truth(data / "images", data / "masks")
    project = project_of(data, tmp_path / "out", model=model, classes=["cat", "dog"], truth=truth)
    for name, number, category, clicks in (
        ("0.png", None, "dog", [(*middle(data, "0", 1), 1), (5, 5, 0), (40, 20, 1)]),
        ("0.png", None, "cat", [(*middle(data, "0", 2), 1)]),
        ("2.png", None, "cat", [(*middle(data, "2", 1), 1), (60, 90, 0)]),
    ):
        hand = Hand(project, name)
        for y, x, label in clicks:
            number = hand.act(
                "click", object=number, y=y, x=x, label=label, category=category, spent=1.5
            )["number"]
    yield project
    project.close()


def shown(project, name):
    photo = project.photo(key_of(name))
    return {thing.number: mask_of(thing.runs, photo.size) for thing in photo.state.present}


def test_predict_plays_the_clicks_to_the_same_masks(annotated, trained, tmp_path):
    data, run = trained
    assert export(annotated) == [
        "experiment/ has 3 of 8 objects; compare.py takes it when all are there"
    ]
    words = (
        "--trust",
        "tests",
        "--checkpoint",
        run,
        "--device",
        "cpu",
        "--images",
        data / "images",
    )
    done = called(
        "predict.py", *words, "--clicks", annotated.out / "clicks.csv", "--out", tmp_path / "again"
    )
    assert done.returncode == 0, done.stderr
    for name in ("0.png", "2.png"):
        ours, theirs = (
            np.array(Image.open(root / "masks" / name))
            for root in (annotated.out, tmp_path / "again")
        )
        assert np.array_equal(ours, theirs)
        assert ours.any()
    ours, theirs = (
        json.loads((root / "annotations.json").read_text())
        for root in (annotated.out, tmp_path / "again")
    )
    for written in (ours, theirs):  # each numbers the categories that it knows
        names = {row["id"]: row["name"] for row in written.pop("categories")}
        for row in written["annotations"]:
            row["category_id"] = names[row["category_id"]]
    assert ours == theirs, "names, categories, clicks, run lengths"


def test_coco_and_labelme_have_the_masks_and_their_categories(annotated):
    hand = Hand(annotated, "2.png")
    ring = np.zeros(SIZE, bool)
    ring[10:60, 10:80] = True
    ring[20:40, 30:60] = False
    hand.act("start", runs={"1": encode(ring)}, category="dog")
    hand.act("stroke", object=2, points=[[50, 20]], radius=4, label=0)
    notes = export(annotated, tolerance=0)
    assert "2.png, object 2: clicks.csv is without its start and stroke" in notes
    coco, polygons = (
        COCO(annotated.out / "annotations.json"),
        COCO(annotated.out / "annotations_polygons.json"),
    )
    for row in coco.anns.values():
        name = coco.imgs[row["image_id"]]["file_name"]
        mask = shown(annotated, name)[int(row["name"])]
        assert np.array_equal(coco.annToMask(row).astype(bool), mask)
        drawn = polygons.annToMask(polygons.anns[row["id"]]).astype(bool)
        assert (drawn ^ mask).sum() <= 0.03 * max(mask.sum(), 300), "corners alone"
        assert row["area"] == mask.sum()
    assert not polygons.annToMask(polygons.anns[4])[30, 45]
    assert {coco.cats[row["category_id"]]["name"] for row in coco.anns.values()} == {"cat", "dog"}
    labelme = json.loads((annotated.out / "labelme" / "2.json").read_text())
    assert (
        labelme["imageHeight"],
        labelme["imageWidth"],
        labelme["imageData"],
    ) == (*SIZE, None)
    (photo,) = [path for path in annotated.files.values() if path.name == "2.png"]
    assert (annotated.out / "labelme" / labelme["imagePath"]).samefile(photo)
    assert {
        (shape["label"], shape["group_id"], shape["shape_type"]) for shape in labelme["shapes"]
    } >= {("dog", 2, "polygon")}


def test_a_photo_that_cannot_be_exported_is_named(annotated, trained, tmp_path):
    export(annotated)
    out = Path(copytree(annotated.out, tmp_path / "again", ignore=ignore_patterns("*lock*")))
    again = project_of(trained[0], out, model=annotated.model, classes=["cat", "dog"])
    journal = again.journal_path(key_of("2.png"))
    first, second, *rest = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([first, "{broken\n", second, *rest]))
    (note,) = export(again)
    again.close()
    assert note.startswith("2.png: ")
    assert (out / "masks" / "2.png").exists(), "what was exported before is kept"


@pytest.mark.parametrize("size", [(SIZE[0] - 2, SIZE[1]), (SIZE[0] + 2, SIZE[1])])
def test_a_photo_whose_mask_is_of_another_size_is_named_and_the_others_are_written(annotated, size):
    state = annotated.photo(key_of("0.png")).state
    other = state.things[1].actions[-1]._replace(runs={"1": encode(np.ones(size, bool))})
    state.things[1].actions[-1] = other
    note, _ = export(annotated)
    assert note.startswith(
        "0.png: run lengths are damaged, or of another size than 72 x 96; remove"
    )
    coco = json.loads((annotated.out / "annotations.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["2.png"]
    assert (annotated.out / "masks" / "2.png").exists()


def test_objects_that_were_removed_or_undone_are_not_exported(annotated):
    Hand(annotated, "0.png").act("remove", object=1)
    export(annotated)
    Hand(annotated, "2.png").act("undo", object=1, to=0)
    export(annotated)
    assert not (annotated.out / "masks" / "2.png").exists(), (
        "nor is what an earlier export wrote of them left"
    )
    assert not (annotated.out / "labelme" / "2.json").exists()
    coco = json.loads((annotated.out / "annotations.json").read_text())
    assert [(row["name"], row["image_id"]) for row in coco["annotations"]] == [("2", 1)]
    assert [image["file_name"] for image in coco["images"]] == ["0.png"]


def test_a_photo_that_is_finished_without_objects_is_an_image_without_annotations(annotated):
    Hand(annotated, "3.png").act("finish")
    export(annotated)
    for name in ("annotations.json", "annotations_polygons.json"):
        coco = json.loads((annotated.out / name).read_text())
        images = {image["file_name"]: image["id"] for image in coco["images"]}
        assert [*images] == ["0.png", "2.png", "3.png"], "1.png was not looked at"
        assert images["3.png"] not in {row["image_id"] for row in coco["annotations"]}
    assert not (annotated.out / "masks" / "3.png").exists()
    Hand(annotated, "3.png").act("reopen")
    export(annotated)
    coco = json.loads((annotated.out / "annotations.json").read_text())
    assert len(coco["images"]) == 2


def test_a_person_stands_beside_a_simulated_user(annotated, trained, tmp_path):
    data, run = trained
    words = (
        "--trust",
        "tests",
        "--checkpoint",
        run,
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        "max_clicks=20",
        *FAST[:3],
    )
    done = called(
        "evaluate.py",
        *words,
        f"run={tmp_path / 'played'}",
        "callbacks.report=null",
        "trainer.enable_progress_bar=false",
    )
    assert done.returncode == 0, done.stderr
    header, rows = read_objects(tmp_path / "played" / "objects.csv")
    assert set(header) == EVERY
    for name in sorted({annotated.truth.source.image(row.id) for row in rows}):
        annotated.act(
            key_of(name),
            "hand",
            len(annotated.photo(key_of(name)).journal.events),
            {"do": "finish"},
        )
        for number in shown(annotated, name):
            Hand(annotated, name).act("remove", object=number)
    for row in rows:  # the person clicks as the simulated user did
        hand, number = Hand(annotated, annotated.truth.source.image(row.id)), None
        for y, x, label, _ in row.clicks.tolist():
            number = hand.act("click", object=number, y=y, x=x, label=label, spent=2)["number"]
    assert export(annotated) == []
    ours = read_objects(annotated.out / "experiment" / "objects.csv")
    for mine, theirs in zip(ours[1], rows, strict=True):
        assert (mine.id, mine.name, mine.figures) == (theirs.id, theirs.name, theirs.figures)
        assert np.array_equal(mine.clicks, theirs.clicks)
    both = (f"user={tmp_path / 'played'}", f"person={annotated.out / 'experiment'}")
    done = called("compare.py", "--trust", "tests", *both, "--out", tmp_path / "a.html")
    assert done.returncode == 0, done.stderr
    assert "cannot be shown" not in (tmp_path / "a.html").read_text()
    text = (annotated.out / "experiment" / "objects.csv").read_text().splitlines()
    assert text[0].endswith(",clicks,seconds,final_iou")
    assert float(text[1].rsplit(",", 2)[1]) == 2 * len(rows[0].clicks)


def test_a_damaged_mask_of_an_earlier_click_leaves_one_object_out(annotated):
    thing = annotated.photo(key_of("0.png")).state.present[0]
    number = next(i for i, action in enumerate(thing.actions) if action.click)
    thing.actions[number] = thing.actions[number]._replace(runs={"1": "0"})
    damaged, missing = export(annotated)
    assert damaged.startswith("0.png: run lengths are damaged")
    assert damaged.endswith("; experiment/ leaves that object out")
    assert missing.startswith("experiment/ has 2 of 8 objects")
    assert len(read_objects(annotated.out / "experiment" / "objects.csv")[1]) == 2


def test_iou_so_far_is_of_the_object_under_the_first_click(annotated):
    told = annotated.look(key_of("0.png"), "hand")["things"]
    ids = np.array(Image.open(annotated.images.parent / "masks" / "0.png"))
    for thing in told:
        y, x, *_ = thing["clicks"][0]
        mask, truth = decode(thing["runs"]["1"], SIZE), ids == ids[y, x]
        assert ids[y, x]
        assert thing["iou"] == pytest.approx((mask & truth).sum() / (mask | truth).sum())


def test_truth_is_read_by_many_at_once(trained):
    data, _ = trained
    truth = Truth(data / "images", data / "masks")
    names = sorted(truth.of_photo) * 50
    with ThreadPoolExecutor(8) as pool, mock.patch("annotate.truth.KEPT", 1):
        found = list(pool.map(lambda name: len(truth.objects(name, SIZE)), names))
    assert found == [len(truth.of_photo[name]) for name in names]
