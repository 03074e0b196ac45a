"""Training: one loop, and those who listen to it."""

from saiki.training.loop import Batch, Step, train

__all__ = ["Batch", "Step", "train"]
