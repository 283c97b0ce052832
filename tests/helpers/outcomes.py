"""What four games left, of a method without figures of its own."""

import torch

CURVES = torch.tensor(
    [[0.5, 0.86, 0.7, 0.91], [0.9, 0.9, 0.9, 0.9], [0.1, 0.2, 0.3, 0.84], [0.2, 0.4, 0.6, 0.85]],
    dtype=torch.float64,
)
PLAYED = {
    "id": torch.arange(4),
    "curves": CURVES,
    "starts": torch.tensor([0.0, 0.5, 0.0, 0.1], dtype=torch.float64),
    "outlines": CURVES[..., None] * torch.tensor([0.5, 1.0], dtype=torch.float64),
    "clicks": torch.ones(4, 4, 4, dtype=torch.int64),
    "correct": torch.arange(1, 5).repeat(4, 1),
    "network_seconds": torch.full((4, 4), 0.5, dtype=torch.float64),
    "simulator_seconds": torch.zeros(4, dtype=torch.float64),
}
