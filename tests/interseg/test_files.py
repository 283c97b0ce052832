"""Files are whole: who looks while one is written, or after a write that failed, sees the one
before.
"""

import csv
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from interseg.files import whole, write_table, write_whole


def test_a_write_that_fails_leaves_the_file_of_before_and_nothing_beside_it(tmp_path):
    path = tmp_path / "report.json"
    write_whole(path, "before\n")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "a" * 100_000 + "\ud800")
    assert path.read_text() == "before\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_may_be_as_long_as_a_file_system_allows(tmp_path):
    for name in ("a" * 251 + ".csv", "写" * 83 + ".csv"):
        write_whole(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"


def test_two_threads_that_write_a_file_at_once_do_not_meet(tmp_path):
    path, both = tmp_path / "annotations.json", Barrier(2)

    def write(text):
        with whole(path) as part:
            part.write_text(text)
            both.wait(10)
            assert part.read_text() == text

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ["a", "b"]))
    assert path.read_text() in ("a", "b")
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_has_its_columns_alone(tmp_path):
    write_table(
        tmp_path / "t.csv",
        ["name", "dice"],
        [{"name": "a, b", "dice": 0.5, "seconds": 3}, {"name": "c\nd"}],
    )
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"name": "a, b", "dice": "0.5"},
            {"name": "c\nd", "dice": ""},
        ]
