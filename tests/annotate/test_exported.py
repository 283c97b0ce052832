"""Files that an export finds in its folder: its own are replaced, others stay."""

import json

import pytest

from annotate.exports import export
from annotate.server import serving
from interseg.errors import InputError
from tests.helpers.annotating import CLICKS, Page, clicked, project_of
from tests.helpers.commands import called, refused


def test_masks_that_were_not_exported_here_stay(folder, tmp_path):
    out = tmp_path / "out"
    (out / "masks").mkdir(parents=True)
    for stem in ("0", "1"):
        (out / "masks" / f"{stem}.png").write_bytes(b"somebody's truth")
    project = project_of(folder, out)
    with serving(project) as address:
        page = Page(address, "1.png")
        page.act("finish")  # without an object
        export(project)
        assert (out / "masks" / "0.png").read_bytes() == b"somebody's truth"
        assert (out / "masks" / "1.png").read_bytes() == b"somebody's truth"
        page.act("reopen")
        page.act("click", y=3, x=3, label=1)
        for _ in range(2):
            with pytest.raises(InputError, match=r"masks/1\.png exists, and no export of this"):
                export(project)
            assert (out / "masks" / "1.png").read_bytes() == b"somebody's truth"
        (out / "masks" / "1.png").unlink()
        export(project)
        page.act("remove", object=1)
        export(project)
        assert not (out / "masks" / "1.png").exists()
        (out / "masks" / "1.png").write_bytes(b"somebody's truth")
        page.act("click", y=3, x=3, label=1)
        page.act("remove", object=2)
        export(project)
        assert (out / "masks" / "1.png").exists(), "the click was never exported"
    project.close()


@pytest.mark.parametrize("name", ["labelme/0.json", "annotations.json", "clicks.csv"])
def test_tables_and_outlines_of_somebody_else_are_not_replaced(page, project, name):
    clicked(page, CLICKS)
    file = project.out / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"annotations": [{"id": 1}]}))
    with pytest.raises(InputError, match=f"{name} exists, and no export of this folder wrote it"):
        export(project)
    assert json.loads(file.read_text()) == {"annotations": [{"id": 1}]}
    assert not (project.out / "masks").exists(), "nothing is written"


def test_what_an_export_wrote_is_replaced_by_the_next_one(page, project):
    clicked(page, CLICKS)
    export(project)
    (project.out / "annotations.json").unlink()  # as if it had been killed before
    export(project)
    state = project.photo(page.key).state
    whole = state.things[1].actions[-1]
    state.things[1].actions[-1] = whole._replace(runs={"1": "0"})
    assert "damaged" in "".join(export(project))
    state.things[1].actions[-1] = whole
    assert export(project) == []
    (project.out / "journal" / "exported.json").unlink()  # which earlier versions did not write
    assert export(project) == []


def test_true_masks_do_not_lie_where_masks_are_written(folder):
    words = ("--checkpoint", "interseg-lite", "--images", folder / "images", "--out", folder)
    done = called("annotate.command", *words, "--truth", folder / "masks", "--export")
    refused(done, f"--truth is {folder / 'masks'}, where an export writes its masks; give another")
