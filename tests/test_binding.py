import importlib
import sys
import warnings

import pytest
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

import hf_prune
from tests.helpers.forking import in_fork

CLASSES = (Dataset, DatasetDict, IterableDataset, IterableDatasetDict)


@pytest.fixture(autouse=True)
def installed():
    yield
    hf_prune.uninstall()
    for owner in CLASSES:
        for name in ("score_with", "prune"):
            if name in owner.__dict__:
                delattr(owner, name)
    hf_prune.install()


def test_the_methods_are_the_functions():
    for owner in CLASSES:
        assert owner.score_with is hf_prune.score_with
        assert owner.prune is hf_prune.prune


def test_installing_again_changes_nothing_and_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hf_prune.install()
        hf_prune.install()
    assert Dataset.prune is hf_prune.prune


def test_uninstalling_takes_ours_away_and_may_be_repeated():
    for _ in range(2):
        hf_prune.uninstall()
        assert not any(hasattr(owner, name) for owner in CLASSES for name in ("score_with", "prune"))
    hf_prune.install()
    assert Dataset.score_with is hf_prune.score_with


@pytest.mark.parametrize("owner", CLASSES)
def test_a_name_that_is_taken_is_left_alone_with_a_warning(owner):
    def prune(self):
        return "theirs"

    hf_prune.uninstall()
    owner.prune = prune
    with pytest.warns(
        UserWarning, match=rf"^{owner.__name__}\.prune belongs to somebody else .* hf_prune\.prune\(ds"
    ) as caught:
        hf_prune.install()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert owner.prune is prune
    assert owner.score_with is hf_prune.score_with
    hf_prune.uninstall()
    assert owner.prune is prune


def test_importing_installs():
    def import_anew():
        hf_prune.uninstall()
        assert not hasattr(Dataset, "prune")
        del sys.modules["hf_prune"]
        assert importlib.import_module("hf_prune").prune is Dataset.prune

    assert in_fork(import_anew) == 0


def test_methods_change_no_fingerprint_of_a_map():
    ds = Dataset.from_dict({"x": [1, 2]})
    fingerprints = []
    for change in (hf_prune.uninstall, hf_prune.install):
        change()
        fingerprints.append(ds.map(lambda row: {"x": row["x"] + 1})._fingerprint)
    assert fingerprints[0] == fingerprints[1]
