"""Lessons that begin or go on: their photos, their order, the limits of the run they are of."""

from shutil import copyfile, copytree

import pytest
import torch
import yaml

from configs.teaching import open_lesson
from interseg.errors import InputError
from tests.helpers.teaching import lessons_of


def test_lessons_that_have_not_begun_may_begin_otherwise(photos, pretrained, tmp_path):
    images, run = photos / "images", str(pretrained("naive"))
    open_lesson(run, ["data.root=gone"], images, tmp_path)
    open_lesson(run, [], images, tmp_path)
    (tmp_path / "journal").mkdir()
    journal = tmp_path / "journal" / "0.png.jsonl"
    journal.write_text('{"do":"begin"}\n{"answer":{},"do":"met"}\n{"do":"la')
    open_lesson(run, ["data.root=gone"], images, tmp_path)
    assert not journal.exists(), "of what another method answered"
    open_lesson(run, [], images, tmp_path)
    journal.write_text('{"do":"begin"}\n{"do":"label"}\n')
    open_lesson(run, [], images, tmp_path)
    with pytest.raises(InputError, match="or with other key=value"):
        open_lesson(run, ["data.root=gone"], images, tmp_path)


def test_a_photo_that_was_not_met_may_go(photos, pretrained, tmp_path):
    own, run = copytree(photos / "images", tmp_path / "photos"), str(pretrained("naive"))
    open_lesson(run, [], own, tmp_path / "out")
    (tmp_path / "out" / "journal").mkdir()
    (tmp_path / "out" / "journal" / "0.png.jsonl").write_text('{"do":"met"}\n')
    (own / "1.png").unlink()
    assert open_lesson(run, [], own, tmp_path / "out").files[0].name == "0.png"
    (own / "0.png").unlink()
    with pytest.raises(InputError, match=r"0\.png was there when the lessons in .* began; put it"):
        open_lesson(run, [], own, tmp_path / "out")


@pytest.mark.parametrize("content", ["", "[]", '{"photos": []}'])
def test_a_damaged_list_of_lessons_is_one_line(photos, pretrained, tmp_path, content):
    (tmp_path / "lesson.json").write_text(content)
    with pytest.raises(InputError, match=r"lesson\.json is damaged; remove it if nothing was"):
        open_lesson(str(pretrained("naive")), [], photos / "images", tmp_path)


def test_limits_of_the_runs_training_end_no_lessons(photos, pretrained, tmp_path):
    limits = {"max_steps": 1, "max_time": "00:00:00:01", "limit_train_batches": 3, "num_nodes": 2}
    run = copytree(pretrained("naive"), tmp_path / "run")
    file = run / "checkpoints" / "last.ckpt"
    content = torch.load(file, weights_only=True)
    config = yaml.safe_load(content["config"])
    config["trainer"] |= limits
    torch.save(content | {"config": yaml.safe_dump(config)}, file)
    found = open_lesson(str(run), [], photos / "images", tmp_path / "out").config["trainer"]
    for key, value in limits.items():
        assert found.get(key) != value, key


def test_lessons_whose_training_ends_by_itself_say_so(photos, pretrained, tmp_path):
    lessons = lessons_of(pretrained("naive"), photos, tmp_path / "out")
    lessons.learn = lambda teacher: None
    with pytest.raises(InputError, match="the training has ended by itself"):
        lessons.start()
    lessons.close()


def test_masks_belong_to_photos_by_their_plain_names(photos, pretrained, tmp_path):
    for kind, name in (("images", "0.jpg.png"), ("masks", "0.png")):
        (tmp_path / kind).mkdir()
        copyfile(photos / kind / "0.png", tmp_path / kind / name)
    copyfile(photos / "images" / "1.png", tmp_path / "images" / "1.png")
    given = (str(pretrained("naive")), [], tmp_path / "images", tmp_path / "out")
    lesson = open_lesson(*given, tmp_path / "masks")
    assert lesson.truth == {"0.jpg.png": tmp_path / "masks" / "0.png"}
    (note,) = lesson.notes
    assert note == (
        f"the truth once photos are taught of which {tmp_path / 'masks'} has no mask: 1 (1.png)"
    )
