"""Layers: immutable descriptions with a pure forward and a pure backward over explicit parameters."""

from saiki.layers.bidirectional import Bidirectional
from saiki.layers.conv import Conv1D, conv_output_size
from saiki.layers.dense import Dense
from saiki.layers.dropout import Dropout
from saiki.layers.embedding import Embedding
from saiki.layers.layer import Gradients, Layer
from saiki.layers.network import Network
from saiki.layers.norm import LayerNorm
from saiki.layers.readout import Readout
from saiki.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from saiki.layers.stream import Stream

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "Conv1D",
    "Dense",
    "Dropout",
    "Embedding",
    "Gradients",
    "Layer",
    "LayerNorm",
    "Network",
    "Readout",
    "Recurrent",
    "SimpleRNN",
    "Stream",
    "conv_output_size",
]
