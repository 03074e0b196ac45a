"""saiki: recurrent neural networks from scratch, every equation visible, every gradient proved."""

from saiki import cells, initializers, losses, optimizers, training
from saiki.cells import Cell
from saiki.errors import ArgumentError, DivergenceError, DtypeError, SaikiError, ShapeError
from saiki.layers import Dense, Gradients, Layer, Network, Recurrent, SimpleRNN

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Cell",
    "Dense",
    "DivergenceError",
    "DtypeError",
    "Gradients",
    "Layer",
    "Network",
    "Recurrent",
    "SaikiError",
    "ShapeError",
    "SimpleRNN",
    "cells",
    "initializers",
    "losses",
    "optimizers",
    "training",
]
