"""Training: one loop, the epochs made of it, and those who listen to them."""

from saiki.training.loop import Batch, Step, train

__all__ = ["Batch", "Step", "train"]
