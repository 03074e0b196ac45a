"""saiki: recurrent neural networks from scratch, every equation visible, every gradient proved."""

from saiki import cells, initializers, losses, optimizers, training
from saiki.cells import Cell
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError, DivergenceError, DtypeError, GradientError, SaikiError, ShapeError
from saiki.explain.gradients import Certificate, check_gradients
from saiki.explain.truncation import Truncation, truncation_error
from saiki.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Gradients,
    Layer,
    LayerNorm,
    Network,
    Readout,
    Recurrent,
    SimpleRNN,
    Stream,
    conv_output_size,
)

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "ArgumentError",
    "Bidirectional",
    "Cell",
    "Certificate",
    "Conv1D",
    "Dense",
    "DivergenceError",
    "Dropout",
    "DtypeError",
    "Embedding",
    "GradientError",
    "Gradients",
    "Layer",
    "LayerNorm",
    "Network",
    "Readout",
    "Recurrent",
    "SaikiError",
    "ShapeError",
    "SimpleRNN",
    "Stream",
    "Truncation",
    "cells",
    "check_gradients",
    "conv_output_size",
    "initializers",
    "limit_threads",
    "losses",
    "optimizers",
    "training",
    "truncation_error",
]
