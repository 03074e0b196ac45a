"""The scikit-learn faces: validate, encode, train, and keep what was learnt."""

from saiki.estimators.classifier import RNNClassifier
from saiki.estimators.frames import sequences
from saiki.estimators.importance import sequence_permutation_importance
from saiki.estimators.keeping import load, save
from saiki.estimators.parser import ParserNetwork
from saiki.estimators.regressor import RNNRegressor
from saiki.estimators.scaling import SequenceScaler
from saiki.estimators.scratch import ScratchSimpleRNNClassifier
from saiki.estimators.trees import TreeRNNClassifier, TreeRNNRegressor

__all__ = [
    "ParserNetwork",
    "RNNClassifier",
    "RNNRegressor",
    "ScratchSimpleRNNClassifier",
    "SequenceScaler",
    "TreeRNNClassifier",
    "TreeRNNRegressor",
    "load",
    "save",
    "sequence_permutation_importance",
    "sequences",
]
