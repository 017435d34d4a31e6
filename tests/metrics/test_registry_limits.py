"""Every metric says in one sentence what its score is not, for the card of what is published."""

import re

import pytest

from hf_prune.metrics import list_metrics


@pytest.mark.parametrize("metric", list_metrics(), ids=lambda metric: metric.name)
def test_a_metric_has_one_sentence_on_its_limits_and_no_figure_in_it(metric):
    assert re.fullmatch(r"[A-Z][a-zA-Z ,;:'-]+\.", metric.limits)
    assert 40 < len(metric.limits) < 300
