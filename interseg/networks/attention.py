"""Global context over a grid of tokens: attention blocks, and likeness to clicked tokens."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize, scaled_dot_product_attention


class TokenBlock(nn.Module):
    """A transformer block over a grid of tokens.

    It attends to pooled keys (PVT v2, Wang et al. 2022). Its feed-forward has a depth-wise 3 x 3
    convolution (SegFormer, Xie et al. 2021), by which the block knows neighbours on grids of any
    size.

    Args:
        width: Channels of a token.
        heads: Number of attention heads.
        ratio: Hidden channels of the feed-forward, in multiples of `width`.
        pool: Side of the squares whose means are keys and values; 1 for every token.
    """

    def __init__(self, width: int, heads: int = 4, ratio: int = 3, pool: int = 2) -> None:
        super().__init__()
        self.heads, self.pool = heads, pool
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.wide, self.narrow = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)
        self.near = nn.Conv2d(ratio * width, ratio * width, 3, padding=1, groups=ratio * width)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        x = x + self._attend(self.before(x.permute(0, 2, 3, 1)))
        wide = self.wide(self.between(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        wide = self.act(wide + self.near(wide))
        return x + self.narrow(wide.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to (B, C, h, w)."""
        batch, height, width, channels = x.shape
        few = (
            x
            if self.pool == 1
            else avg_pool2d(x.permute(0, 3, 1, 2), self.pool, ceil_mode=True).permute(0, 2, 3, 1)
        )
        query = self.query(x).view(batch, height * width, self.heads, -1).transpose(1, 2)
        key, value = (
            self.key_value(few)
            .view(batch, -1, 2, self.heads, channels // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        found = (
            scaled_dot_product_attention(query, key, value)
            .transpose(1, 2)
            .reshape(batch, height, width, channels)
        )
        return self.out(found).permute(0, 3, 1, 2)


def likeness_to_clicks(
    tokens: Tensor, share: Tensor, most: int = 48, least: float = 0.02
) -> Tensor:
    """Compute the largest cosine similarity of each token to a token with a click, for each sign.

    Args:
        tokens: (B, S, N, C) of unit length, of S kinds of features.
        share: (B, 2, N) share of each token's pixels that the clicks of a sign cover.
        most: Largest number of clicked tokens of a sign; those that clicks cover best are taken.
        least: Share from which a token counts as clicked; the best covered one counts in any case.

    Returns:
        (B, S, 2, N) in [-1, 1]; -1 for a sign without a click.
    """
    weight, chosen = share.topk(min(most, share.shape[2]), dim=2)
    best = torch.arange(weight.shape[2], device=weight.device) == 0
    counted = (weight >= least) | ((weight > 0) & best)
    # the best covered token stands in for those that do not count: no maximum changes, and the
    # tensor of all similarities needs no mask
    chosen = torch.where(counted, chosen, chosen[:, :, :1]).flatten(1)
    index = chosen[:, None, :, None].expand(-1, tokens.shape[1], -1, tokens.shape[3])
    cosine = tokens.gather(2, index) @ tokens.transpose(2, 3)
    largest = cosine.unflatten(2, (2, -1)).amax(3)
    return largest.masked_fill(~counted[:, None, :, :1], -1.0)


def likeness_to_regions(tokens: Tensor, share: Tensor) -> Tensor:
    """Compute the cosine similarity of each token to a mask's mean token, and to the rest's.

    Args:
        tokens: (B, S, N, C) of unit length, of S kinds of features.
        share: (B, N) of each token's pixels that the mask covers.

    Returns:
        (B, 2 S, N); 0 for an empty region.
    """
    weights = torch.stack([share, 1 - share], 1)
    weights = weights / weights.sum(2, keepdim=True).clamp_min(1e-4)
    means = normalize(weights[:, None] @ tokens, dim=3)
    return (means @ tokens.transpose(2, 3)).flatten(1, 2)
