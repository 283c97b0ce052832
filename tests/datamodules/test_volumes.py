"""Streams of volumes from miniatures of the real layouts, and what can be wrong with them."""

import json
import locale
import multiprocessing
import os

import numpy as np
import pytest
import SimpleITK

from datamodules.brats import BratsDataModule
from datamodules.msd import MsdDataModule
from datamodules.nci_isbi import NciIsbiDataModule
from datamodules.volume_files import Volume, VolumeFiles, crop_volume, read_case, resize_volume
from datamodules.volumes import VolumeFolderDataModule
from interseg.continual.protocol import StreamProtocol
from interseg.errors import InputError
from tests.helpers.volumes import case, save


def folder(root):
    for i in range(6):
        image, mask = case(i)
        save(image, root / "images" / f"c{i}.nii.gz")
        save(mask, root / "labels" / f"c{i}.nrrd")
    return VolumeFolderDataModule


def msd(root):
    rows = []
    for i in range(6):
        image, mask = case(i)
        rows.append({"image": f"./imagesTr/c{i}.nii.gz", "label": f"./labelsTr/c{i}.nii.gz"})
        save(image, root / rows[-1]["image"])
        save(mask, root / rows[-1]["label"])
    (root / "dataset.json").write_text(json.dumps({"training": rows}))
    return MsdDataModule


def brats_2020(root):
    for i in range(6):
        image, mask = case(i)
        save(image, root / f"BraTS20_{i:03}" / f"BraTS20_{i:03}_flair.nii.gz")
        save(image, root / f"BraTS20_{i:03}" / f"BraTS20_{i:03}_t1.nii.gz")
        save(mask * 4, root / f"BraTS20_{i:03}" / f"BraTS20_{i:03}_seg.nii.gz")
    return BratsDataModule


def brats_2015(root):
    for i in range(6):
        image, mask = case(i)
        save(
            image,
            root
            / "HGG"
            / f"p{i}"
            / f"VSD.Brain.XX.O.MR_Flair.{i}"
            / f"VSD.Brain.XX.O.MR_Flair.{i}.mha",
        )
        save(
            mask * 2,
            root
            / "HGG"
            / f"p{i}"
            / f"VSD.Brain_3more.XX.O.OT.{i}"
            / f"VSD.Brain_3more.XX.O.OT.{i}.mha",
        )
    return BratsDataModule


def dicom(root):
    before = locale.setlocale(locale.LC_ALL)
    for i in range(6):
        image, mask = case(i)
        for number, pixels in enumerate(image.astype(np.int16)):
            one = SimpleITK.GetImageFromArray(pixels[None])
            one.SetSpacing((0.5, 1.0, 2.0))
            tags = {
                "0020|000e": f"1.2.3.{i}",
                "0020|000d": f"1.2.{i}",
                "0020|0013": str(number),
                "0008|0060": "MR",
            }
            tags |= {
                "0020|0032": f"0\\0\\{2.0 * number}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
                "0018|0050": "2.0",
            }
            for tag, value in tags.items():
                one.SetMetaData(tag, value)
            path = root / "images" / f"Prostate{i}" / "study" / "series" / f"{number:03}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = SimpleITK.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetFileName(str(path))
            writer.Execute(one)
        save(mask, root / "labels" / f"Prostate{i}_truth.nrrd")
    locale.setlocale(
        locale.LC_ALL, before
    )  # writing DICOM leaves the process in "C", where nothing reads UTF-8
    return NciIsbiDataModule


def nifti_pairs(root):
    folder(root)
    return NciIsbiDataModule


PLAYED = StreamProtocol("stream", sequences=2, rounds=2)
SMALL = {"size": (8, 16, 16), "held_out": 2, "protocol": PLAYED, "margin": 1}


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
    def make(**options):
        return VolumeFolderDataModule(
            str(tmp_path / "set"), **{"cache": str(tmp_path / "cache"), **SMALL, **options}
        )

    folder(tmp_path / "set")
    return make


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


