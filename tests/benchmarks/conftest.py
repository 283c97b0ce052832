"""Fixtures of the benchmarks' tests."""

import pytest

from benchmarks import (
    dynamic3d,
)


@pytest.fixture
def made(monkeypatch):
    """Record the runs that a call makes, folder and words; each is marked as finished."""
    runs = []

    def done(proof, script, *words):
        if not proof.exists():
            runs.append((proof.parent, words))
            proof.parent.mkdir(parents=True)
            proof.touch()

    monkeypatch.setattr(dynamic3d, "run_once", done)
    return runs
