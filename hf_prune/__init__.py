"""Data pruning for Hugging Face datasets: score, prune, push, with provenance.

``import hf_prune`` adds ``.score_with(...)`` and ``.prune(...)`` to ``datasets.Dataset`` and ``DatasetDict``. Nothing
heavier than `datasets` and NumPy is imported until it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hf_prune.api import estimate, merge_shards, prune, score_shard, score_with
from hf_prune.binding import install, uninstall
from hf_prune.cleaning.duplicates import Duplicates, duplicates
from hf_prune.cleaning.label_noise import LabelNoise, label_noise
from hf_prune.cleaning.leaks import Leaks, leaks
from hf_prune.data.history import History, Step, provenance
from hf_prune.metrics import Metric, get_metric, list_metrics, register_metric, unregister_metric
from hf_prune.policy import Recommendation
from hf_prune.policy.break_even import BreakEven, break_even
from hf_prune.policy.estimate import Estimate
from hf_prune.pruning.reasons import explain
from hf_prune.runtime.errors import InputError, InputTypeError, MissingPackageError, StateError, UserError
from hf_prune.runtime.messages import HfPruneWarning
from hf_prune.scoring import Run
from hf_prune.scoring.combination import combine
from hf_prune.scoring.correlation import Correlations, correlate
from hf_prune.selection import (
    Order,
    Reason,
    Selection,
    error_quotas,
    list_orders,
    register_order,
    select,
    unregister_order,
)
from hf_prune.version import __version__ as __version__

if TYPE_CHECKING:
    from hf_prune.dynamic_pruning.report import PruningReport
    from hf_prune.dynamic_pruning.while_training import prune_while_training
    from hf_prune.dynamics.callback import TrainingDynamicsCallback, watch
    from hf_prune.dynamics.record import TrainingRecord
    from hf_prune.heads.runs import HeadRuns, train_heads
    from hf_prune.heads.settings import Heads
    from hf_prune.hub.card.build import build_card
    from hf_prune.hub.models.prototypes import Prototypes
    from hf_prune.hub.models.teacher import export_teacher, push_teacher
    from hf_prune.hub.publish.export import export
    from hf_prune.hub.publish.push import push_card, push_to_hub
    from hf_prune.hub.publish.space import push_space
    from hf_prune.hub.read.apply import apply
    from hf_prune.hub.read.load_scores import load_scores
    from hf_prune.hub.verify.rebuild import rebuild
    from hf_prune.hub.verify.verify import verify
    from hf_prune.policy.keep_curve import keep_curve
    from hf_prune.policy.recommend import recommend
    from hf_prune.reports.gallery import Gallery, gallery
    from hf_prune.reports.report import report
    from hf_prune.scaling import compare_laws, fit_law
    from hf_prune.scaling.runs import measure_scaling
    from hf_prune.training.teachers import Teachers, train_subset_runs, train_teachers

# Loaded on first use: these modules need the Hub client, Jinja or torch.
_LAZY = {
    "Gallery": "hf_prune.reports.gallery",
    "HeadRuns": "hf_prune.heads.runs",
    "Heads": "hf_prune.heads.settings",
    "PruningReport": "hf_prune.dynamic_pruning.report",
    "Prototypes": "hf_prune.hub.models.prototypes",
    "Teachers": "hf_prune.training.teachers",
    "TrainingDynamicsCallback": "hf_prune.dynamics.callback",
    "TrainingRecord": "hf_prune.dynamics.record",
    "apply": "hf_prune.hub.read.apply",
    "build_card": "hf_prune.hub.card.build",
    "compare_laws": "hf_prune.scaling",
    "export": "hf_prune.hub.publish.export",
    "export_teacher": "hf_prune.hub.models.teacher",
    "fit_law": "hf_prune.scaling",
    "gallery": "hf_prune.reports.gallery",
    "load_scores": "hf_prune.hub.read.load_scores",
    "keep_curve": "hf_prune.policy.keep_curve",
    "measure_scaling": "hf_prune.scaling.runs",
    "recommend": "hf_prune.policy.recommend",
    "report": "hf_prune.reports.report",
    "push_card": "hf_prune.hub.publish.push",
    "push_space": "hf_prune.hub.publish.space",
    "push_teacher": "hf_prune.hub.models.teacher",
    "push_to_hub": "hf_prune.hub.publish.push",
    "prune_while_training": "hf_prune.dynamic_pruning.while_training",
    "rebuild": "hf_prune.hub.verify.rebuild",
    "train_heads": "hf_prune.heads.runs",
    "train_subset_runs": "hf_prune.training.teachers",
    "train_teachers": "hf_prune.training.teachers",
    "verify": "hf_prune.hub.verify.verify",
    "watch": "hf_prune.dynamics.callback",
}

__all__ = [
    "BreakEven",
    "Correlations",
    "Duplicates",
    "Estimate",
    "Gallery",
    "HeadRuns",
    "Heads",
    "HfPruneWarning",
    "History",
    "InputError",
    "InputTypeError",
    "LabelNoise",
    "Leaks",
    "Metric",
    "MissingPackageError",
    "Order",
    "Prototypes",
    "PruningReport",
    "Reason",
    "Recommendation",
    "Run",
    "Selection",
    "StateError",
    "Step",
    "Teachers",
    "TrainingDynamicsCallback",
    "TrainingRecord",
    "UserError",
    "apply",
    "break_even",
    "build_card",
    "combine",
    "compare_laws",
    "correlate",
    "duplicates",
    "error_quotas",
    "estimate",
    "explain",
    "export",
    "export_teacher",
    "fit_law",
    "gallery",
    "get_metric",
    "install",
    "keep_curve",
    "label_noise",
    "leaks",
    "list_metrics",
    "list_orders",
    "load_scores",
    "measure_scaling",
    "merge_shards",
    "provenance",
    "prune",
    "prune_while_training",
    "push_card",
    "push_space",
    "push_teacher",
    "push_to_hub",
    "rebuild",
    "recommend",
    "register_metric",
    "register_order",
    "report",
    "score_shard",
    "score_with",
    "select",
    "train_heads",
    "train_subset_runs",
    "train_teachers",
    "uninstall",
    "unregister_metric",
    "unregister_order",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hf_prune' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


install()