def test_what_is_wrong_with_volumes_is_named(data, tmp_path):
    images, labels = tmp_path / "set" / "images", tmp_path / "set" / "labels"
    image, mask = case(0)

    def error(match, **options):
        with pytest.raises(InputError, match=match):
            data(**options).objects("train").read(0)

    error("crop is 'brain'", crop="brain")
    error("normalise is 'batch'", normalise="batch")
    error("kind is 'sequence'; these data", protocol=StreamProtocol("sequence"))
    error(r"size is \[8, 0, 8\]; give D, H and W", size=[8, 0, 8])
    error("margin=-1", margin=-1)
    error("seed is -1", seed=-1)
    error(
        r"spacing is \[1, 1, 1\], size \[8, 16, 16\]; give mm along D, H and W with data.size=null",
        spacing=(1, 1, 1),
    )
    error(r"spacing is \[1, 0, 1\], size null", spacing=(1, 0, 1), size=None)
    error(r"spacing is \[nan, 1, 1\], size null", spacing=(float("nan"), 1, 1), size=None)
    error("has 1 channels, data.channel=1", channel=1)
    error(r"cannot be written \(.*; give data.cache=FOLDER", cache=str(images / "c0.nii.gz"))
    many = StreamProtocol("offline", first=(0, 9))
    error(r"first is \[0, 9\]; the stream has", protocol=many)
    static = StreamProtocol("static")
    error("plays the held-out volumes, and there are none", protocol=static, held_out=0)
    error("6 volumes; lower data.held_out=6", held_out=6)
    save(mask[:, :-1], labels / "c0.nrrd")
    error(r"c0.nrrd has \(12, 13, 10\) voxels, its image \(12, 14, 10\)")
    save(mask, labels / "c0.nrrd", origin=(5, 0, 0))
    error(
        r"lies elsewhere than its image: its voxel \(0, 0, 0\) at \(5, 0, 0\) mm, "
        r"the image's at \(0, 0, 0\)"
    )
    save(mask, labels / "c0.nrrd", spacing=(0.5, 1.0, 2.5))
    error("lies elsewhere than its image: its voxel")
    save(
        mask, labels / "c0.nrrd", spacing=(0.5, 1.0, 2.03)
    )  # 0.27 mm over nine slices, above a tenth of 0.5 mm
    error("lies elsewhere than its image: its voxel")
    for angle in (0.3, 0.01):
        c, s = np.cos(angle), np.sin(angle)
        save(mask, labels / "c0.nrrd", direction=(c, -s, 0, s, c, 0, 0, 0, 1))
        error("lies elsewhere than its image: its voxel")
    save(mask, labels / "c0.nrrd", origin=(0.01, 0, 0), spacing=(0.5, 1.0, 2.0001))
    read_case(VolumeFiles(images / "c0.nii.gz", labels / "c0.nrrd"))
    save(mask * np.float32(0.3), labels / "c0.nrrd")
    error("has voxels of 0.3; labels are whole numbers")
    save(np.where(mask > 0, np.float32(np.nan), 0), labels / "c0.nrrd")
    error("has voxels of nan; labels are whole numbers")
    save(mask * 0, labels / "c0.nrrd")
    error("has no voxel of the target")
    save(mask, labels / "c0.nrrd")
    error(r"has no voxel of the target \(labels \[7\]\)", values=[7])
    image[4, 4, 4] = np.nan
    save(mask, labels / "c0.nrrd")
    save(image, images / "c0.nii.gz")  # NIfTI's own library reads such voxels as 0
    case_of = VolumeFiles(images / "c0.nii.gz", labels / "c0.nrrd")
    assert np.array_equal(read_case(case_of).image, np.nan_to_num(image))
    (images / "c0.nii.gz").unlink()
    save(image, images / "c0.nrrd")
    error("has 1 voxels that are not finite numbers")
    (images / "c0.nrrd").unlink()
    (images / "c0.nii.gz").write_bytes(b"nothing")
    error("cannot be read as a volume")
    (labels / "c0.nrrd").unlink()
    error("c0.nii.gz has no labels of its name")


def test_labels_of_a_scaled_file_are_the_whole_numbers_they_mean(tmp_path):
    image, mask = case(0)
    save(image, tmp_path / "a.nii.gz")
    save(np.where(mask > 0, np.float32(0.9999999), np.float32(1e-6)), tmp_path / "b.nrrd")
    for values in (None, [1]):
        assert np.array_equal(
            read_case(VolumeFiles(tmp_path / "a.nii.gz", tmp_path / "b.nrrd"), values).mask, mask
        )


@pytest.mark.parametrize("layout", [folder, brats_2020, nifti_pairs])
def test_a_case_that_lies_there_twice_is_named(layout, tmp_path):
    kind = layout(tmp_path / "set")
    unpacked = sorted(
        (tmp_path / "set").rglob("*000_*.nii.gz" if layout is brats_2020 else "c0.nii.gz")
    )
    for path in unpacked:
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path).removesuffix(".gz"))
    image = unpacked[0]
    with pytest.raises(
        InputError,
        match=(
            rf"{image.name.removesuffix('.gz')} and .*{image.name} are one case; "
            r"remove one of them"
        ),
    ):
        kind(str(tmp_path / "set"), cache=str(tmp_path / "cache"), **SMALL).objects("train")


def test_a_case_that_is_named_twice_is_named(tmp_path):
    msd(tmp_path)
    rows = json.loads((tmp_path / "dataset.json").read_text())["training"]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [*rows, rows[2]]}))
    with pytest.raises(InputError, match=r"c2\.nii\.gz are one case"):
        MsdDataModule(str(tmp_path), cache=str(tmp_path / "cache"), **SMALL).objects("train")


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


@pytest.mark.parametrize(
    "kind", [MsdDataModule, BratsDataModule, NciIsbiDataModule, VolumeFolderDataModule]
)
def test_a_missing_set_says_how_to_get_it(kind, tmp_path):
    with pytest.raises(InputError, match="is expected in"):
        kind(str(tmp_path / "none"), **SMALL).objects("train")
    with pytest.raises(InputError):
        kind(str(tmp_path), **SMALL).objects("train")


def test_a_decathlon_that_is_not_whole_is_named(tmp_path):
    msd(tmp_path)
    (tmp_path / "imagesTr" / "c1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"c1.nii.gz does not exist"):
        MsdDataModule(str(tmp_path), **SMALL).files()
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(InputError, match="is not the decathlon's"):
        MsdDataModule(str(tmp_path), **SMALL).files()


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
