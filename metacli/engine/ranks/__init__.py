"""One training on several processes, which `torchrun` starts."""
