"""A method taught volumes through the page's requests equals the training command's."""

import contextlib

import numpy as np
import pytest
import SimpleITK
import torch

from annotate.server import running
from annotate.state import decode
from annotate.teaching.slices import decode_volume, slice_size
from annotate.teaching.volume_server import make_app
from configs.teaching_volumes import first_number, open_volumes
from interseg.errors import InputError
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.slices import index
from tests.helpers.annotating import ask, tiny_model
from tests.helpers.teaching import state_of
from tests.helpers.training import assert_equal
from tests.helpers.volume_lessons import (
    SHAPE,
    Labeller,
    Recorded,
    config_of,
    fit,
    lessons_of,
    voxels,
)
from tests.helpers.volumes import case, save


@contextlib.contextmanager
def taught(*given):
    """Lessons and their address, begun; closed at the end."""
    lessons = lessons_of(*given)
    try:
        with running(make_app(lessons)) as address:
            lessons.start()
            yield lessons, address
    finally:
        lessons.close()


@pytest.fixture
def refined(monkeypatch):
    """Refined probabilities, in the order in which rounds were learned."""
    from callbacks.lessons import Lessons

    seen, before = [], Lessons.on_train_batch_end

    def watch(loop, trainer, pl_module, outputs, batch, batch_idx):
        seen.append((outputs["probabilities"][0, 0].clone(), batch["proxy"].copy()))
        before(loop, trainer, pl_module, outputs, batch, batch_idx)

    monkeypatch.setattr(Lessons, "on_train_batch_end", watch)
    return seen


def test_rounds_taught_through_the_page_are_those_of_the_training_command(
    volumes, dynamic, refined, tmp_path
):
    watch = Recorded()
    weights = dynamic / "checkpoints" / "last.ckpt"
    fit(
        config_of(volumes, f"model.pretrained={weights}", "model.replay={slots: 3, size: 2}"),
        tmp_path / "command",
        watch,
    )
    assert len(watch.rounds) == 4
    ids = [row["id"] for row in watch.rounds if row["round"] == 0]
    files = []
    for task, id in enumerate(ids):
        image, _ = case(id, SHAPE)
        save(image, tmp_path / "volumes" / f"v{task}.nii.gz")
        files.append(tmp_path / "volumes" / f"v{task}.nii.gz")
    lessons = lessons_of(
        dynamic, files, tmp_path / "page", None, "model.replay={slots: 3, size: 2}"
    )
    fresh = {"keys": [], "samples": [], "drawable": [], "seen": 0, "newest": None}
    with pytest.MonkeyPatch.context() as patch, running(make_app(lessons)) as address:
        # the command began with an empty buffer, and ids are those of its data set: what is drawn
        # depends on them
        patch.setattr("configs.teaching_volumes.read_buffer", lambda checkpoint: fresh)
        lessons.scans.first_id = 0
        ids_of = dict(enumerate(ids))
        original = type(lessons.scans).__getitem__

        def numbered(scans, key):
            batch = original(scans, key)
            return batch | {"id": torch.tensor([ids_of[key[1]]])}

        patch.setattr(type(lessons.scans), "__getitem__", numbered)
        lessons.start()
        for row in watch.rounds:
            person = Labeller(address, f"v{row['task']}.nii.gz")
            known = {(one["axis"], one["number"]) for one in person.show()["slices"]}
            for place in sorted(row["slices"].keys() - known):
                person.draw(place, row["slices"][place])
            merged = decode_volume(person.guide()["proxy"], SHAPE)
            assert np.array_equal(merged, row["proxy"]), (
                "the page shows the proxy mask that is learned"
            )
            shown = person.learn("next" if row["last"] else "teach")
            assert torch.equal(refined[-1][0], row["refined"]), "to the last digit"
            assert np.array_equal(refined[-1][1], row["proxy"])
            assert np.array_equal(
                decode_volume(shown["answer"], SHAPE), row["refined"].numpy() > 0.5
            )
        lessons.close()
    assert_equal(state_of(tmp_path / "command"), state_of(tmp_path / "page"))


