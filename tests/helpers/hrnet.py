"""An HRNet of timm's own class in a few channels; its smallest has 13 million weights."""

from timm.models import register_model
from timm.models.hrnet import HighResolutionNet

TINY_HRNET = "tiny_hrnet"


def stage(branches, block="BASIC"):
    channels = tuple(8 * 2**i for i in range(branches))
    blocks = (1,) * branches
    return {
        "num_modules": 1,
        "num_branches": branches,
        "block_type": block,
        "num_blocks": blocks,
        "num_channels": channels,
        "fuse_method": "SUM",
    }


@register_model
def tiny_hrnet(pretrained=False, num_classes=0, **options):
    stages = {"stage1": stage(1, "BOTTLENECK"), **{f"stage{i}": stage(i) for i in (2, 3, 4)}}
    model = HighResolutionNet({"stem_width": 16, **stages}, num_classes=num_classes)
    model.pretrained_cfg = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return model
