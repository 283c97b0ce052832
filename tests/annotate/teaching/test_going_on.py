"""Lessons go on after a stop, a lost checkpoint, a cancelled or failed round; from other runs."""

import json
import threading
import time
from shutil import copytree

import numpy as np
import pytest
import torch

from annotate.folders import key_of
from configs.teaching import kind_of
from interseg.errors import InputError
from tests.helpers.teaching import LABELS, Pupil, answer, played, pretrain, say, state_of, taught
from tests.helpers.training import assert_equal


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
        while (status := lessons.status())["key"] != key_of("1.png"):
            assert status["state"] != "waiting", "a round that was taught takes no labels"
            assert time.monotonic() < until
            time.sleep(0.02)
    assert_equal(state, state_of(tmp_path))
    with pytest.raises(InputError, match="being closed"):
        lessons.ask(lambda student: student)


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
        person.act("label", kind="click", y=3, x=3, label=1)  # before the method has heard of it
        assert person.act("undo")["labels"] == 4
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


@pytest.mark.parametrize("reason", ["No space left on device", "changed by something else"])
def test_a_journal_that_takes_nothing_ends_the_lessons_with_its_reason(
    photos, pretrained, tmp_path, monkeypatch, reason
):
    with taught(pretrained("naive"), photos, tmp_path) as (lessons, address):
        person = Pupil(address)
        say(person, LABELS)
        journal = lessons.current.journal
        append = journal.append

        def full(event):
            if threading.current_thread().name == "lessons":
                if reason.startswith("No space"):
                    raise OSError(28, reason)
                journal.path.write_bytes(journal.path.read_bytes() + b"\n")
            append(event)

        monkeypatch.setattr(journal, "append", full)
        person.act("teach")
        until = time.monotonic() + 30
        while not lessons.problem:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert reason in lessons.problem


def test_a_run_that_has_learned_tasks_is_taught_on_from_there(root, photos, pretrained, tmp_path):
    played(root, pretrained("clis"), tmp_path / "tasks", rounds=1)
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
