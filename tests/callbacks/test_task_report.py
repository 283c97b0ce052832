"""The report of a task stream: its curve, and its kernels in words."""

import numpy as np
import pytest

from callbacks.task_report import describe_kernels, draw_curve


def test_the_curve_is_against_the_annotations_that_were_given():
    rows = [(0, 0, 0.2, 0.4, 16), (0, 1, 0.4, 0.6, 20), (1, 0, 0.4, 0.8, 4), (1, 1, 0.8, 0.8, 4)]
    names = ("task", "round", "before", "after", "annotations")
    line = draw_curve([dict(zip(names, row, strict=True)) for row in rows]).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 10, 12]
    assert line.get_ydata().tolist() == pytest.approx([0.3, 0.6, 0.7])


def test_kernels_are_counted_by_what_is_on_and_what_has_changed():
    first = [np.array([0.9, 0.9]), np.array([0.05, 0.9, 0.9])]
    now = [np.array([0.9, 0.85]), np.array([0.88, 0.4, 0.75])]
    assert describe_kernels(now, first) == "4 of 5 on; 3 other than after the first task"
    assert describe_kernels([], []) == "0 of 0 on; 0 other than after the first task"
