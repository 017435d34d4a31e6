"""Settings that no data set could meet are refused before anything is computed."""

import numpy as np
import pytest

from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.runtime.errors import UserError
from hf_prune.scoring import Request
from tests.helpers.weighed_sets import telling
from tests.pruning.test_prune_options import make, run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hardest_cutoff": 0.1}, "hardest_cutoff=0.1 with order='auto', which chooses the cut"),
        ({"hardest_cutoff": "noise"}, "hardest_cutoff='noise' with order='auto'"),
    ],
)
def test_what_contradicts_auto_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        telling()[0].prune("noise", keep=0.5, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": "hard", "hardest_cutoff": 0.5},
        {"order": "hard", "hardest_cutoff": "noise"},
        {"class_balance": 0},
        {"class_balance": {"cat": 3}},
        {"drop_duplicates": 1},
        {"drop_duplicates": np.float32(0.5)},
        {"drop_duplicates": False},  # as recipes write it
        {"quotas": "error"},
        {"quotas": "error", "class_errors": {"cat": 0.5}},
        {"seed": 2**32 - 1},
        {"options": {"num_strata": 3}},  # of an order that is not used: it changes nothing
    ],
    ids=str,
)
def test_what_some_data_set_could_meet_is_left_to_it(options):
    PruneSettings(keep=0.5, **options).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "best"}, "order='best'; give one of 'auto', 'balanced', 'beta', 'cluster', "),
        ({"order": "hard", "hardest_cutoff": 0.51}, "hardest_cutoff=0.51; give"),
        ({"order": "hard", "hardest_cutoff": "much"}, "hardest_cutoff='much'; give"),
        ({"hardest_cutoff": 0.1}, "hardest_cutoff=0.1 with order='auto', which chooses the cut: name an order, or"),
        ({"evidence": {}}, "evidence={}; give what hf_prune.recommend returned"),
        ({"class_balance": -0.1}, "class_balance=-0.1; give a share in [0, 1]"),
        ({"drop_duplicates": 0.0}, "drop_duplicates=0.0; give the least cosine of duplicates, in (0, 1]"),
        ({"drop_duplicates": float("nan")}, "drop_duplicates=nan; give the least cosine"),
        ({"drop_duplicates": "1"}, "drop_duplicates='1'; give the least cosine"),
        ({"quotas": "error", "class_errors": [0.1]}, "class_errors=[0.1]; give the error of each class by its name"),
        ({"quotas": "error", "class_balance": 0}, "quotas='error' and class_balance= both set what classes get; give"),
        ({"seed": -1}, "seed=-1; give an integer"),
        ({"options": {"num_stratums": 3}}, "unknown option of an order 'num_stratums'. Did you mean 'num_strata'?"),
    ],
)
def test_what_no_data_set_could_meet(options, message):
    with pytest.raises(UserError) as caught:
        PruneSettings(keep=0.5, **options).check()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "request_of", "is_shared"),
    [
        ({}, {}, False),
        ({}, {"encoder": "pixels"}, True),
        ({}, {"inputs": {"embeddings": np.eye(2)}}, True),
        ({}, {"inputs": {"clusters": [0, 1]}}, False),
        ({"drop_duplicates": 1.0}, {}, True),
        ({"drop_duplicates": False}, {}, False),
        ({"drop_duplicates": 1.0}, {"inputs": {"duplicate_of": [-1, 0]}}, False),
    ],
)
def test_processes_share_what_is_computed_from_rows(settings, request_of, is_shared):
    assert PruneSettings(keep=0.5, request=Request(**request_of), **settings).is_shared is is_shared


def test_settings_by_name_are_all_but_the_request():
    found = PruneSettings(keep=3, order="hard", options={"num_strata": 7}, request=Request(encoder="pixels")).to_dict()
    assert (found["keep"], found["order"], found["num_strata"], found["evidence"]) == (3, "hard", 7, None)
    assert not found.keys() & {"request", "options", "encoder"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_duplicates": 1.5}, r"^drop_duplicates=1.5; give the least cosine of duplicates, in \(0, 1\]$"),
        ({"drop_duplicates": True}, "^drop_duplicates=True; give the least cosine"),
        ({"quotas": "even"}, r"^quotas='even'; give 'error', or counts per class as class_balance=$"),
        ({"class_errors": {"cat": 0.1}}, r"^class_errors= is for quotas='error': give both, or leave it out"),
        (
            {"quotas": "error", "class_errors": {"cat": 0.1}, "class_balance": 0.5},
            r"^quotas='error' and class_balance= both set what classes get",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(make(), **options)
    assert "\n" not in str(caught.value)
