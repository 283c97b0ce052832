"""Random photos, and guidance maps with a click each."""

import torch


def photo(size=(64, 96), count=2):
    """Draw photos (count, 3, H, W)."""
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1))


def guidance(size=(64, 96), count=2):
    """Draw maps of an object, a background and a mask (count, 3, H, W)."""
    maps = torch.zeros(count, 3, *size)
    maps[:, 0, 10:20, 30:40] = maps[:, 1, 40:50, 50:60] = maps[:, 2, 5:30, 20:50] = 1
    return maps
