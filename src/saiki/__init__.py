"""saiki: recurrent neural networks from scratch, every equation visible, every gradient proved."""

from typing import TYPE_CHECKING, Any

from saiki import cells, initializers, losses, optimizers, training, trees
from saiki.cells import Cell, TreeCell
from saiki.engines.threads import limit_threads
from saiki.errors import (
    ArgumentError,
    AxesWarning,
    CheckpointError,
    DivergenceError,
    DtypeError,
    FileError,
    GradientError,
    SaikiError,
    ShapeError,
    UnknownTokensWarning,
)
from saiki.explain.certificate import Certificate
from saiki.explain.gradients import check_gradients
from saiki.explain.microscope import trace
from saiki.explain.traces import LayerTrace, Trace
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
from saiki.trees import Recursive, Tree, TreeNetwork

if TYPE_CHECKING:
    from saiki.estimators import (
        ParserNetwork,
        RNNClassifier,
        RNNRegressor,
        ScratchSimpleRNNClassifier,
        SequenceScaler,
        TreeRNNClassifier,
        TreeRNNRegressor,
        load,
        save,
        sequence_permutation_importance,
        sequences,
    )

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "ArgumentError",
    "AxesWarning",
    "Bidirectional",
    "Cell",
    "Certificate",
    "CheckpointError",
    "Conv1D",
    "Dense",
    "DivergenceError",
    "Dropout",
    "DtypeError",
    "Embedding",
    "FileError",
    "GradientError",
    "Gradients",
    "Layer",
    "LayerNorm",
    "LayerTrace",
    "Network",
    "ParserNetwork",
    "RNNClassifier",
    "RNNRegressor",
    "Readout",
    "Recurrent",
    "Recursive",
    "SaikiError",
    "ScratchSimpleRNNClassifier",
    "SequenceScaler",
    "ShapeError",
    "SimpleRNN",
    "Stream",
    "Trace",
    "Tree",
    "TreeCell",
    "TreeNetwork",
    "TreeRNNClassifier",
    "TreeRNNRegressor",
    "Truncation",
    "UnknownTokensWarning",
    "cells",
    "check_gradients",
    "conv_output_size",
    "initializers",
    "limit_threads",
    "load",
    "losses",
    "optimizers",
    "save",
    "sequence_permutation_importance",
    "sequences",
    "trace",
    "training",
    "trees",
    "truncation_error",
]

LAZY = {
    "ParserNetwork", "RNNClassifier", "RNNRegressor", "ScratchSimpleRNNClassifier", "SequenceScaler",
    "TreeRNNClassifier", "TreeRNNRegressor", "load", "save", "sequence_permutation_importance", "sequences",
}  # fmt: skip
"""The names that need scikit-learn, which is imported when the first of them is asked for."""


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'saiki' has no attribute {name!r}")
    from saiki import estimators

    return getattr(estimators, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *LAZY})
