import numpy as np

from interseg.continual.transfer import transfer


def test_forward_and_backward_are_rows_of_the_matrix():
    matrix = np.arange(25.0).reshape(5, 5)
    found = transfer(matrix, [1, 2, 3, 4, 5], forward_after=3, backward_after=5)
    assert found == {
        "basic": 3,
        "forward": (13 + 14) / 2,
        "backward": (20 + 21 + 22 + 23) / 4,
        "drop": 2.5 - 21.5,
    }
