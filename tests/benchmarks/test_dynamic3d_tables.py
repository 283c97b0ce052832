"""Tables of benchmarks.dynamic3d, from the files that runs leave."""

from benchmarks import (
    dynamic3d,
    dynamic3d_tables,
)
from tests.benchmarks.dynamic3d_runs import call, finish


def test_the_table_of_slices_counts_the_last_rounds(made, monkeypatch, tmp_path, capsys):
    for number, (name, permutation) in enumerate(
        (n, p) for n in dynamic3d.UNTIL_ROWS for p in range(2)
    ):
        rows = []
        for volume in range(5):
            for round in range(2):
                proxy = 0.5 + 0.4 * round - 0.1 * (volume == 4)
                figures = {
                    "proxy": proxy,
                    "labour": 0.2 * (round + 1),
                    "slices": (round + 1) * (number + 1),
                    "touched": 50,
                }
                rows.append({"seen": volume + 1, "round": round, "kind": "round"} | figures)
        finish(name, permutation, tmp_path, rows)
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--tables",
        "7",
        "--permutations",
        "2",
    )
    first, second, whole = capsys.readouterr().out.strip().splitlines()[-3:]
    cells = [cell.strip() for cell in first.split("|")[2:-1]]
    assert cells[0] == "3.0 ± 1.4"  # 2 and 4 slices of the first volume
    assert cells[4] == "15.0 ± 7.1"
    assert cells[5:] == ["0.400 ± 0.000", "1.0 ± 0.0"]
    assert "35.0" in second
    assert whole.split("|")[2].strip() == "50.0 ± 0.0"


def test_offline_training_on_the_first_volumes_stands_in_the_row_of_offline_training(
    made, monkeypatch, tmp_path, capsys
):
    for name, seen, held_out in [
        *((row, 15, 0.8) for row in dynamic3d.LABELLED_ROWS),
        (dynamic3d.prefix_row(10), 10, 0.6),
    ]:
        for permutation in range(2):
            rows = [{"kind": "held_out", "seen": seen, "dice": held_out + permutation / 10}]
            finish(
                name,
                permutation,
                tmp_path,
                rows + [{"kind": "unseen", "seen": seen, "dice": 0.5}] * (seen < 15),
            )
    call(
        monkeypatch,
        tmp_path,
        "--data",
        "--config data/msd.yaml",
        "--first",
        "10",
        "--permutations",
        "2",
        "--tables",
        "2",
    )
    assert not made, "all is there"
    printed = capsys.readouterr().out
    assert "| | 10 | 15 |" in printed
    assert "| offline | 0.650 / 0.500 | 0.850 / - |" in printed
    assert "| dynamic | - / - | 0.850 / - |" in printed


def test_tables_of_dice_are_means_over_volumes_then_over_permutations(capsys):
    def rows(kind, seen, values, **more):
        return [
            {"kind": kind, "seen": str(seen), "dice": str(v), "proxy": str(v), "labour": "0.25"}
            | more
            for v in values
        ]

    runs = [
        rows("unseen", 1, [0.2, 0.4]) + rows("held_out", 1, [0.5]) + rows("held_out", 2, last)
        for last in ([0.6, 0.8], [0.8, 0.8])
    ]
    dynamic3d_tables.held_out({"row": runs, "other": runs})
    printed = capsys.readouterr().out.splitlines()
    assert (
        printed[2]
        == "| row | 0.750 ± 0.071 | 0.050 ± 0.071 | 0.700 ± 0.141 | 0.800 ± 0.000 | 0.700, 0.800 |"
    )
    dynamic3d_tables.by_seen({"row": runs, "other": runs})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "| | 1 | 2 |"
    assert printed[2:] == [f"| {name} | 0.500 / 0.300 | 0.750 / - |" for name in ("row", "other")]
    runs = [
        rows("round", 1, values, round="0") + rows("round", 1, [0.9], round="1")
        for values in ([0.1, 0.3], [0.5, 0.9])
    ]
    dynamic3d_tables.by_round({"row": runs})
    printed = capsys.readouterr().out.splitlines()
    assert printed[2:] == [
        "| row | 0.450 [0.30, 0.60] | 0.900 [0.90, 0.90] |",
        "| its labour | 25% | 25% |",
    ]
    runs = [
        [
            {
                "kind": "round",
                "round": str(k),
                "dice": str(0.1 * k),
                "proxy": str(v),
                "agreement": "0.5",
            }
            for k in range(3)
            for v in values
        ]
        for values in ([0.1, 0.3], [0.8, 0.8])
    ]
    dynamic3d_tables.three_curves({"row": runs})
    printed = capsys.readouterr().out.splitlines()
    assert (
        printed[0]
        == "| | "
        + " | ".join(
            f"round {k}: {name}"
            for k in (2, 3)
            for name in ("F and Y", "proxy and Y", "F and proxy")
        )
        + " |"
    )
    assert printed[2:] == ["| row | 0.100 | 0.500 | 0.500 | 0.200 | 0.500 | 0.500 |"]
