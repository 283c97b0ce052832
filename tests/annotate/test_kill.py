"""SIGKILL at random moments: what was acknowledged is there, with a session's masks."""

import random

from benchmarks.annotate import kill_once
from tests.helpers.annotating import tiny_model


def test_a_killed_server_loses_nothing_that_it_acknowledged(folder, tmp_path):
    draw = random.Random(3)
    counts = [
        kill_once(
            tiny_model(), folder / "images", tmp_path / f"out{k}", draw.uniform(0.02, 0.5), seed=k
        )
        for k in range(4)
    ]
    assert sum(counts) > 4, "clicks were acknowledged before the kills"
