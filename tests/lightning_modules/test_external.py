"""Other people's models play the whole protocol, each as a function of photo, clicks and the mask
to start from.
"""

import gc
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from interseg.errors import InputError
from interseg.inference.external import SetAndPredict
from interseg.inference.onnx_pair import OnnxPair, choose_mask
from interseg.inference.rounds import answer_together
from interseg.inference.sam import TransformersSam
from interseg.inference.session import open_sessions
from lightning_modules.external import External
from tests.helpers.commands import called
from tests.helpers.drawing import draw, draw_folder
from tests.helpers.external import CLICKS, photos
from tests.helpers.others import Network, Refilling, Remembering, Squares, function
from tests.helpers.sam import Decoder, Encoder, export_pair, small_sam, small_sam2

QUIET = [
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "loading.num_workers=0",
    "max_clicks=3",
    "full_curves=true",
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return export_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {
        make.__name__: str(make(tmp_path_factory.mktemp(make.__name__)))
        for make in (small_sam, small_sam2)
    }


@pytest.fixture(
    scope="module",
    params=[
        *("squares", "masks", "state", "refilling", "network", "function"),
        *("pair", "small_sam", "small_sam2"),
    ],
)
def method(request, pair, folders):
    own = {
        "squares": Squares,
        "masks": lambda: Squares(gives="mask"),
        "state": Remembering,
        "refilling": Refilling,
        "network": Network,
    }
    own |= {"function": lambda: function, "pair": lambda: OnnxPair(*map(str, pair))}
    made = own[request.param]() if request.param in own else TransformersSam(folders[request.param])
    return External(made).eval()


def test_a_session_is_a_function_of_photo_clicks_and_mask(method):
    start = np.zeros((72, 96), bool)
    start[20:50, 30:60] = True
    images = photos(2)
    together = open_sessions(method, images, masks=[start, start])
    for click in CLICKS:  # two photos in turn
        answer_together(together, [click, click])
    for image, played in zip(images, together, strict=True):
        (alone,) = open_sessions(method, image[None], masks=[start])
        seen = []
        for click in CLICKS:
            answer_together([alone], [click])
            seen.append(alone.probabilities.tobytes())
        assert seen[-1] == played.probabilities.tobytes()
        for before in reversed(seen[:-1]):
            played.undo()
            assert played.probabilities.tobytes() == before
        answer_together([played], [CLICKS[1]])
        assert played.probabilities.tobytes() == seen[1]
        assert len(set(seen)) > 1


def test_a_mask_to_start_from_counts_and_so_do_earlier_answers(pair, folders):
    start = np.zeros((72, 96), bool)
    start[20:50, 30:60] = True
    kinds = [lambda **_: Squares(), lambda **options: OnnxPair(*map(str, pair), **options)]
    kinds += [
        lambda name=name, **options: TransformersSam(folders[name], **options) for name in folders
    ]
    for kind in kinds:
        answers = []
        for options, mask in (({}, None), ({}, start), ({"previous_mask": False}, start)):
            (session,) = open_sessions(
                External(kind(**options)).eval(), photos(), masks=None if mask is None else [mask]
            )
            session.click(30, 24)
            answers.append(session.probabilities)
        assert not np.array_equal(answers[0], answers[1])
        if kind is not kinds[0]:
            assert np.array_equal(answers[0], answers[2])


def test_what_cannot_be_played_is_one_clear_error(tmp_path, pair):
    with pytest.raises(InputError, match="no predictor is configured; name your class"):
        External()
    with pytest.raises(InputError, match="answers is 'mask'; use logits or probabilities"):
        External(Squares(), "mask")
    with pytest.raises(InputError, match=r"int has no set_image\(photo\) and predict"):
        SetAndPredict(3)
    with pytest.raises(InputError, match=r"encoder is nowhere\.onnx, and there is no such file"):
        OnnxPair("nowhere.onnx", "nowhere.onnx")
    (tmp_path / "junk.onnx").write_text("junk")
    with pytest.raises(InputError, match=r"junk.onnx cannot be opened by onnxruntime"):
        open_sessions(External(OnnxPair(*[str(tmp_path / "junk.onnx")] * 2)), photos())
    with pytest.raises(
        InputError, match=r"encoder.onnx has no input has_mask_input, image_embeddings"
    ):
        open_sessions(External(OnnxPair(*[str(pair[0])] * 2)), photos())[0].click(3, 3)
    with pytest.raises(InputError, match="cannot be loaded"):
        TransformersSam(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="is a bert, none of sam, sam2"):
        TransformersSam(str(tmp_path))


def test_sam_is_given_whole_pixels_whatever_its_precision(folders, monkeypatch):
    predictor, given = TransformersSam(folders["small_sam2"]), {}
    predictor.side = 1024  # of the frame in which clicks are given
    monkeypatch.setattr(
        predictor.sam,
        "forward",
        lambda wrapped=predictor.sam.forward, **words: given.update(words) or wrapped(**words),
    )
    encoded = {key: value.bfloat16() for key, value in predictor.encode(draw(0)[0]).items()}
    with torch.autocast("cpu", torch.bfloat16):
        points = np.array([[48.5, 33.0]], np.float32)
        predictor.decode(encoded, (72, 96), points, np.array([1]), None, {})
    assert np.allclose(given["input_points"].float(), points * [1024 / 96, 1024 / 72])


def test_the_pair_is_what_its_modules_give_in_torch(pair):
    image, (session,) = photos(), open_sessions(External(OnnxPair(*map(str, pair))), photos())
    pixels = (image[0] * 255).byte().permute(1, 2, 0).numpy()
    shown = np.asarray(Image.fromarray(pixels).resize((1024, 768), Image.Resampling.BILINEAR))
    embedding, before = (
        Encoder()(torch.from_numpy(shown.copy()).float()),
        torch.zeros(1, 1, 256, 256),
    )
    for count, click in enumerate(CLICKS, 1):
        answer_together([session], [click])
        points = torch.tensor([[[c.x * 1024 / 96, c.y * 768 / 72] for c in CLICKS[:count]]])
        labels = torch.tensor([[float(c.label) for c in CLICKS[:count]]])
        with torch.no_grad():
            given = (
                embedding,
                points,
                labels,
                before,
                torch.tensor([float(count > 1)]),
                torch.tensor([72.0, 96.0]),
            )
            masks, _, before = Decoder()(*given)
        assert np.allclose(session.steps[-1].logits[0], masks[0, 0], atol=1e-4)


def test_of_several_answers_the_one_with_the_best_score_is_taken(tmp_path, pair):
    one, three = (OnnxPair(*map(str, files)) for files in (pair, export_pair(tmp_path, 3)))
    answers = [open_sessions(External(kind), photos())[0] for kind in (one, three)]
    for session in answers:
        session.click(30, 24)
    assert np.allclose(
        answers[1].steps[-1].logits, 0 * answers[0].steps[-1].logits, atol=1e-6
    )  # the third is multiplied by 0


def test_of_four_masks_the_first_is_for_later_clicks():
    """As SAM's own choice in a graph does (Kirillov et al. 2023, appendix A)."""
    best_first, best_last = np.array([0.9, 0.2, 0.4, 0.3]), np.array([0.1, 0.2, 0.4, 0.8])
    assert [choose_mask(best_first, clicks) for clicks in (1, 2, 3)] == [2, 0, 0]
    assert [choose_mask(best_last, clicks) for clicks in (1, 2, 3)] == [3, 0, 0]
    assert [choose_mask(best_last[:3], clicks) for clicks in (1, 2)] == [2, 2]


@pytest.mark.parametrize("name", ["small_sam", "small_sam2"])
def test_sam_answers_as_transformers_own_pipeline_does(name, folders):
    import transformers

    processor = {"small_sam": transformers.SamProcessor, "small_sam2": transformers.Sam2Processor}[
        name
    ]
    image_processor = {
        "small_sam": transformers.SamImageProcessor,
        "small_sam2": transformers.Sam2ImageProcessor,
    }[name]
    given = {"small_sam": {}, "small_sam2": {"target_size": 64}}[name]
    process = processor(image_processor.from_pretrained(folders[name]), **given)
    predictor = TransformersSam(folders[name])
    image = draw(0)[0]
    (session,) = open_sessions(External(predictor).eval(), photos())
    before = None
    for count, click in enumerate(CLICKS[:3], 1):
        answer_together([session], [click])
        points, labels = (
            [[[[c.x, c.y] for c in CLICKS[:count]]]],
            [[[c.label for c in CLICKS[:count]]]],
        )
        inputs = process(
            images=image, input_points=points, input_labels=labels, return_tensors="pt"
        )
        shown = {key: inputs[key] for key in ("pixel_values", "input_labels")} | {
            "input_points": inputs["input_points"].float()
        }
        with torch.no_grad():
            found = predictor.sam(**shown, input_masks=before, multimask_output=count == 1)
        best = int(found.iou_scores[0, 0].argmax())
        before = found.pred_masks[:, 0, best : best + 1]
        sizes = {"small_sam": [inputs.get("reshaped_input_sizes")], "small_sam2": []}[name]
        (masks,) = process.post_process_masks(
            [before], inputs["original_sizes"], *sizes, binarize=False
        )
        assert np.allclose(session.steps[-1].logits[0], masks[0, 0], atol=1e-6)
        assert session.steps[-1].logits.std() > 0.001
    assert before.shape[-1] == 16
    assert interpolate(before, (72, 96)).shape[-1] == 96


@pytest.mark.parametrize("config", ["own.yaml", "onnx.yaml", "sam.yaml", "sam2.yaml"])
def test_every_yaml_is_played_with_all_figures(config, pair, folders, tmp_path):
    data = draw_folder(tmp_path / "data", 2)
    named = {
        "own.yaml": [
            "--trust",
            "tests",
            "model.predictor._target_=tests.helpers.others.made",
            "model.predictor.reach=9",
        ],
        "onnx.yaml": [f"model.predictor.encoder={pair[0]}", f"model.predictor.decoder={pair[1]}"],
        "sam.yaml": [f"model.predictor.model={folders['small_sam']}"],
        "sam2.yaml": [f"model.predictor.model={folders['small_sam2']}"],
    }[config]
    line = [
        "--config",
        f"external/{config}",
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        *named,
        *QUIET,
    ]
    line += [] if config == "own.yaml" else ["callbacks.report=null"]
    result = called("evaluate.py", *line, f"run={tmp_path / 'whole'}")
    assert result.returncode == 0, result.stderr
    whole = json.loads((tmp_path / "whole" / "report.json").read_text())
    assert whole["objects"] == 4
    assert whole["encoding_seconds"] > 0
    objects = (tmp_path / "whole" / "objects.csv").read_text()
    if config == "own.yaml":
        assert "Encoding a photo took" in (tmp_path / "whole" / "report.html").read_text()
    if config not in ("own.yaml", "onnx.yaml"):
        return
    gc.collect()  # a fork that collected an ONNX session would wait for threads it has not
    ranks = ["trainer.devices=2", "trainer.strategy=ddp_fork", f"run={tmp_path / 'ranks'}"]
    result = called("evaluate.py", *line, *ranks)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "ranks" / "objects.csv").read_text() == objects
    both = [f"a={tmp_path / 'whole'}", f"b={tmp_path / 'ranks'}"]
    result = called("compare.py", *both, "--out", tmp_path / "compare.html")
    assert result.returncode == 0, result.stderr
    assert "encoding_seconds" in result.stdout
