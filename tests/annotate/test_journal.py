"""Appended events stay, torn ones are dropped, damaged ones are named."""

import os
import shutil
from unittest import mock

import pytest

from annotate.journal import Journal
from interseg.errors import InputError

EVENTS = [
    {"do": "begin", "photo": "a.jpg"},
    {"do": "click", "click": [1, 2, 1, "region"], "runs": {"1": "01"}},
    {"do": "finish"},
]


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "deep" / "a.jsonl")
    for event in EVENTS:
        journal.append(event)
    return journal.path


def test_after_a_cut_the_whole_events_before_it_are_there_and_the_next_one_follows_them(
    path, tmp_path
):
    content = path.read_bytes()
    ends = [0, *(i + 1 for i, byte in enumerate(content) if byte == ord("\n"))]
    for length in range(len(content) + 1):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(content[:length])
        whole = sum(end <= length for end in ends) - 1
        journal = Journal(cut)
        assert journal.events == EVENTS[:whole]
        journal.append({"do": "reopen"})
        assert Journal(cut).events == [*EVENTS[:whole], {"do": "reopen"}]


@pytest.mark.parametrize(
    "rest",
    [b"\0" * 100, b"\0" * 50 + b"\n", b"{\n", b'["do"]\n', b'{"do": 1}\n', b"[" * 100_000 + b"\n"],
)
def test_what_a_power_cut_leaves_at_the_end_is_dropped(path, rest):
    path.write_bytes(path.read_bytes() + rest)
    journal = Journal(path)
    assert journal.events == EVENTS
    journal.append({"do": "reopen"})
    assert Journal(path).events == [*EVENTS, {"do": "reopen"}]


def test_a_damaged_line_before_whole_ones_is_an_error_that_names_it(path):
    path.write_bytes(path.read_bytes().replace(b'"do":"click"', b'"do" "click"'))
    with pytest.raises(InputError, match=r"a\.jsonl, line 2 is damaged"):
        Journal(path)


def test_an_event_is_on_the_disk_when_append_returns(path, monkeypatch):
    seen = []
    real = os.fsync

    def fsync(file):
        seen.append(os.fstat(file).st_ino)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    Journal(path).append({"do": "reopen"})
    assert seen == [path.stat().st_ino]
    other = Journal(path.with_name("b.jsonl"))
    other.append({"do": "reopen"})
    assert seen[1:] == [other.path.stat().st_ino, path.parent.stat().st_ino], (
        "a new file is in a list that is on the disk"
    )


def test_a_journal_that_vanishes_is_written_again_as_a_whole(path, monkeypatch):
    journal = Journal(path)
    shutil.rmtree(path.parent)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", mock.Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            journal.append({"do": "reopen"})
    journal.append({"do": "reopen"})
    assert Journal(path).events == [*EVENTS, {"do": "reopen"}]
    journal.append({"do": "finish"})
    assert Journal(path).events == [*EVENTS, {"do": "reopen"}, {"do": "finish"}]


@pytest.mark.parametrize("torn", [b"", b'{"do":'])
def test_what_somebody_else_writes_is_neither_cut_off_nor_written_over(path, torn):
    path.write_bytes(path.read_bytes() + torn)
    journal, other = Journal(path), Journal(path)
    other.append({"do": "reopen"})
    with pytest.raises(InputError, match=r"a\.jsonl was changed by something else; start"):
        journal.append({"do": "undo"})
    assert Journal(path).events == [*EVENTS, {"do": "reopen"}]
    other.append({"do": "finish"})
    assert Journal(path).events == [*EVENTS, {"do": "reopen"}, {"do": "finish"}]


def test_an_event_that_does_not_fit_leaves_the_journal_as_it_was(path, monkeypatch):
    journal, before = Journal(path), path.read_bytes()
    real = os.write

    def write(file, content):
        if len(content) < 10:
            raise OSError(28, "No space left on device")
        return real(file, content[:10])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        journal.append({"do": "reopen", "rest": "x" * 50})
    assert path.read_bytes() == before
    monkeypatch.undo()
    journal.append({"do": "reopen"})
    assert Journal(path).events == [*EVENTS, {"do": "reopen"}]
