"""A method taught through the page's requests equals the training command's of the same labels."""

import contextlib
import io
import json
import threading
import time
from shutil import copytree

import numpy as np
import pytest
import torch
from PIL import Image

from annotate.folders import key_of
from annotate.server import running
from annotate.state import decode
from annotate.teaching.server import make_app
from configs.teaching import kind_of, open_lesson
from interseg.clicks.layout import clicks_of
from interseg.continual.annotations import clicked
from interseg.continual.superpixels import wished
from interseg.errors import InputError
from interseg.evaluation.overlap import mean_iou
from tests.annotate.teaching.conftest import FILES
from tests.helpers.annotating import ask
from tests.helpers.teaching import SIZE, Pupil, answer, lessons_of, played, pretrain, state_of
from tests.helpers.training import assert_equal


@pytest.fixture
def refined(monkeypatch):
    """Refined probabilities, in the order in which rounds were learned."""
    seen = []

    def watch(loop, trainer, pl_module, outputs, batch, batch_idx, before=None):
        seen.append(outputs["probabilities"][0].clone())
        before(loop, trainer, pl_module, outputs, batch, batch_idx)

    from callbacks.person_loop import PersonLoop

    original = PersonLoop.on_train_batch_end
    monkeypatch.setattr(
        PersonLoop, "on_train_batch_end", lambda *given: watch(*given, before=original)
    )
    return seen


@pytest.mark.parametrize("name", FILES)
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


@contextlib.contextmanager
def taught(pretrained, photos, out, *overrides, truth=False):
    """Lessons and their address, begun; closed at the end."""
    lessons = lessons_of(pretrained, photos, out, *overrides, truth=truth)
    try:
        with running(make_app(lessons)) as address:
            lessons.start()
            yield lessons, address
    finally:
        lessons.close()


LABELS = [(5, 6, 0), (20, 30, 1), (30, 50, 1), (12, 20, 0)]
"""y, x and class."""


def say(person, labels, kind="superpixel"):
    for y, x, label in labels:
        shown = person.act("label", kind=kind, y=y, x=x, label=label)
    return shown


def test_lessons_that_are_closed_or_killed_go_on_with_what_was_acknowledged(
    photos, pretrained, tmp_path
):
    run = pretrained("clis")
    with taught(run, photos, tmp_path / "whole") as (_, address):
        for name in ("0.png", "1.png"):
            person = Pupil(address, name)
            say(person, LABELS[:2])
            person.learn()
            say(person, LABELS[2:])
            person.learn("next")
    with taught(run, photos, tmp_path / "cut") as (_, address):
        person = Pupil(address)
        say(person, LABELS[:2])
    with taught(run, photos, tmp_path / "cut") as (_, address):
        person = Pupil(address)
        assert person.show()["labels"] == 2, "labels of before"
        first = person.learn()
        say(person, LABELS[2:])
    before = tmp_path / "before"
    copytree(tmp_path / "cut", before)
    with taught(run, photos, tmp_path / "cut") as (_, address):
        person = Pupil(address)
        assert np.array_equal(answer(person.show()), answer(first)), "what was taught is kept"
        person.learn("next")
    journal = (tmp_path / "cut" / "journal" / "0.png.jsonl").read_text().splitlines(keepends=True)
    kept = next(number for number, line in enumerate(journal) if '"do":"next"' in line) + 1
    (before / "journal" / "0.png.jsonl").write_text(
        "".join(journal[:kept])
    )  # killed in the round: it was acknowledged and not learned
    with taught(run, photos, before) as (_, address):
        person = Pupil(address, "1.png")
        say(person, LABELS[:2])
        person.learn()
        say(person, LABELS[2:])
        person.learn("next")
    assert_equal(state_of(tmp_path / "whole"), state_of(before))
    for name in ("0.png", "1.png"):
        lines = [
            (out / "journal" / f"{name}.jsonl").read_text().splitlines()
            for out in (tmp_path / "whole", before)
        ]
        assert [untimed(line) for line in lines[0]] == [untimed(line) for line in lines[1]]


def untimed(line):
    event = json.loads(line)
    return {key: value for key, value in event.items() if key not in ("seconds", "spent")}


def test_a_checkpoint_that_is_lost_is_made_again_of_the_journals(photos, pretrained, tmp_path):
    run = pretrained("ewc")
    with taught(run, photos, tmp_path) as (lessons, address):
        person = Pupil(address)
        say(person, LABELS)
        person.learn()
        person.learn("next")
        Pupil(address, "1.png")
    state = state_of(tmp_path)
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    with taught(run, photos, tmp_path) as (lessons, address):
        until = time.monotonic() + 60
        while lessons.status()["key"] != key_of("1.png"):
            assert time.monotonic() < until
            time.sleep(0.02)
    assert_equal(state, state_of(tmp_path))


