"""Layers: immutable descriptions with a pure forward and a pure backward over explicit parameters."""

from saiki.layers.dense import Dense
from saiki.layers.layer import Gradients, Layer
from saiki.layers.network import Network
from saiki.layers.recurrent import Recurrent, SimpleRNN

__all__ = ["Dense", "Gradients", "Layer", "Network", "Recurrent", "SimpleRNN"]
