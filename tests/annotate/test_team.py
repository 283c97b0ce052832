"""A team and its folder over weeks: pages that stay open, lists of classes, photos that move."""

import json

import numpy as np
import pytest

from annotate.categories import file_of, keep_categories
from annotate.exports import export
from annotate.server import serving
from annotate.state import encode
from interseg.errors import InputError
from tests.helpers.annotating import CLICKS, SIZE, Page, ask, model_of_classes, project_of, raw
from tests.helpers.drawing import draw_folder

PLACE = "x_interseg_place"
SQUARE = np.zeros(SIZE, bool)
SQUARE[10:20, 10:30] = True


def begun(page, category, mask=SQUARE):
    """An object that began from a mask, without the network."""
    return page.act("start", category=category, runs={"1": encode(mask)})


def exported(project):
    """The categories of the COCO file, by their ids."""
    export(project)
    coco = json.loads((project.out / "annotations.json").read_text())
    return {row["id"]: row["name"] for row in coco["categories"]}


def test_a_page_of_another_folder_changes_nothing_though_its_photos_have_the_same_names(
    page, project, address, tmp_path
):
    other = project_of(draw_folder(tmp_path / "other", 2), tmp_path / "other-out")
    body = json.dumps({"tab": "old", "version": 0, "do": "finish"}).encode()
    for path in ("/", "/api/project"):
        assert raw(address, path, **{PLACE: project.place})[0] == 200
    sent = {"content_type": "application/json", "content_length": str(len(body))}
    path = f"/api/photos/{page.key}/act"
    status, _, content = raw(address, path, "POST", body, **sent, **{PLACE: other.place})
    other.close()
    assert status == 409
    assert "another folder" in json.loads(content)["error"]
    assert not project.journal_path(page.key).exists()
    assert project.place.encode() in raw(address, "/")[2], "the page knows what it is of"


def test_a_request_whose_answer_got_lost_is_answered_again_and_not_done_twice(page, project):
    y, x, label = CLICKS[0]
    first = page.act("click", id="one 1", y=y, x=x, label=label)
    page.version = 0  # as the page that has no answer sends it again
    assert page.act("click", id="one 1", y=y, x=x, label=label) == first
    events = len(project.photo(page.key).journal.events)
    assert page.version == events
    page.act("finish", id="one 2")
    page.version = events
    assert page.act("finish", id="one 2")["finished"]
    page.version = 0
    assert page.try_("finish", id="one 3")[0] == 409


def test_ids_of_classes_stay_whatever_list_is_given_later(folder, tmp_path):
    for classes, names in (
        (["cat", "dog"], {1: "cat", 2: "dog"}),
        (None, {1: "cat", 2: "dog"}),
        (["bird", "dog"], {1: "cat", 2: "dog", 3: "bird"}),
    ):
        project = project_of(folder, tmp_path / "out", classes=classes)
        assert project.classes == (classes or ["cat", "dog"])
        with serving(project) as address:
            begun(Page(address), "dog")
        assert exported(project) == names
        project.close()
    assert file_of(tmp_path / "out").read_text() == "cat\ndog\nbird\n"
    with pytest.raises(InputError, match="'classes', which answers of networks of classes have"):
        project_of(folder, tmp_path / "out", classes=["classes"])


def test_objects_of_a_photo_that_was_renamed_are_named(folder, tmp_path):
    project = project_of(folder, tmp_path / "out")
    with serving(project) as address:
        begun(Page(address), "object")
    project.close()
    (folder / "images" / "0.png").rename(folder / "images" / "renamed.png")
    again = project_of(folder, tmp_path / "out")
    (note,) = again.notes
    assert note.startswith("0.png was annotated and is not in ")
    assert note in export(again)
    again.close()


def test_what_networks_of_classes_and_of_objects_answered_is_not_mixed(folder, tmp_path):
    of_objects, of_classes = tmp_path / "objects", tmp_path / "classes"
    project = project_of(folder, of_objects)
    with serving(project) as address:
        begun(Page(address), "object")
    project.close()
    project = project_of(folder, of_classes, model=model_of_classes())
    with serving(project) as address:
        Page(address).act("start", runs={"2": encode(SQUARE)})
    project.close()
    for out, model, there in (
        (of_objects, model_of_classes(), "objects"),
        (of_classes, None, "classes"),
    ):
        project = project_of(folder, out, model=model)
        (problem,) = [row["problem"] for row in project.summary() if "problem" in row]
        assert f"was annotated with a network of {there}" in problem
        assert f"0.png: {problem}" in export(project)
        project.close()


def test_an_object_whose_mask_is_empty_is_named_and_in_no_coco_file(page, project):
    begun(page, "cat", np.zeros(SIZE, bool))
    begun(page, "dog")
    notes = export(project)
    assert "0.png, object 1: its mask is empty, and the COCO files are without it" in notes
    for name in ("annotations.json", "annotations_polygons.json"):
        coco = json.loads((project.out / name).read_text())
        assert [row["name"] for row in coco["annotations"]] == ["2"]
        assert all(row["segmentation"] for row in coco["annotations"])


def test_masks_of_a_photo_that_was_erased_are_removed(page, project):
    begun(page, "cat")
    export(project)
    files = [project.out / "masks" / "0.png", project.out / "labelme" / "0.json"]
    assert all(file.exists() for file in files)
    page.act("stroke", object=1, points=[[15, 8], [15, 32]], radius=12, label=0)
    assert export(project)
    assert not any(file.exists() for file in files)


def test_a_folder_of_before_keeps_the_ids_of_its_last_export(page, project):
    begun(page, "dog")
    assert exported(project) == {1: "cat", 2: "dog"}
    file_of(project.out).unlink()  # which earlier versions did not write
    assert keep_categories(project.out, ["dog", "bird"]) == ["cat", "dog", "bird"]
    file_of(project.out).write_text("\n")  # as after a power cut
    assert keep_categories(project.out, ["cat"]) == ["cat", "dog"]
    assert file_of(project.out).read_text() == "cat\ndog\n"


def test_the_list_of_photos_tells_which_ones_somebody_works_on(page, address):
    rows = ask(address, "/api/project")[1]["photos"]
    assert [row["name"] for row in rows if row["held"]] == ["0.png"]
    ask(address, f"/api/photos/{page.key}/hold", {"tab": "one", "let_go": True})
    assert not any(row["held"] for row in ask(address, "/api/project")[1]["photos"])