def test_lessons_go_on_where_they_were_closed_and_a_cancelled_round_is_none(
    volumes, dynamic, tmp_path, monkeypatch
):
    volume = volumes / "images" / "c0.nii.gz"
    _, mask = case(0, SHAPE)
    places = [(0, 5), (1, 6)]
    for out in ("whole", "cut"):
        with taught(dynamic, [volume], tmp_path / out) as (_, address):
            person = Labeller(address, volume.name)
            for place in places:
                person.draw(place, mask[index(*place)] > 0)
            if out == "whole":
                person.learn()
                person.draw((0, 4), mask[4] > 0)
                expected = person.learn("next")
    with taught(dynamic, [volume], tmp_path / "cut") as (lessons, address):
        person = Labeller(address, volume.name)
        assert [(one["axis"], one["number"]) for one in person.show()["slices"]] == places
        with monkeypatch.context() as patch:
            patch.setattr(
                lessons, "update", lambda done, of: (person.act("cancel"), lessons._check())
            )
            person.version = person.show()["version"]
            status, _ = ask(
                address, f"/api/photos/{person.key}/act", {"version": person.version, "do": "teach"}
            )
            person.version += 1
            assert status == 200
            until = person.wait("waiting")
            assert until
        assert person.show()["round"] == 0
        person.learn()
    with taught(dynamic, [volume], tmp_path / "cut") as (_, address):
        person = Labeller(address, volume.name)
        person.draw((0, 4), mask[4] > 0)
        found = person.learn("next")
    assert found["answer"] == expected["answer"]
    assert_equal(state_of(tmp_path / "whole"), state_of(tmp_path / "cut"))


def test_slices_are_drawn_by_clicks_of_a_network_and_by_brush(volumes, dynamic, tmp_path):
    volume = volumes / "images" / "c1.nii.gz"
    with taught(dynamic, [volume], tmp_path, tiny_model()) as (lessons, address):
        person = Labeller(address, volume.name)
        grey = voxels(ask(address, f"/api/photos/{person.key}/voxels", raw=True)[1])
        image, _ = case(1, SHAPE)
        assert grey.shape == SHAPE
        assert np.corrcoef(grey.ravel(), image.ravel())[0, 1] > 0.9
        shown = person.act("click", axis=1, number=6, y=5, x=6, label=1)
        shown = person.act("click", axis=1, number=6, y=1, x=1, label=0)
        session = tiny_model().session(np.repeat(np.ascontiguousarray(grey[:, 6])[..., None], 3, 2))
        session.click(5, 6, 1)
        session.click(1, 1, 0)
        drawn = decode(shown["slices"][0]["runs"], slice_size(SHAPE, 1))
        assert np.array_equal(drawn, session.mask)
        shown = person.act("stroke", axis=1, number=6, points=[[2, 2], [2, 8]], radius=1, label=1)
        assert decode(shown["slices"][0]["runs"], slice_size(SHAPE, 1))[2, 2:9].all()
        assert person.act("undo", axis=1, number=6)["slices"][0]["actions"] == 2
        assert person.act("redo", axis=1, number=6)["slices"][0]["actions"] == 3
        merged = decode_volume(person.guide()["proxy"], SHAPE)
        proxy = ProxyMask(lessons.scans.scan(0).image, lessons.carry)
        mask = decode(person.show()["slices"][0]["runs"], slice_size(SHAPE, 1))
        proxy.label(1, {6: mask})
        assert np.array_equal(merged, proxy.merge())
        for words, request in {
            "axis is 3": {"do": "click", "axis": 3, "number": 1, "y": 1, "x": 1, "label": 1},
            "number is 12": {"do": "click", "axis": 2, "number": 12, "y": 1, "x": 1, "label": 1},
            "x is 12": {"do": "click", "axis": 0, "number": 1, "y": 1, "x": 12, "label": 1},
            "nothing that can be done": {"do": "finish", "axis": 0, "number": 1},
            "there is no object": {"do": "undo", "axis": 0, "number": 1},
        }.items():
            status, found = person.try_(**request)
            assert (status, words in found["error"]) == (400, True), found
    with taught(dynamic, [volume], tmp_path / "brush") as (_, address):
        person = Labeller(address, volume.name)
        assert not person.get("/api/lessons")["clicks"]
        assert person.try_("click", axis=0, number=4, y=1, x=1, label=1)[0] == 400, (
            "there is no network"
        )