def test_a_cancelled_round_leaves_the_method_and_the_labels_as_they_were(
    photos, pretrained, tmp_path, monkeypatch
):
    run = pretrained("clis")
    with taught(run, photos, tmp_path / "plain") as (lessons, address):
        person = Pupil(address)
        say(person, LABELS)
        expected = person.learn()
    with taught(run, photos, tmp_path / "cancelled") as (lessons, address):
        person = Pupil(address)
        say(person, LABELS)
        learning, go_on = threading.Event(), threading.Event()

        def update(done, of, before=lessons.update):
            learning.set()
            go_on.wait(30)
            before(done, of)

        monkeypatch.setattr(lessons, "update", update)
        person.act("teach")
        assert learning.wait(30)
        assert lessons.status()["state"] == "learning"
        assert person.try_("label", kind="click", y=3, x=3, label=1)[0] == 400
        shown = person.act("cancel")
        assert (shown["labels"], shown["round"], shown["learning"]) == (4, 0, False)
        go_on.set()
        monkeypatch.undo()
        person.wait("waiting")
        assert person.try_("cancel") == (
            400,
            {"error": "there is nothing to cancel, the round is over"},
        )
        assert np.array_equal(answer(person.learn()), answer(expected))
    assert_equal(state_of(tmp_path / "plain"), state_of(tmp_path / "cancelled"))


def test_a_round_that_cannot_be_learned_is_named_and_the_lessons_go_on(
    photos, pretrained, tmp_path, monkeypatch
):
    from lightning_modules.clis import CLIS

    with taught(pretrained("clis"), photos, tmp_path) as (_, address):
        person = Pupil(address)
        say(person, LABELS)
        monkeypatch.setattr(CLIS, "loss", lambda *_: torch.tensor(float("nan")))
        person.act("teach")
        person.wait("waiting")
        until = time.monotonic() + 30
        while not (shown := person.show())["problem"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert "the loss is nan" in shown["problem"]
        monkeypatch.undo()
        assert person.learn()["round"] == 1


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
        assert np.array_equal(annotation(shown) == 0, clicked(clicks_of([(3, 4, 0)]), SIZE, 2) == 0)
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
        assert parts[2]["refined"] == pytest.approx(mean_iou(masks[2], mask, 2))
        assert rows[2]["iou"] == pytest.approx(parts[2]["refined"], abs=1e-4)


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
        assert chosen == wished(
            lessons.meeting.uncertainty,
            ids,
            np.full(SIZE, 255, np.uint8),
            apart=25 * np.sqrt(40 * 56 / (256 * 352)),
        )


def test_a_run_that_has_learned_tasks_is_taught_on_from_there(root, photos, pretrained, tmp_path):
    played(root, pretrained("clis"), tmp_path / "tasks")
    with taught(tmp_path / "tasks", photos, tmp_path / "out") as (_, address):
        begun = torch.load(tmp_path / "out" / "checkpoints" / "start.ckpt", weights_only=True)[
            "state_dict"
        ]
        assert_equal(state_of(tmp_path / "tasks"), begun)
        neighbour = Pupil(address).get("/api/lessons")["photos"][0]["neighbour"]
        assert neighbour == [-3, 0.0, True], "the first of the three photos before"


def test_a_run_that_was_trained_without_transfer_is_taught(root, photos, tmp_path):
    run = pretrain(
        root, tmp_path / "run", "clis/naive.yaml", overrides=("callbacks.transfer=null",)
    )
    assert kind_of(str(run)) == "tasks"
    with taught(run, photos, tmp_path / "out") as (_, address):
        assert Pupil(address).show()["current"]


def test_what_cannot_be_taught_is_named(photos, pretrained, root, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    run = pretrained("naive")
    for given, message in (
        ((run, empty, tmp_path / "a"), "holds none"),
        ((run, tmp_path / "none", tmp_path / "a"), "there is no folder"),
    ):
        with pytest.raises(InputError, match=message):
            open_lesson(str(given[0]), [], *given[1:])
    with pytest.raises(InputError, match="device is 'tpu'"):
        open_lesson(str(run), [], photos / "images", tmp_path / "a", device="tpu")
    open_lesson(str(run), [], photos / "images", tmp_path / "b")
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
