"""Streams of volumes from miniatures of the real layouts, and what can be wrong with them."""

import multiprocessing
import os

import numpy as np
import pytest
import SimpleITK

from datamodules.nci_isbi import NciIsbiDataModule
from datamodules.volume_files import (
    Volume,
    VolumeFiles,
    crop_volume,
    read_case,
    resize_volume,
    with_data,
)
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.protocol import StreamProtocol
from interseg.errors import InputError
from tests.datamodules.volume_layouts import (
    SMALL,
    brats_2015,
    brats_2020,
    dicom,
    folder,
    make_folder,
    msd,
    nifti_pairs,
)
from tests.helpers.volumes import case, save


@pytest.mark.parametrize("layout", [folder, msd, brats_2020, brats_2015, dicom, nifti_pairs])
def test_published_layouts_are_read_cropped_resized_and_normalised(layout, tmp_path):
    data = layout(tmp_path / "set")(str(tmp_path / "set"), cache=str(tmp_path / "cache"), **SMALL)
    assert len(data.objects("train")) == 6
    volumes = [data.one(i) for i in range(6)]
    assert all(
        v["volume"].shape == (1, 1, 8, 16, 16) and v["mask"].shape == (1, 8, 16, 16)
        for v in volumes
    )
    for v in volumes:
        inside, outside = v["volume"][0][v["mask"] == 1], v["volume"][0][v["mask"] == 0]
        assert inside.mean() > outside.mean() + 1
        assert 0.1 < v["mask"].float().mean() < 0.8
    read = read_case(data.objects("train").files[0])
    assert read.spacing == pytest.approx((2.0, 1.0, 0.5))
    assert np.array_equal(np.nonzero(read.mask), np.nonzero(case(0)[1]))
    held, stream = data.split()
    learned = np.concatenate([data.one(i)["volume"].numpy().ravel() for i in stream])
    assert learned.mean() == pytest.approx(0, abs=1e-3)
    assert learned.std() == pytest.approx(1, abs=1e-3)
    assert not set(held) & set(stream)


