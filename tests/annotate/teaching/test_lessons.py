"""A method taught through the page's requests equals the training command's of the same labels."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from annotate.folders import key_of
from annotate.state import decode
from configs.teaching import device_keys, open_lesson
from interseg.clicks.layout import clicks_of
from interseg.continual.annotations import draw_clicks
from interseg.continual.superpixels import choose_segments
from interseg.errors import InputError
from interseg.evaluation.overlap import mean_iou
from tests.annotate.teaching.conftest import FILES
from tests.helpers.annotating import ask
from tests.helpers.teaching import (
    LABELS,
    SIZE,
    Pupil,
    answer,
    lessons_of,
    played,
    say,
    state_of,
    taught,
)
from tests.helpers.training import assert_equal


@pytest.fixture
def refined(monkeypatch):
    """Refined probabilities, in the order in which rounds were learned."""
    seen = []

    def watch(loop, trainer, pl_module, outputs, batch, batch_idx, before=None):
        seen.append(outputs["probabilities"][0].clone())
        before(loop, trainer, pl_module, outputs, batch, batch_idx)

    from callbacks.lessons import Lessons as Reporter

    original = Reporter.on_train_batch_end
    monkeypatch.setattr(
        Reporter, "on_train_batch_end", lambda *given: watch(*given, before=original)
    )
    return seen


@pytest.mark.parametrize(
    "name", [name for name in FILES if name != "naive"]
)  # EWC without a weight
def test_rounds_taught_through_the_page_are_those_of_the_training_command(
    name, root, photos, pretrained, refined, tmp_path
):
    rounds = played(root, pretrained(name), tmp_path / "command", *FILES[name])
    assert sum((row["new"] != 255).any() for row in rounds) >= 3
    with taught(pretrained(name), photos, tmp_path / "page") as (_, address):
        for row in rounds:
            person = Pupil(address, f"{row['task']}.png")
            assert np.array_equal(answer(person.show()), row["met"].argmax(0).numpy())
            if (row["new"] != 255).any():
                person.label(row["new"], row["segments"])
            shown = person.learn("next" if row["last"] else "teach")
            assert torch.equal(refined[-1], row["refined"]), "to the last digit"
            assert np.array_equal(answer(shown), row["refined"].argmax(0).numpy())
    assert_equal(state_of(tmp_path / "command"), state_of(tmp_path / "page"))


def test_labels_of_all_kinds_are_drawn_undone_until_they_are_taught_and_refused_where_they_are_none(
    photos, pretrained, tmp_path
):
    with taught(pretrained("naive"), photos, tmp_path) as (lessons, address):
        person = Pupil(address)
        segments = lessons.meeting.segments
        shown = say(person, [(20, 30, 1)])
        drawn = annotation(shown)
        assert np.array_equal(drawn == 1, segments == segments[20, 30])
        assert segments[20, 30] not in shown["wished"]
        shown = person.act("label", kind="click", y=3, x=4, label=0, radius=2)
        assert np.array_equal(
            annotation(shown) == 0, draw_clicks(clicks_of([(3, 4, 0)]), SIZE, 2) == 0
        )
        shown = person.act("label", kind="scribble", points=[[30, 10], [30, 30]], radius=1, label=1)
        assert (annotation(shown)[30, 10:31] == 1).all()
        assert person.act("undo")["labels"] == 2
        assert (annotation(person.act("redo"))[30, 10:31] == 1).all()
        refusals = {
            "label is 2": {"do": "label", "kind": "superpixel", "y": 3, "x": 3, "label": 2},
            "kind is": {"do": "label", "kind": "<b>", "y": 3, "x": 3, "label": 1},
            "y is": {"do": "label", "kind": "click", "y": 40, "x": 3, "label": 1},
            "radius is": {
                "do": "label",
                "kind": "click",
                "y": 4,
                "x": 3,
                "label": 1,
                "radius": 1e9,
            },
            "outside": {
                "do": "label",
                "kind": "scribble",
                "points": [[-30, -30]],
                "radius": 1,
                "label": 1,
            },
            "nothing that can be done": {"do": "forget"},
            "nothing to redo": {"do": "redo"},
        }
        for words, request in refusals.items():
            status, found = person.try_(**request)
            assert status == 400
            assert words in found["error"]
        stale = Pupil(address)
        say(person, [(35, 50, 0)])
        assert stale.try_("undo")[0] == 409
        assert (
            ask(address, f"/api/photos/{key_of('1.png')}/act", {"version": 0, "do": "teach"})[0]
            == 400
        ), "not met yet"
        shown = person.learn()
        assert (shown["undo"], shown["new"]) == (False, 0)
        assert person.try_("undo")[0] == 400, "what was taught stays"
        assert person.try_("teach")[0] == 400, "nothing new"


def annotation(shown):
    drawn = np.full(SIZE, 255, np.uint8)
    for label, counts in shown["annotation"].items():
        drawn[decode(counts, SIZE)] = int(label)
    return drawn


@pytest.mark.parametrize("truth", [True, False])
def test_what_was_gained_and_kept_is_written_at_any_moment(truth, photos, pretrained, tmp_path):
    with taught(pretrained("packnet"), photos, tmp_path, truth=truth) as (_, address):
        for number, name in enumerate(("0.png", "1.png", "2.png")):
            person = Pupil(address, name)
            shown = say(person, LABELS)
            shown = person.learn()
            shown = person.learn("next")
            if number == 1:
                stranger = tmp_path / "labels" / "0.png"
                stranger.parent.mkdir()
                stranger.write_bytes(b"somebody's labels")
                status, found = ask(address, "/api/export", {})
                assert status == 400
                assert "labels/0.png exists, and no export" in found["error"]
                assert stranger.read_bytes() == b"somebody's labels"
                assert not (tmp_path / "masks").exists(), "nothing is written"
                stranger.unlink()
                assert ask(address, "/api/export", {})[1]["notes"] == ["1 photo is not done"]
                assert len(json.loads((tmp_path / "transfer.json").read_text())["photos"]) == 2
        assert person.wait("resting")
        assert person.get("/api/status")["key"] is None
        status, found = ask(address, "/api/export", {})
        assert (status, found["notes"]) == (200, [])
        rows = person.get("/api/lessons")["photos"]
    figures = json.loads((tmp_path / "transfer.json").read_text())
    assert figures["reference"] == ("truth" if truth else "accepted")
    assert [row["rounds"] for row in figures["photos"]] == [2, 2, 2]
    mean, parts = figures["mean"], figures["photos"]
    assert mean["backward"] == pytest.approx(np.mean([row["now"] for row in parts[:2]]))
    assert mean["forward"] == pytest.approx(np.mean([row["met"] for row in parts[1:]]))
    assert (mean["basic"] is None) == (not truth)
    assert parts[0]["now"] == parts[0]["refined"], "PackNet forgets nothing"
    masks = [np.array(Image.open(tmp_path / "masks" / f"{i}.png")) for i in range(3)]
    assert np.array_equal(masks[2], answer(shown))
    assert np.array_equal(np.array(Image.open(tmp_path / "labels" / "2.png")), annotation(shown))
    if truth:
        mask = np.array(Image.open(photos / "masks" / "2.png"))
        rest = np.where(annotation(shown) == 255, mask, 255)
        assert (
            parts[2]["refined"] == parts[2]["basic"] == pytest.approx(mean_iou(masks[2], rest, 2))
        )
        assert rows[2]["iou"] == pytest.approx(mean_iou(masks[2], mask, 2), abs=1e-4)


def test_gates_retrieval_and_maps_are_shown(photos, pretrained, tmp_path):
    with taught(pretrained("clis"), photos, tmp_path) as (lessons, address):
        person = Pupil(address)
        say(person, LABELS)
        person.learn("next")
        person = Pupil(address, "1.png")
        first, second, third = person.get("/api/lessons")["photos"]
        assert [len(layer) for layer in first["activation"]] == [6, *[8] * 13]
        assert first["neighbour"] is None
        assert second["neighbour"][0] == 0
        assert (third["met"], third["activation"]) == (False, [])
        for kind in ("uncertainty", "epistemic", "segments"):
            content = ask(address, f"/api/photos/{person.key}/map/{kind}", raw=True)[1]
            pixels = np.array(Image.open(io.BytesIO(content)))
            assert pixels.shape[:2] == SIZE
            if kind == "uncertainty":
                assert np.abs(pixels / 255 - lessons.meeting.uncertainty / np.log(2)).max() < 0.003
        ids = pixels.astype(int) @ [65536, 256, 1]
        assert np.array_equal(ids, lessons.meeting.segments)
        assert ask(address, f"/api/photos/{person.key}/map/mask")[0] == 404
        assert ask(address, f"/api/photos/{key_of('0.png')}/map/segments")[0] == 400, "it is done"
        chosen = person.show()["wished"]
        assert chosen == choose_segments(
            lessons.meeting.uncertainty,
            ids,
            np.full(SIZE, 255, np.uint8),
            apart=25 * np.sqrt(40 * 56 / (256 * 352)),
        )


def test_what_cannot_be_taught_is_named(photos, pretrained, root, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    run = pretrained("naive")
    for given, message in (
        ((run, empty, tmp_path / "a"), "holds no photos"),
        ((run, tmp_path / "none", tmp_path / "a"), "there is no folder"),
    ):
        with pytest.raises(InputError, match=message):
            open_lesson(str(given[0]), [], *given[1:])
    assert device_keys("auto") == ["trainer.accelerator=auto"]
    assert device_keys("cuda:1") == ["trainer.accelerator=gpu", "trainer.devices=[1]"]
    with pytest.raises(InputError, match="device is 'cpu:1'"):
        device_keys("cpu:1")
    with pytest.raises(InputError, match="device is 'tpu'"):
        open_lesson(str(run), [], photos / "images", tmp_path / "a", device="tpu")
    open_lesson(str(run), [], photos / "images", tmp_path / "b")
    (tmp_path / "b" / "journal").mkdir()
    (tmp_path / "b" / "journal" / "0.png.jsonl").write_text('{"do":"label"}\n')
    with pytest.raises(InputError, match="lessons of another checkpoint"):
        open_lesson(str(pretrained("clis")), [], photos / "images", tmp_path / "b")
    with (
        pytest.raises(InputError, match="gone"),
        taught(run, photos, tmp_path / "c", f"data.root={empty / 'gone'}"),
    ):
        pass
    lessons = lessons_of(run, photos, tmp_path / "d")
    with pytest.raises(InputError, match="another annotator works"):
        lessons_of(run, photos, tmp_path / "d")
    lessons.close()


def test_strangers_and_bodies_that_are_none_are_refused_and_the_lessons_go_on(
    photos, pretrained, tmp_path
):
    with taught(pretrained("naive"), photos, tmp_path) as (_, address):
        person = Pupil(address)
        path = f"/api/photos/{person.key}/act"
        for status, body, headers in (
            (403, {"version": 2, "do": "next"}, {"origin": "http://elsewhere.example"}),
            (403, {"version": 2, "do": "next"}, {"host": "elsewhere.example"}),
            (415, {"version": 2, "do": "next"}, {"content-type": "text/plain"}),
            (413, b" " * 2**21, {}),
            (400, b"[1]", {}),
            (400, {"do": "next"}, {}),
        ):
            answered, error = ask(address, path, body, headers)
            assert answered == status
            assert "\n" not in error["error"]
        assert ask(address, "/api/photos/..%2Fconfig.yaml")[0] in (400, 404)
        assert person.act("next")["learning"]
