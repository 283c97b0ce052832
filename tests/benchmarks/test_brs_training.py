"""Changes of BRS' training: each is one that the config knows."""

import pytest

from benchmarks.brs_training import ROWS
from configs import build, load, resolve


@pytest.mark.parametrize("row", ROWS)
def test_every_change_is_built(row):
    config = ["brs.yaml", "brs/small.yaml", "data/folder.yaml"]
    plain, changed = (load(config, ["data.root=data", *words]) for words in ([], ROWS[row]))
    assert (changed == plain) == (not ROWS[row])
    for part in (resolve(changed)["model"]["guidance"], resolve(changed)["loading"]["initial"]):
        build(part)