def test_guidance_asks_for_slices_that_are_not_labelled_and_labour_grows(
    volumes, dynamic, tmp_path
):
    volume = volumes / "images" / "c2.nii.gz"
    _, mask = case(2, SHAPE)
    with taught(dynamic, [volume], tmp_path) as (_, address):
        person = Labeller(address, volume.name)
        first = person.guide()
        assert set(first["asked"]) == {"0", "1"}
        assert first["labour"] == 0
        person.draw((0, 5), mask[5] > 0)
        second = person.guide()
        assert 5 not in second["asked"]["0"]
        merged = decode_volume(second["proxy"], SHAPE)
        assert second["labour"] == pytest.approx(1 / merged.any((1, 2)).sum(), abs=1e-4)
        assert np.array_equal(merged[5], mask[5] > 0)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_what_is_exported_has_the_files_own_geometry(orientation, volumes, dynamic, tmp_path):
    image, mask = case(3, SHAPE)
    made = SimpleITK.GetImageFromArray(image)
    made.SetSpacing((0.7, 1.1, 2.3))
    made.SetOrigin((12.5, -30, 4))
    path = tmp_path / "odd.nii.gz"
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(made, orientation), str(path))
    own = SimpleITK.ReadImage(str(path))
    truth = SimpleITK.GetImageFromArray(mask)
    truth.CopyInformation(made)
    own_truth = SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(truth, orientation))
    with taught(dynamic, [path], tmp_path / "out", None, "data.crop=nonzero", "data.margin=1") as (
        lessons,
        address,
    ):
        person = Labeller(address, path.name)
        shape = tuple(person.show()["size"])
        box = lessons.scans.scan(0).box
        assert shape == tuple(side.stop - side.start for side in box)
        assert shape != SHAPE
        inner = mask[box]
        for number in range(shape[0]):
            person.draw((0, number), inner[number] > 0)
        assert ask(address, "/api/export", {})[1]["notes"] == ["1 volume is not done"]
    for kind in ("answers", "proxies"):
        written = SimpleITK.ReadImage(str(tmp_path / "out" / kind / "odd.nii.gz"))
        assert written.GetSize() == own.GetSize()
        assert np.allclose(written.GetSpacing(), own.GetSpacing())
        assert np.allclose(written.GetOrigin(), own.GetOrigin())
        assert np.allclose(written.GetDirection(), own.GetDirection())
    assert np.array_equal(SimpleITK.GetArrayFromImage(written), own_truth), (
        "all slices were labelled: the proxy mask is the truth"
    )


def test_what_a_run_remembers_is_replayed_and_its_volumes_keep_their_numbers(
    volumes, dynamic, tmp_path
):
    lesson = open_volumes(
        str(dynamic), [], [volumes / "images" / "c0.nii.gz"], tmp_path / "out", "cpu"
    )
    kept = torch.load(dynamic / "checkpoints" / "last.ckpt", weights_only=True)["replay"]["keys"]
    assert kept
    assert lesson.scans()[0, 0, 0, 0, 1]["id"].item() == max(kept) + 1
    with taught(dynamic, [volumes / "images" / "c0.nii.gz"], tmp_path / "out") as (_, address):
        person = Labeller(address, "c0.nii.gz")
        person.draw((0, 5), np.ones(SHAPE[1:], bool))
        person.learn()
    keys = torch.load(tmp_path / "out" / "checkpoints" / "last.ckpt", weights_only=True)["replay"][
        "keys"
    ]
    assert keys == [*kept, max(kept) + 1]


def test_what_cannot_be_taught_is_named(volumes, dynamic, tmp_path):
    with pytest.raises(InputError, match="there is no volume"):
        open_volumes(str(dynamic), [], [tmp_path / "none.nii"], tmp_path / "a", "cpu")
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    with (
        pytest.raises(InputError, match=r"bad\.nii\.gz cannot be read"),
        taught(dynamic, [tmp_path / "bad.nii.gz"], tmp_path / "b"),
    ):
        pass
    assert not (tmp_path / "b" / "lesson.json").exists(), "it can begin without that volume"
    other = tmp_path / "more" / "c0.nrrd"  # of another format: both answers were c0.nii.gz
    save(case(4, SHAPE)[0], other)
    with pytest.raises(InputError, match="would be exported under one name"):
        open_volumes(
            str(dynamic), [], [volumes / "images" / "c0.nii.gz", other], tmp_path / "c", "cpu"
        )
    grown = tmp_path / "grown.nii.gz"
    save(case(4, SHAPE)[0], grown)
    with taught(dynamic, [grown], tmp_path / "d", None, "data.size=null"):
        pass
    save(case(4, [side + 2 for side in SHAPE])[0], grown)
    with (
        pytest.raises(InputError, match=r"voxels now, its lessons in .* began at"),
        taught(dynamic, [grown], tmp_path / "d", None, "data.size=null"),
    ):
        pass


def test_a_persons_volumes_have_numbers_that_no_buffer_knows():
    assert first_number({}) == first_number({"keys": [], "newest": None}) == 0
    assert first_number({"keys": [8, 27, 22], "newest": 28}) == 29, "28 was turned away"
    assert first_number({"keys": [(8, 1), (3, 0)], "newest": (3, 0)}) == 9
