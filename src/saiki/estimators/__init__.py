"""The scikit-learn faces: validate, encode, train, and keep what was learnt."""

from saiki.estimators.classifier import RNNClassifier
from saiki.estimators.frames import sequences
from saiki.estimators.importance import sequence_permutation_importance
from saiki.estimators.keeping import load, save
from saiki.estimators.regressor import RNNRegressor
from saiki.estimators.scaling import SequenceScaler
from saiki.estimators.scratch import ScratchSimpleRNNClassifier

__all__ = [
    "RNNClassifier",
    "RNNRegressor",
    "ScratchSimpleRNNClassifier",
    "SequenceScaler",
    "load",
    "save",
    "sequence_permutation_importance",
    "sequences",
]
