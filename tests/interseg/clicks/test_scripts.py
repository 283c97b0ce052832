"""Files of scripted clicks: what they say, and every way in which a row can be bad."""

import json
import re

import pytest

from interseg.clicks.layout import BOUNDARY, Click
from interseg.clicks.scripts import read_script
from interseg.errors import InputError


def script(tmp_path, text, name="clicks.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_script(tmp_path / name)


def test_the_rows_of_a_table_become_objects_in_the_order_of_their_first_clicks(tmp_path):
    text = (
        "image,object,y,x,label,kind,category\nb.jpg,cat,3,4,1,,animal\na.jpg,1,5,6,,,\n"
        "b.jpg,cat,7,8,0,,\nb.jpg,dog,1,2,1,boundary,\n"
    )
    objects, problems = script(tmp_path, text)
    assert problems == []
    assert [(o.image, o.object, o.category) for o in objects] == [
        ("b.jpg", "cat", "animal"),
        ("a.jpg", "1", "object"),
        ("b.jpg", "dog", "object"),
    ]
    assert [o.clicks for o in objects] == [
        [Click(3, 4, 1), Click(7, 8, 0)],
        [Click(5, 6, 1)],
        [Click(1, 2, 1, BOUNDARY)],
    ]


def test_a_list_of_objects_says_the_same(tmp_path):
    content = [
        {
            "image": "b.jpg",
            "object": "cat",
            "category": "animal",
            "clicks": [{"y": 3, "x": 4, "label": 1}, [7, 8, 0]],
        },
        {"image": "a.jpg", "clicks": [[5, 6]]},
        {"image": "b.jpg", "object": "dog", "clicks": [{"y": 1, "x": 2, "kind": "boundary"}]},
    ]
    objects, problems = script(tmp_path, json.dumps(content), "clicks.json")
    assert problems == []
    assert [o.clicks for o in objects] == [
        [Click(3, 4, 1), Click(7, 8, 0)],
        [Click(5, 6, 1)],
        [Click(1, 2, 1, BOUNDARY)],
    ]
    assert objects[0].category == "animal"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,2,x,4,1,", "line 3: y is 'x'; give a whole number"),
        ("a.jpg,2,1.5,4,1,", "line 3: y is '1.5'"),
        ("a.jpg,2,nan,4,1,", "line 3: y is 'nan'"),
        ("a.jpg,2,,4,1,", "line 3: .* is not a click; give y, x and label"),
        ("a.jpg,2,1,4,yes,", "line 3: label is 'yes'"),
        ("a.jpg,2,1,4,1,edge", "line 3: kind is 'edge'; use region or boundary"),
        (",2,1,4,1,", "line 3: it names no image"),
    ],
)
def test_a_bad_row_leaves_its_object_out_and_the_others_go_on(row, message, tmp_path):
    text = f"image,object,y,x,label,kind\na.jpg,1,5,6,1,\n{row}\na.jpg,2,7,7,1,\n"
    objects, problems = script(tmp_path, text)
    assert ("a.jpg", "1") in [(o.image, o.object) for o in objects]
    assert (("a.jpg", "2") in [(o.image, o.object) for o in objects]) == row.startswith(",")
    assert len(problems) == 1
    assert re.search(message, problems[0])


@pytest.mark.parametrize(
    "clicks", ["[]", "[[1]]", "null", '[{"y": 1}]', '["1,2"]', "[[true, 1, 1]]"]
)
def test_a_bad_object_of_a_list_is_named_by_its_number(clicks, tmp_path):
    text = (
        f'[{{"image": "a.jpg", "clicks": {clicks}}}, {{"image": "b.jpg", "clicks": [[1, 2, 1]]}}]'
    )
    objects, problems = script(tmp_path, text, "clicks.json")
    assert [o.image for o in objects] == ["b.jpg"]
    assert len(problems) == 1
    assert ("object 1:" in problems[0]) or "it has no clicks" in problems[0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("clicks.csv", "image,row,column\n", "has no column x, y; a row is image,object,y,x"),
        ("clicks.json", "{", "is not a JSON file"),
        ("clicks.json", '{"image": "a.jpg"}', "holds dict; a file of clicks is a list of objects"),
        ("clicks.txt", "", "is not a file of clicks; give a .csv"),
    ],
)
def test_another_file_is_one_clear_error(name, text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        script(tmp_path, text, name)
    with pytest.raises(InputError, match="cannot be read as clicks"):
        read_script(tmp_path / "nothing.csv")