def test_orientation_is_respected(tmp_path):
    image, mask = case(0)
    save(image, tmp_path / "a.nii.gz", direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    save(mask, tmp_path / "b.nii.gz", direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    turned = read_case(VolumeFiles(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"))
    assert np.array_equal(turned.image, image[:, :, ::-1])
    assert np.array_equal(turned.mask, mask[:, :, ::-1])


def test_one_channel_of_several_is_taken(tmp_path):
    image, mask = case(0)
    save(mask, tmp_path / "b.nii.gz")
    along = SimpleITK.JoinSeries(
        [SimpleITK.GetImageFromArray(pixels) for pixels in (image, image * 2)]
    )
    vectors = SimpleITK.Compose(
        [SimpleITK.GetImageFromArray(pixels) for pixels in (image, image * 2)]
    )
    along.SetSpacing((0.5, 1.0, 2.0, 1.0))
    vectors.SetSpacing((0.5, 1.0, 2.0))
    for name, several in {"along.nii.gz": along, "vectors.nrrd": vectors}.items():
        SimpleITK.WriteImage(several, str(tmp_path / name))
        files = VolumeFiles(tmp_path / name, tmp_path / "b.nii.gz")
        assert np.array_equal(read_case(files, channel=0).image, image)
        assert np.array_equal(read_case(files, channel=1).image, image * 2)
        with pytest.raises(
            InputError, match=f"{name} has 2 channels; say which to take, data.channel=0 to 1"
        ):
            read_case(files)
        with pytest.raises(InputError, match=r"2 channels, data\.channel=2"):
            read_case(files, channel=2)
        with pytest.raises(InputError, match=f"{name} has 2 labels a voxel; write a volume of one"):
            read_case(VolumeFiles(tmp_path / "b.nii.gz", tmp_path / name), channel=0)


def test_crops_and_sizes():
    image, mask = case(0)
    volume = Volume(image, mask, (2.0, 1.0, 0.5))
    assert crop_volume(volume, "none", 3) is volume
    assert crop_volume(volume, "nonzero", 0).image.shape == (8, 10, 10)
    target = crop_volume(volume, "target", 0)
    spans = [len(np.unique(found)) for found in np.nonzero(mask)]
    assert target.image.shape == tuple(spans)
    assert crop_volume(volume, "target", 2).image.shape == tuple(
        min(s + 4, n) for s, n in zip(spans, image.shape, strict=True)
    )
    half = resize_volume(volume, (5, 7, 6))
    assert half.spacing == (4.0, 2.0, 1.0)
    assert half.image.shape == half.mask.shape == (5, 7, 6)
    dot = np.zeros((40, 40, 40), np.uint8)
    dot[21, 21, 21] = 1
    assert resize_volume(Volume(dot.astype(np.float32), dot, (1, 1, 1)), (4, 4, 4)).mask.sum() >= 1


def test_volumes_of_any_spacing_are_brought_to_one(tmp_path):
    for i, spacing in enumerate([(0.5, 1.0, 2.0), (1.0, 1.0, 1.0), (0.4, 0.7, 3.0)]):
        image, mask = case(i)
        save(image, tmp_path / "images" / f"c{i}.nrrd", spacing)
        save(mask, tmp_path / "labels" / f"c{i}.nrrd", spacing)
    given = {
        "size": None,
        "spacing": (2.0, 1.0, 0.5),
        "crop": "none",
        "held_out": 1,
        "cache": str(tmp_path / "cache"),
    }
    source = VolumeFolderDataModule(str(tmp_path), **given)
    source.objects("train")
    ones = [source.one(i) for i in range(3)]
    assert [tuple(one["mask"].shape[1:]) for one in ones] == [
        (10, 14, 12),
        (5, 14, 24),
        (15, 10, 10),
    ]
    for one, own in zip(ones, [1.0, 1.0, 3.0 * 0.7 * 0.4], strict=True):
        assert np.allclose(one["spacing"], [2.0, 1.0, 0.5], rtol=0.05)
        millilitres = case(int(one["id"]))[1].sum() * own
        assert float(one["mask"].sum() * one["spacing"].prod()) == pytest.approx(
            millilitres, rel=0.1
        )
    assert np.array_equal(ones[0]["mask"][0], case(0)[1])


@pytest.fixture
def data(tmp_path):
    return make_folder(tmp_path)


def test_a_permutation_is_the_stream_in_another_order_and_rounds_come_in_a_row(data):
    module = data(stream=3)
    module.objects("train")
    orders = [module.order(k) for k in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == module.split()[1]
    assert len(orders[0]) == 3
    rows = [
        (b["task"], b["round"], b["last_round"], int(b["id"])) for b in module.train_dataloader()
    ]
    assert rows == [(t, r, int(r == 1), i) for t, i in enumerate(orders[0]) for r in range(2)]
    by_volume = data(normalise="volume")
    one = by_volume.one(0)["volume"]
    assert one.mean().item() == pytest.approx(0, abs=1e-4)
    assert one.std(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_a_prefix_is_the_first_volumes_of_a_permutation_in_orders_of_their_own(data):
    whole, module = data(), data(protocol=StreamProtocol("offline", first=(2, 3)))
    for source in (whole, module):
        source.objects("train")
    orders = [module.order(k) for k in range(9)]
    assert all(sorted(order) == sorted(whole.order(2)[:3]) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert module.split() == whole.split()
    assert module.one(0)["volume"].equal(whole.one(0)["volume"]), "normalised alike"


def load(arguments):
    return (
        VolumeFolderDataModule(arguments[0], cache=arguments[1], **SMALL)
        .one(3)["volume"]
        .sum()
        .item()
    )


def test_the_cache_serves_several_processes_and_changes_with_files_and_settings(data, tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        sums = pool.map(load, [(str(tmp_path / "set"), str(tmp_path / "cache"))] * 8)
    assert len(set(sums)) == 1
    kept = set((tmp_path / "cache").iterdir())
    assert len(kept) == 6  # all are read before anything is learned
    assert data().one(3)["volume"].sum().item() == sums[0]
    assert set((tmp_path / "cache").iterdir()) == kept
    data(margin=0).one(3)
    assert len(set((tmp_path / "cache").iterdir())) > len(kept)
    for path in kept:
        whole = path.read_bytes()
        for damage in (b"half", b"", whole[: len(whole) // 2]):
            path.write_bytes(damage)
            assert data().one(3)["volume"].sum().item() == sums[0]
    assert not list((tmp_path / "cache").glob(".*"))


def test_the_voxels_that_a_header_names_belong_to_the_volume(tmp_path):
    for name in ("a.mhd", "a.raw", "b2.raw"):
        (tmp_path / name).write_text("ElementDataFile = b2.raw\n")
    assert [path.name for path in with_data(tmp_path / "a.mhd")] == ["a.mhd", "a.raw", "b2.raw"]


def test_labels_of_a_scaled_file_are_the_whole_numbers_they_mean(tmp_path):
    image, mask = case(0)
    save(image, tmp_path / "a.nii.gz")
    save(np.where(mask > 0, np.float32(0.9999999), np.float32(1e-6)), tmp_path / "b.nrrd")
    for values in (None, [1]):
        assert np.array_equal(
            read_case(VolumeFiles(tmp_path / "a.nii.gz", tmp_path / "b.nrrd"), values).mask, mask
        )


def test_series_and_pairs_may_lie_side_by_side(tmp_path):
    dicom(tmp_path)
    folder(tmp_path)
    (tmp_path / "images" / "metadata.csv").write_text("of the archive")
    names = [files.image.name for files in NciIsbiDataModule(str(tmp_path)).files()]
    image = SimpleITK.ReadImage(str(tmp_path / "images" / "c0.nii.gz"))
    SimpleITK.WriteImage(image, str(tmp_path / "images" / "Prostate3.nii.gz"))
    (tmp_path / "labels" / "Prostate3_truth.nrrd").rename(tmp_path / "labels" / "Prostate3.nrrd")
    with pytest.raises(
        InputError,
        match=r"images/Prostate3/study/series and .*images/Prostate3\.nii\.gz are one case",
    ):
        NciIsbiDataModule(str(tmp_path), cache=str(tmp_path / "cache"), **SMALL).objects("train")
    assert sorted(names) == [
        "c0.nii.gz",
        "c1.nii.gz",
        "c2.nii.gz",
        "c3.nii.gz",
        "c4.nii.gz",
        "c5.nii.gz",
        *["series"] * 6,
    ]


def test_a_shared_cache_is_readable_as_other_files_are(data, tmp_path):
    before = os.umask(0o022)
    try:
        data().objects("train")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "cache").iterdir()} == {0o644}


def test_labels_are_those_of_the_very_name(tmp_path):
    image, mask = case(0)
    for name in ("case.1", "case.2"):
        save(image, tmp_path / "images" / f"{name}.nii.gz")
        save(mask, tmp_path / "labels" / f"{name}.nrrd")
    files = VolumeFolderDataModule(str(tmp_path)).files()
    assert [(f.image.name, f.label.name) for f in files] == [
        (f"case.{k}.nii.gz", f"case.{k}.nrrd") for k in (1, 2)
    ]
    save(mask, tmp_path / "labels" / "case.1.nii.gz")
    with pytest.raises(InputError, match="2 files of labels of its name"):
        VolumeFolderDataModule(str(tmp_path)).files()
    for case_name in ("Prostate1", "Prostate10"):
        (tmp_path / "nci" / "images" / case_name).mkdir(parents=True)
        save(mask, tmp_path / "nci" / "labels" / f"{case_name}_truth.nrrd")
    files = NciIsbiDataModule(str(tmp_path / "nci")).files()
    assert [f.label.name for f in files] == ["Prostate1_truth.nrrd", "Prostate10_truth.nrrd"]


def test_formats_of_two_files_are_one_volume(tmp_path):
    image, mask = case(0)
    for suffix in (".mhd", ".nhdr"):
        root = tmp_path / suffix[1:]
        save(image, root / "images" / f"c{suffix}")
        save(mask, root / "labels" / f"c{suffix}")
        assert len(list((root / "images").iterdir())) == 2
        source = VolumeFolderDataModule(
            str(root), **SMALL | {"held_out": 0, "stream": None, "cache": str(tmp_path / "cache")}
        )
        before = source.objects("train").read(0)
        assert len(source.objects("train")) == 1
        assert before.mask.sum() > 0
        save(2 * image, root / "images" / f"c{suffix}")
        stamp = (root / "images" / f"c{suffix}").stat().st_mtime_ns
        os.utime(root / "images" / f"c{suffix}", ns=(stamp, stamp))
        assert not np.array_equal(source.objects("train").read(0).image, before.image), (
            "the voxels' file counts"
        )


def test_a_crop_of_what_is_not_0_holds_the_target():
    image, mask = np.zeros((6, 8, 8), np.float32), np.zeros((6, 8, 8), np.uint8)
    image[1:3, 2:4, 2:4], mask[2:5, 3:6, 3:6] = 1, 1
    whole = crop_volume(Volume(image, mask, (1, 1, 1)), "nonzero", 0)
    assert whole.mask.sum() == mask.sum()
    assert whole.image.shape == (4, 4, 4)
