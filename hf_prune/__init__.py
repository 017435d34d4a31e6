"""Data pruning for Hugging Face datasets: score, prune, push, with provenance.

``import hf_prune`` adds ``.score_with(...)`` and ``.prune(...)`` to ``datasets.Dataset`` and ``DatasetDict``. Nothing
heavier than `datasets` and NumPy is imported until it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hf_prune.api import prune, score_with
from hf_prune.binding import install, uninstall
from hf_prune.combination import combine
from hf_prune.correlation import Correlations, correlate
from hf_prune.duplicates import Duplicates, duplicates
from hf_prune.explanation import explain
from hf_prune.label_noise import LabelNoise, label_noise
from hf_prune.metrics import Metric, get_metric, list_metrics, register_metric, unregister_metric
from hf_prune.policy import Recommendation
from hf_prune.provenance import History, Step, provenance
from hf_prune.selection import Selection, error_quotas, select

if TYPE_CHECKING:
    from hf_prune.callback import TrainingDynamicsCallback, watch
    from hf_prune.dynamics import TrainingRecord
    from hf_prune.fitted_prototypes import Prototypes
    from hf_prune.heads.runs import HeadRuns, train_heads
    from hf_prune.heads.settings import Heads
    from hf_prune.hub.apply import apply
    from hf_prune.hub.card import build_card
    from hf_prune.hub.export import export
    from hf_prune.hub.load_scores import load_scores
    from hf_prune.hub.push import push_card, push_to_hub
    from hf_prune.hub.push_teacher import export_teacher, push_teacher
    from hf_prune.hub.rebuild import rebuild
    from hf_prune.hub.verify import verify
    from hf_prune.policy.keep_curve import keep_curve
    from hf_prune.policy.recommend import recommend
    from hf_prune.scaling import compare_laws, fit_law
    from hf_prune.scaling_runs import measure_scaling
    from hf_prune.teachers import Teachers, train_subset_runs, train_teachers

__version__ = "0.1.0"

# Loaded on first use: these modules need the Hub client, Jinja or torch.
_LAZY = {
    "HeadRuns": "hf_prune.heads.runs",
    "Heads": "hf_prune.heads.settings",
    "Prototypes": "hf_prune.fitted_prototypes",
    "Teachers": "hf_prune.teachers",
    "TrainingDynamicsCallback": "hf_prune.callback",
    "TrainingRecord": "hf_prune.dynamics",
    "apply": "hf_prune.hub.apply",
    "build_card": "hf_prune.hub.card",
    "compare_laws": "hf_prune.scaling",
    "export": "hf_prune.hub.export",
    "export_teacher": "hf_prune.hub.push_teacher",
    "fit_law": "hf_prune.scaling",
    "load_scores": "hf_prune.hub.load_scores",
    "keep_curve": "hf_prune.policy.keep_curve",
    "measure_scaling": "hf_prune.scaling_runs",
    "recommend": "hf_prune.policy.recommend",
    "push_card": "hf_prune.hub.push",
    "push_teacher": "hf_prune.hub.push_teacher",
    "push_to_hub": "hf_prune.hub.push",
    "rebuild": "hf_prune.hub.rebuild",
    "train_heads": "hf_prune.heads.runs",
    "train_subset_runs": "hf_prune.teachers",
    "train_teachers": "hf_prune.teachers",
    "verify": "hf_prune.hub.verify",
    "watch": "hf_prune.callback",
}

__all__ = [
    "Correlations",
    "Duplicates",
    "HeadRuns",
    "Heads",
    "History",
    "LabelNoise",
    "Metric",
    "Prototypes",
    "Recommendation",
    "Selection",
    "Step",
    "Teachers",
    "TrainingDynamicsCallback",
    "TrainingRecord",
    "apply",
    "build_card",
    "combine",
    "compare_laws",
    "correlate",
    "duplicates",
    "error_quotas",
    "explain",
    "export",
    "export_teacher",
    "fit_law",
    "get_metric",
    "install",
    "keep_curve",
    "label_noise",
    "list_metrics",
    "load_scores",
    "measure_scaling",
    "provenance",
    "prune",
    "push_card",
    "push_teacher",
    "push_to_hub",
    "rebuild",
    "recommend",
    "register_metric",
    "score_with",
    "select",
    "train_heads",
    "train_subset_runs",
    "train_teachers",
    "uninstall",
    "unregister_metric",
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
