"""What is known of the methods in a history: whom to cite, and what their scores are not."""

from collections.abc import Iterator

from hf_prune.metrics import Metric, get_metric
from hf_prune.metrics.registry import UnknownNameError
from hf_prune.provenance import History

PAPER = "arXiv:2206.14486"


def references(history: History) -> list[str]:
    """The paper of the method, then those of the metrics used, such as ``"arXiv:2206.14486"``."""
    papers = [PAPER] if history.steps else []
    return list(dict.fromkeys([*papers, *(metric.paper or PAPER for metric in _metrics(history))]))


def limits(history: History) -> dict[str, str]:
    """Name of each metric used → the sentence on what its score is not, where it has one."""
    return {metric.name: metric.limits for metric in _metrics(history) if metric.limits}


def _metrics(history: History) -> Iterator[Metric]:
    for step in history.steps:
        try:
            yield get_metric(step.metric)
        except UnknownNameError:  # a column that the user made, or a metric that is not registered here
            continue
