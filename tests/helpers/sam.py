"""SAM and SAM 2 of a few thousand weights, in the folders that transformers writes, and an ONNX
pair of the first.
"""

import torch
from torch import nn
from torch.nn.functional import interpolate, pad

from interseg.inference.onnx_pair import FRAME, INPUTS, OUTPUTS

SIDE = 64


def small_sam(folder):
    """Write a SAM of a view of 64 pixels, weights drawn large enough for its masks to differ."""
    from transformers import SamConfig, SamImageProcessor, SamModel

    sizes = {"hidden_size": 16, "image_size": SIDE, "patch_size": 16}
    vision = sizes | {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "output_channels": 16,
        "num_pos_feats": 8,
        "global_attn_indexes": [1],
    }
    vision |= {"window_size": 2, "mlp_dim": 32}
    decoder = {
        "hidden_size": 16,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config=sizes | {"mask_input_channels": 4},
        mask_decoder_config=decoder,
    )
    processor = SamImageProcessor(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
    )
    return _written(SamModel(config), processor, folder)


def small_sam2(folder):
    """Write a SAM 2 of a view of 64 pixels."""
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2ImageProcessor, Sam2Model

    stages = {
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
    }
    stages |= {
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    stages |= {"window_positional_embedding_background_size": [4, 4]}
    levels = {
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 16,
    }
    vision = levels | {"backbone_config": Sam2HieraDetConfig(**stages).to_dict()}
    prompt = {"hidden_size": 16, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4}
    decoder = {
        "hidden_size": 16,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }
    config = Sam2Config(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
    )
    processor = Sam2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, mask_size={"height": SIDE // 4, "width": SIDE // 4}
    )
    return _written(Sam2Model(config), processor, folder)


def _written(model, processor, folder):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


class Encoder(nn.Module):
    """What stands for SAM's encoder in an exported pair.

    Blurred colours of a photo (height, width, 3) at a quarter of the view.
    """

    def forward(self, photo):
        height, width = photo.shape[0], photo.shape[1]
        square = pad(photo.permute(2, 0, 1)[None] / 255, (0, FRAME - width, 0, FRAME - height))
        return interpolate(square, (64, 64), mode="bilinear")


class Decoder(nn.Module):
    """What stands for SAM's decoder.

    Likeness to the clicked colours and nearness to clicks, and the mask input's own logits.
    """

    def __init__(self, answers=1):
        super().__init__()
        self.answers = answers

    def forward(
        self, image_embeddings, point_coords, point_labels, mask_input, has_mask_input, orig_im_size
    ):
        grid = (torch.arange(64, dtype=torch.float32) + 0.5) * FRAME / 64
        dx, dy = (
            (grid[None, None] - point_coords[0, :, 0, None, None]),
            (grid[None, :, None] - point_coords[0, :, 1, None, None]),
        )
        sign = (point_labels[0] == 1).float() - (point_labels[0] == 0).float()
        near = (sign[:, None, None] * torch.exp(-(dx**2 + dy**2) / 2 / 120**2)).sum(0)
        bright = image_embeddings[0].mean(0) - 0.4
        low = (
            interpolate((4 * near + 3 * bright)[None, None], (256, 256), mode="bilinear")
            + 0.3 * has_mask_input * mask_input
        )
        low = torch.cat([low * (1 - 0.5 * k) for k in range(self.answers)], 1)
        scores = torch.cat(
            [
                orig_im_size.new_tensor([[float(k == self.answers - 1)]])
                for k in range(self.answers)
            ],
            1,
        )
        longest = orig_im_size.max()
        view, size = torch.floor(orig_im_size * FRAME / longest + 0.5).long(), orig_im_size.long()
        masks = interpolate(
            interpolate(low, (FRAME, FRAME), mode="bilinear")[..., : view[0], : view[1]],
            (size[0], size[1]),
            mode="bilinear",
        )
        return masks, scores, low


def export_pair(folder, answers=1):
    """Write the pair as the segment-anything repository's script does; gives (encoder, decoder)."""
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "encoder.onnx", folder / "decoder.onnx"
    options = {"dynamo": False, "opset_version": 17}
    names = {
        "input_names": ["input_image"],
        "output_names": ["image_embeddings"],
        "dynamic_axes": {"input_image": {0: "h", 1: "w"}},
    }
    torch.onnx.export(
        Encoder(), (torch.rand(700, FRAME, 3) * 255,), str(files[0]), **options, **names
    )
    given = (
        torch.rand(1, 3, 64, 64),
        torch.rand(1, 3, 2) * 500,
        torch.tensor([[1.0, 0.0, -1.0]]),
        torch.rand(1, 1, 256, 256),
    )
    given = (*given, torch.ones(1), torch.tensor([500.0, 700.0]))
    axes = {"point_coords": {1: "n"}, "point_labels": {1: "n"}, "masks": {2: "h", 3: "w"}}
    names = {"input_names": [*INPUTS], "output_names": [*OUTPUTS], "dynamic_axes": axes}
    torch.onnx.export(Decoder(answers), given, str(files[1]), **options, **names)
    return files
