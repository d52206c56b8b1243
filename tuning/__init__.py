"""Logs and labelled files become datasets, datasets candidates, candidates that win releases. Imports agents.

Of orchestration it knows the log alone. What needs torch is imported when a role is tuned.
"""

from .candidates import Candidate, touched_by
from .classifier_learner import ClassifierLearner
from .data_card import DataCard, data_card
from .datasets import Dataset, merge
from .dialogue_learner import DialogueLearner
from .errors import DatasetError, GateRefused, RecipeError, TrainingFailed, TuningError
from .files import LabelledFiles, read_files
from .gate import gate, judge
from .learner_of import learner_of, tunable
from .learning import Learned, learn
from .log_learning import NotLearned, learn_from_log
from .log_rows import read_log
from .outcomes import ACCURACY, COSINE, Measure, Outcome, mean_score
from .recipes import Recipe
from .retriever_learner import RetrieverLearner
from .verdict import Policy, Side, Verdict

__all__ = [
    "ACCURACY",
    "COSINE",
    "Candidate",
    "ClassifierLearner",
    "DataCard",
    "Dataset",
    "DatasetError",
    "DialogueLearner",
    "GateRefused",
    "LabelledFiles",
    "Learned",
    "Measure",
    "NotLearned",
    "Outcome",
    "Policy",
    "Recipe",
    "RecipeError",
    "RetrieverLearner",
    "Side",
    "TrainingFailed",
    "TuningError",
    "Verdict",
    "data_card",
    "gate",
    "judge",
    "learn",
    "learn_from_log",
    "learner_of",
    "mean_score",
    "merge",
    "read_files",
    "read_log",
    "touched_by",
    "tunable",
]
