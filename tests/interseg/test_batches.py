"""Batches of streams: a key that is missing is named."""

import pytest

from interseg.batches import require


def test_the_first_missing_key_is_named_with_those_that_are_there():
    require({"volume": 1, "id": 2}, "id", "volume")
    message = r"no 'target' \(it has id, volume\); interseg/batches.py describes"
    with pytest.raises(ValueError, match=message):
        require({"volume": 1, "id": 2}, "id", "target", "confidence")
