"""Networks of classes answer a photo as a whole, without clicks and corrected by them."""

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from annotate.exports import export
from annotate.server import serving
from annotate.state import mask_of
from interseg.errors import InputError
from tests.helpers.annotating import SIZE, Page, ask, model_of_classes, project_of


def mask_in(project, key):
    photo = project.photo(key)
    return mask_of(photo.state.things[1].runs, photo.size, 3)


def test_a_network_of_classes_answers_a_photo_as_a_whole_and_clicks_say_classes(folder, tmp_path):
    project = project_of(
        folder, tmp_path / "out", model=model_of_classes(), classes=["road", "tree"]
    )
    session = model_of_classes().session(folder / "images" / "0.png")
    with serving(project) as address:
        told = ask(address, "/api/project")[1]
        assert (told["outputs"], told["classes"]) == (3, ["road", "tree"])
        page = Page(address)
        for y, x, label in ((30, 40, 2), (10, 80, 0), (50, 20, 1)):
            thing = page.act("click", y=y, x=x, label=label)
            session.click(y, x, label)
            assert np.array_equal(
                mask_in(project, page.key),
                session.mask,
            )
        assert thing["number"] == 1
        assert session.mask[30, 40] == 2
        assert page.try_("click", y=3, x=3, label=3)[0] == 400
        assert page.try_("category", object=1, category="tree")[0] == 400
        page.act("stroke", points=[[60, 60]], radius=4, label=2)
        export(project)
    ids = cv2.imread(str(project.out / "masks" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(ids, mask_in(project, page.key))
    coco = COCO(project.out / "annotations.json")
    for name, label in (("road", 1), ("tree", 2)):
        (row,) = coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(catNms=[name])))
        assert np.array_equal(coco.annToMask(row), ids == label)
    project.close()
    with pytest.raises(InputError, match="--classes has 1 names, the network knows 2 classes"):
        project_of(folder, tmp_path / "other", model=model_of_classes(), classes=["road"])


def test_a_network_of_classes_is_seen_before_the_first_click_and_may_be_accepted(folder, tmp_path):
    project = project_of(
        folder, tmp_path / "out", model=model_of_classes(), classes=["road", "tree"]
    )
    first = model_of_classes().session(folder / "images" / "0.png").mask
    assert {*np.unique(first)} > {1}
    with serving(project) as address:
        page = Page(address)
        assert np.array_equal(mask_of(page.show()["start"], SIZE, 3), first)
        page.act("finish")
        accepted = exported(project)
        assert np.array_equal(accepted, first)
        page.act("reopen")
        label = (int(first[60, 60]) + 1) % 3
        thing = page.act("stroke", points=[[60, 60]], radius=4, label=label)
        painted = mask_of(thing["runs"], SIZE, 3)
        changed = painted != first
        assert 0 < changed.sum() <= 81, "the brush is drawn over the answer"
        assert (painted[changed] == label).all()
        page.act("finish")
        assert np.array_equal(exported(project), painted)
    project.close()
    again = project_of(folder, tmp_path / "out", model=model_of_classes(), classes=["road", "tree"])
    assert np.array_equal(exported(again), painted)
    again.close()


def exported(project):
    """The first photo's classes as they are written."""
    export(project)
    return cv2.imread(str(project.out / "masks" / "0.png"), cv2.IMREAD_UNCHANGED)


def test_a_network_of_objects_says_nothing_before_the_first_click(page):
    assert page.show()["start"] is None
