"""An exported pair answers as the method's sessions in torch do, at sizes that the trace has not
seen, and without torch.
"""

import json
import shutil
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

import interseg
from interseg.clicks.guidance import (
    DiskGuidance,
    DistanceGuidance,
    FlooredGaussianGuidance,
    GaussianGuidance,
)
from interseg.errors import InputError
from interseg.inference import exporting
from interseg.inference.exported import ExportedModel
from interseg.inference.exporting import export
from interseg.inference.graph import guidance_graph, squared_distance
from interseg.inference.onnx_pair import OnnxPair
from interseg.inference.session import open_sessions
from interseg.networks.click_network import ClickNetwork
from interseg.networks.once_network import OnceNetwork
from interseg.networks.simpleclick_network import SimpleClickNetwork
from lightning_modules.classical import Classical
from lightning_modules.external import External
from lightning_modules.itis import ITIS
from tests.helpers.commands import ROOT
from tests.helpers.drawing import draw, write
from tests.helpers.small_network import ENCODER

CLICKS = [(30, 24, 1), (5, 30, 0), (33, 20, 1)]


def once(encoder="tf_efficientnet_lite0", channels=3):
    network = OnceNetwork(encoder, None, guidance_channels=channels, width=32, outlines=8, blocks=1)
    return ITIS(network, DiskGuidance(5), mask_map="mask", long_side=[64, 96])


def whole(channels=2, mask_map="mask", long_side=48, guidance=None):
    options = {"new_channels": "mean", "options": {"decoder_channels": 16}}
    options |= {"encoder": ENCODER, "pretrained": None, "guidance_channels": channels}
    network = ClickNetwork(**options)
    return ITIS(network, guidance or DiskGuidance(3), mask_map=mask_map, long_side=long_side)


