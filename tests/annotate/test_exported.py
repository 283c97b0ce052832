"""Files that an export finds in its folder: its own are replaced, others stay."""

from annotate.exports import export
from annotate.server import serving
from tests.helpers.annotating import Page, project_of


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
