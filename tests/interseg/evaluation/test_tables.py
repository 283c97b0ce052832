from interseg.clicks.layout import BOUNDARY, REGION, clicks_of, pad_clicks
from interseg.evaluation.comparison import read_objects
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.tables import (
    meanings,
    print_table,
    select_shown,
    tables_of,
    write_number,
    write_objects,
)
from tests.helpers.outcomes import CURVES, PLAYED

CLICKS = [
    clicks_of([(1, 2), (3, 4, 0)]),
    clicks_of([(5, 6, 1)]),
    clicks_of([(7, 8), (9, 10, 1, BOUNDARY)]),
    clicks_of([]),
]


class Hard(Contribution):
    """A method's own rule: the first object is never good enough."""

    shown = ("first", "second")

    def adjust_curves(self, outcome, curves):
        curves = curves.clone()
        curves[0] = 0
        return curves

    def figures(self, outcome):
        return {"first": 0, "second": 7}


def test_the_objects_that_are_written_are_read_back_with_their_clicks(tmp_path):
    names = ["a", "b, the second", 'c "quoted"', "d"]
    for own, noc in (([], [2, 1, 4, 4]), ([Hard()], [4, 1, 4, 4])):
        write_objects(
            tmp_path / "objects.csv", PLAYED | {"clicks": pad_clicks(CLICKS)}, names, (0.85,), own
        )
        header, rows = read_objects(tmp_path / "objects.csv")
        assert header == ["noc@85", "iou@1", "iou@2", "iou@3", "iou@4"]
        assert [row.name for row in rows] == [f"{i} {name}" for i, name in enumerate(names)]
        assert [row.figures["noc@85"] for row in rows] == noc
        assert [[row.figures[f"iou@{k}"] for k in range(1, 5)] for row in rows] == CURVES.tolist()
        assert [row.clicks.tolist() for row in rows] == [clicks.tolist() for clicks in CLICKS]
        assert rows[2].clicks[:, 3].tolist() == [REGION, BOUNDARY]
        assert rows[3].clicks.shape == (0, 4)


def test_tables_show_what_a_method_contributes_where_it_is_not_zero():
    figures = {
        "objects": 3,
        "auc": 0.5,
        "clicked": 4,
        "clicked_wrong": 0,
        "contributed": ["first", "second"],
        "first": 0,
        "second": 7,
    }
    figures |= {
        "noc@85": 2.0,
        "failures@85": 0,
        "clicks_to_mean@85": None,
        "miou@1": 0.4,
        "miou@2": 0.5,
        "miou@3": 0.6,
        "network_seconds_per_click": 0.1,
    }
    expected = [
        "objects",
        "noc@85",
        "failures@85",
        "clicks_to_mean@85",
        "miou@1",
        "miou@2",
        "miou@3",
        "auc",
        "clicked",
        "clicked_wrong",
        "second",
        "network_seconds_per_click",
    ]
    assert select_shown(figures) == expected


def test_a_pages_tables_have_what_an_evaluation_has():
    figures = {"max_clicks": 2, "miou@0": 0.0, "miou@1": 0.4, "miou@2": 0.5, "auc": 0.45}
    figures |= {"noc@85": 1.5, "failures@85": 1, "noc@90": 2.0, "failures@90": 2}
    figures |= {"clicks_to_mean@85": None, "clicks_to_mean@90": 2, "regress": 0.0812, "clicked": 9}
    by_target, by_click, overall = tables_of(figures, (0.85, 0.9))
    assert by_target.titles == ["NoC", "failures", "clicks to mean"]
    assert by_target.rows == {"85 %": ["1.50", "1", "never"], "90 %": ["2.00", "2", "2"]}
    assert by_click.titles == ["1", "2"]
    assert by_click.rows["mean IoU"] == ["0.400", "0.500"]
    assert by_click.rows["boundary F"] == ["", ""]
    assert overall.rows == {
        "area under the curve": ["0.450"],
        "clicks that lower the IoU": ["8.1%"],
        "clicked pixels, over all answers": ["9"],
    }
    assert set(meanings(figures)) == {
        *("clicks to mean", "area under the curve", "clicks that lower the IoU")
    }
    assert tables_of(figures | {"miou@0": 0.2}, (0.85,))[1].titles == ["0", "1", "2"]


def test_a_printed_table_has_a_column_a_method_and_explains_what_is_not_plain(capsys):
    print_table({"ours": {"auc": "0.9", "noc@85": "2"}, "another method": {"noc@85": "3"}})
    assert capsys.readouterr().out.split("\n") == [
        " " * 40 + "ours" + "  another method",
        f"{'auc':28}" + " " * 13 + "0.9" + " " * 15 + "-",
        f"{'noc@85':28}" + " " * 15 + "2" + " " * 15 + "3",
        "  auc: area under the mean IoU over the clicks, from 0 to 1",
        "",
    ]


def test_counts_are_printed_whole_and_what_never_comes_is_said():
    shown = [write_number(value) for value in (123456, 0.123456, 12.3456, None)]
    assert shown == ["123456", "0.1235", "12.35", "never"]
