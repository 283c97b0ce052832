"""What data take of the top level without being asked."""

from configs import build, load, resolve

STREAM = "datamodules.tasks.ClassFolderDataModule"


def built(tmp_path, text, *overrides):
    """The data of a config of one's own."""
    (tmp_path / "mine.yaml").write_text(text)
    return build(resolve(load(["small.yaml", tmp_path / "mine.yaml"], overrides))["data"])


def test_a_data_node_of_ones_own_heeds_the_top_level(tmp_path):
    data = built(
        tmp_path,
        "data: {_target_: datamodules.folder.FolderDataModule, root: a}",
        "loading.batch_size=3",
        "seed=7",
    )
    assert (data.loading.batch_size, data.loading.eval_batch_size, data.loading.seed) == (3, 4, 7)
    assert len(data.loading.augment) == 6


def test_a_stream_of_ones_own_heeds_it(tmp_path):
    text = f"data: {{_target_: {STREAM}, root: a, classes: 2}}"
    data = built(tmp_path, text, "loading.batch_size=3", "loading.num_workers=1", "seed=7")
    found = (data.loading.batch_size, data.loading.num_workers, len(data.loading.augment))
    assert (*found, data.seed, data.loading.seed) == (3, 1, 6, 7, 7)


def test_volumes_take_the_seed_alone(tmp_path):
    data = built(tmp_path, "data: {_target_: datamodules.msd.MsdDataModule, root: a}", "seed=7")
    assert data.seed == 7


def test_what_the_node_says_itself_stands(tmp_path):
    own = "{_target_: datamodules.base.Loading, batch_size: 2}"
    data = built(
        tmp_path,
        f"data: {{_target_: datamodules.folder.FolderDataModule, root: a, loading: {own}}}",
        "loading.batch_size=5",
    )
    assert (data.loading.batch_size, data.loading.augment) == (2, [])
    assert (
        built(
            tmp_path,
            "data: {_target_: datamodules.folder.FolderDataModule, root: a, loading: null}",
        ).loading.batch_size
        == 8
    )
    text = f"data: {{_target_: {STREAM}, root: a, classes: 2, loading: null, seed: 1}}"
    data = built(tmp_path, text, "loading.batch_size=5", "seed=7")
    assert (data.loading.batch_size, data.loading.augment, data.seed) == (8, [], 1)


def test_a_target_on_the_command_line_is_wired_too():
    config = load(
        ["small.yaml"],
        [
            "data._target_=datamodules.folder.FolderDataModule",
            "data.root=a",
            "loading.batch_size=3",
        ],
    )
    assert resolve(config)["data"]["loading"]["batch_size"] == 3
    assert load(["small.yaml"])["data"] is None
