import pickle

import pytest

import hf_prune
from hf_prune.runtime import errors


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.InputTypeError, TypeError),
        (errors.StateError, RuntimeError),
        (errors.MissingPackageError, ImportError),
    ],
)
def test_every_kind_is_a_user_error_and_the_built_in_one(kind, builtin):
    assert issubclass(kind, errors.UserError)
    assert issubclass(kind, builtin)
    assert getattr(hf_prune, kind.__name__) is kind
    again = pickle.loads(pickle.dumps(kind("keep=2; give a fraction")))
    assert (type(again), str(again)) == (kind, "keep=2; give a fraction")


def test_what_leaves_the_package_is_a_user_error():
    with pytest.raises(hf_prune.UserError, match=r"unknown metric 'el2m'\. Did you mean 'el2n'"):
        hf_prune.get_metric("el2m")
    with pytest.raises(hf_prune.UserError, match="keep=2"):
        hf_prune.select([0.1, 0.2], keep=2.0, order="hard")
