"""Networks: plain `nn.Module`s, injected into the Lightning modules."""
