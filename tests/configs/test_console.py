"""What a person is told of an error: one line for what can be mended."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from configs.console import line_for
from interseg.errors import InputError

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal
from torch.utils.data import DataLoader
from configs.console import run_guarded

def kill(batch):
    os.kill(os.getpid(), signal.SIGKILL)

run_guarded(lambda: list(DataLoader([0, 1], num_workers=1, collate_fn=kill)))
"""


def test_a_loaders_process_that_was_killed_is_said_in_a_line():
    # in a process of its own: torch tells of the death by a signal, which would reach later tests
    ran = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: a loader's process was killed")
    assert "checkpoint=last" in line


def fail(batch: list[int]) -> None:
    raise json.JSONDecodeError("no JSON", "x", 0) if batch[0] else EOFError("of a file")


def test_errors_of_a_loaders_process_are_not_its_death():
    for numbers, workers in (([1], 1), ([0], 1), ([0], 0)):
        loader = DataLoader(numbers, num_workers=workers, collate_fn=fail)
        with pytest.raises((RuntimeError, EOFError)) as error:
            list(loader)
        assert line_for(error.value) is None


def test_other_errors_of_these_kinds_are_ours():
    assert line_for(RuntimeError("shapes differ")) is None
    assert line_for(ConnectionResetError(errno.ECONNRESET, "reset by a server")) is None
    assert line_for(OSError(errno.EINVAL, "no")) is None


def test_what_a_person_can_mend_is_one_line():
    assert line_for(InputError("no such photo")) == "no such photo"
    full = OSError(errno.ENOSPC, "No space left on device", "run/a.ckpt")
    assert line_for(full) == (
        "run/a.ckpt cannot be written: No space left on device; make room, or name another place"
    )
    small = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    assert str(line_for(small)).startswith("the device's memory is too small; give smaller batches")
    long = OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300)
    assert str(line_for(long)).endswith("File name too long; make room, or name another place")