METHODS = {
    "itis/once.yaml": once,
    "once, a vit": lambda: once("test_vit", 2),
    "small.yaml": whole,
    "full size, gaussians": lambda: whole(long_side=None, guidance=GaussianGuidance()),
    "mask": lambda: whole(3),
    "distance to the mask": lambda: whole(3, "distance", guidance=DistanceGuidance()),
    "probabilities": lambda: whole(3, "probabilities", guidance=FlooredGaussianGuidance()),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            method, folder = METHODS[name]().eval(), tmp_path_factory.mktemp("export")
            export(method, folder, "tiny: 1")
            made[name] = method, folder
        return made[name]

    return get


def drawn(height, width):
    return draw(1, height, width, 1 if width < 50 else 2)[0]


def tensor_of(photo):
    return torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", METHODS)
def test_its_answers_are_the_sessions_in_torch(name, exported):
    method, folder = exported(name)
    model = ExportedModel(folder, "cpu")
    for size in ((40, 37), (130, 61)):
        photo = drawn(*size)
        for start in (None, photo.mean(2) > 110):
            session = model.session(photo, mask=start)
            (expected,) = open_sessions(
                method, tensor_of(photo), masks=None if start is None else [start]
            )
            for click in CLICKS:
                session.click(*click)
                expected.click(*click)
                assert (
                    np.abs(session.steps[-1].logits - expected.steps[-1].logits[0].numpy()).max()
                    < 1e-4
                )
                sure = np.abs(expected.steps[-1].logits[0].numpy()) > 1e-4
                assert np.array_equal(session.mask[sure], expected.mask[sure])


def test_the_mask_before_counts_and_there_need_be_none(exported):
    _, folder = exported("itis/once.yaml")
    photo, pair = (
        drawn(72, 96),
        OnnxPair(str(folder / "encoder.onnx"), str(folder / "decoder.onnx")),
    )
    encoded, points, labels = pair.encode(photo), np.array([[24, 30]], np.float32), np.array([1])
    answers = [
        pair.decode(encoded, (72, 96), points, labels, mask, {}).logits
        for mask in (None, photo.mean(2) > 110)
    ]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


def test_sams_own_client_is_answered(exported):
    """A photo at a long side of 1024, points in its pixels, a mask of 256 x 256, the inputs by
    SAM's names.
    """
    method, folder = exported("itis/once.yaml")
    encoder, decoder = (
        onnxruntime.InferenceSession(str(folder / name))
        for name in ("encoder.onnx", "decoder.onnx")
    )
    photo = np.repeat(np.repeat(drawn(72, 96), 8, 0), 8, 1)  # 576 x 768
    shown = torch.nn.functional.interpolate(
        tensor_of(photo), (768, 1024), mode="bilinear", antialias=True
    )
    values = (shown[0].permute(1, 2, 0) * 255).numpy()
    (embedding,) = encoder.run(None, {encoder.get_inputs()[0].name: values})
    given = {
        "image_embeddings": embedding,
        "point_coords": np.array([[[192 * 1024 / 768, 240 * 1024 / 768], [0, 0]]], np.float32),
        "point_labels": np.array([[1, -1]], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array([576, 768], np.float32),
    }
    masks, scores, low = decoder.run(None, given)
    assert (masks.shape, scores.shape, low.shape) == ((1, 1, 576, 768), (1, 1), (1, 1, 256, 256))
    assert 0 <= scores[0, 0] <= 1
    (expected,) = open_sessions(method, shown.clamp(0, 1))
    expected.click(320, 256)
    logits = torch.nn.functional.interpolate(
        expected.steps[-1].logits[None], (576, 768), mode="bilinear"
    )[0, 0].numpy()
    assert np.abs(masks[0, 0] - logits).max() < 0.05
    assert (low[0, 0, 192:] == -20).all()
    given |= {"mask_input": np.where(low > 0, low, -5), "has_mask_input": np.ones(1, np.float32)}
    assert np.abs(decoder.run(None, given)[0] - masks).max() > 1e-4


@pytest.mark.parametrize(
    "guidance",
    [
        DiskGuidance(4),
        GaussianGuidance(5, 9),
        FlooredGaussianGuidance(),
        DistanceGuidance(30, True),
    ],
    ids=lambda g: type(g).__name__,
)
def test_guidance_in_a_graph_is_the_methods(guidance):
    clicks = torch.tensor([[[3, 4, 1, 0], [20, 30, 0, 0], [9, 9, 1, 0], [-1, -1, -1, 0]]])
    view = torch.tensor(24), torch.tensor(32)
    squares = squared_distance(clicks[0, :, 0].float(), clicks[0, :, 1].float(), view)
    maps = [guidance_graph(guidance)(squares, clicks[0, :, 2] == label) for label in (1, 0)]
    assert torch.allclose(torch.stack(maps), guidance(clicks, 24, 32)[0], atol=1e-6)


def test_it_is_loaded_without_torch_and_undone_exactly(exported, tmp_path):
    method, folder = exported("itis/once.yaml")
    write(tmp_path / "photo.png", drawn(72, 96))
    code = f"""
import sys, interseg, numpy as np
session = interseg.load({str(folder)!r}, device="cpu").session({str(tmp_path / "photo.png")!r})
first = session.click(30, 24)
before = session.probabilities.tobytes()
session.click(5, 30, label=0)
session.undo()
assert session.probabilities.tobytes() == before
session.redo(), session.reset()
assert session.click(30, 24).tobytes() == first.tobytes()
assert len(session.clicks) == len(session.seconds) == 1
np.save({str(tmp_path / "mask.npy")!r}, session.probabilities)
print(sorted({{"torch", "pytorch_lightning", "transformers"}} & sys.modules.keys()))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
    (expected,) = open_sessions(method, tensor_of(drawn(72, 96)))
    expected.click(30, 24)
    assert (
        np.abs(np.load(tmp_path / "mask.npy", allow_pickle=False) - expected.probabilities).max()
        < 1e-4
    )


def test_an_export_is_played_as_an_external_pair(exported):
    method, folder = exported("probabilities")
    pair = External(OnnxPair(str(folder / "encoder.onnx"), str(folder / "decoder.onnx")))
    sessions = [open_sessions(one, tensor_of(drawn(72, 96)))[0] for one in (method, pair)]
    for click in CLICKS:
        answers = []
        for session in sessions:
            session.click(*click)
            answers.append(session.probabilities)
        assert np.abs(answers[0] - answers[1]).max() < 1e-4


def test_its_files_say_what_they_are(exported):
    _, folder = exported("small.yaml")
    about = json.loads((folder / "interseg.json").read_text())
    assert about.pop("pair")
    assert about == {
        "format": 1,
        "name": "tiny: 1",
        "network": "ClickNetwork",
        "split": False,
        "previous": "none",
        "long_side": 48,
        "threshold": 0.5,
    }
    assert json.loads((exported("itis/once.yaml")[1] / "interseg.json").read_text())["split"]
    card = yaml.safe_load((folder / "x-anylabeling.yaml").read_text())
    assert (card["type"], card["name"]) == ("segment_anything", "tiny: 1")
    assert {"name", "display_name", "input_size", "max_width", "max_height"} <= card.keys()
    assert all((folder / card[f"{part}_model_path"]).is_file() for part in ("encoder", "decoder"))


def test_what_cannot_be_exported_or_loaded_is_one_clear_error(exported, tmp_path):
    with pytest.raises(InputError, match="Classical cannot be exported"):
        export(Classical("random_walker"), tmp_path, "x")
    _, folder = exported("small.yaml")
    with pytest.raises(InputError, match="is an export, which takes no flip=true"):
        interseg.load(folder, "flip=true")
    with pytest.raises(InputError, match="device is 'tpu'"):
        interseg.load(folder, device="tpu")
    with pytest.raises(InputError, match="device is 'cuda', and this onnxruntime has no such GPU"):
        interseg.load(folder, device="cuda")
    session = interseg.load(folder, device="cpu").session(drawn(72, 96))
    with pytest.raises(InputError, match=r"the mask has fractions \(float32\)"):
        session.start_from(np.full((72, 96), 0.1, np.float32))
    for wrong, message in (
        ((80, 3), "lies outside"),
        ((3, 3, 2), "has label 2"),
        ((3, 3, 1, "line"), "kind is 'line'"),
    ):
        with pytest.raises(InputError, match=message):
            session.click(*wrong)
    with pytest.raises(InputError, match="there is no click to undo"):
        session.undo()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: once("test_vit", 2).network,
            "model.long_side is 96, and such a network is exported",
        ),
        (
            lambda: SimpleClickNetwork("test_vit", None, 2, (4, 8, 16, 32), 16),
            "the positions of a ViT follow its view's size",
        ),
    ],
)
def test_networks_of_one_view_are_exported_for_it_alone(network, message, tmp_path):
    method = ITIS(network(), DiskGuidance(5), mask_map="mask", long_side=96).eval()
    with pytest.raises(InputError, match=message):
        export(method, tmp_path, "x")
    method.long_side = [64, 96]
    export(method, tmp_path, "x")


def test_files_of_two_exports_are_no_pair_and_one_that_fails_leaves_the_one_before(
    exported, tmp_path, monkeypatch
):
    method, folder = exported("small.yaml")
    other = tmp_path / "other"
    export(method, other, "other")
    shutil.copy(folder / "encoder.onnx", other)
    with pytest.raises(InputError, match=r"are of two exports; export the network again"):
        interseg.load(other, device="cpu").session(drawn(72, 96)).click(30, 30)
    monkeypatch.setattr(exporting, "_write_decoder", Mock(side_effect=OSError("full")))
    before = {file.name: file.read_bytes() for file in other.iterdir()}
    with pytest.raises(OSError, match="full"):
        export(method, other, "other")
    assert {file.name: file.read_bytes() for file in other.iterdir()} == before
