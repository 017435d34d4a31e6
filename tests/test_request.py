"""A request made from the arguments of a public function."""

import numpy as np
import pytest

from hf_prune.inputs import Request
from hf_prune.inputs.request import store_root


def test_a_request_takes_the_arguments_of_a_public_function_by_their_names(tmp_path):
    def public(
        ds, encoder, inputs=None, label_column="label", student="other", load_from_cache_file=True, cache_dir=None
    ):
        unrelated = len(ds)
        assert unrelated
        return Request.of(locals(), student=None)

    found = public([1], "pixels", inputs={"labels": [0]}, cache_dir=tmp_path)
    assert found == Request(
        encoder="pixels", given={"labels": [0]}, label_column="label", student=None, store_root=tmp_path
    )
    assert public([1], "pixels", load_from_cache_file=False).store_root is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": "64"}, "batch_size='64'; give a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size=0; give a whole number of at least 1"),
        ({"batch_size": 6.5}, "batch_size=6.5; give"),
        ({"batch_size": True}, "batch_size=True; give"),
        ({"num_workers": None}, "num_workers=None; give a whole number of at least 0"),
        ({"num_workers": -1}, "num_workers=-1; give a whole number of at least 0"),
        ({"device": "gpu"}, "device='gpu' is no device of torch"),
        ({"on_error": "stop"}, "on_error='stop'; give 'raise' or 'skip'"),
        ({"allow_pickle": "no"}, "allow_pickle='no'; give True or False"),
        ({"revision": 3}, "revision=3; give the name of a branch or tag, or a commit"),
    ],
)
def test_options_of_another_kind_are_one_line(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Request(**options)


def test_a_cache_that_is_no_path_is_one_line():
    with pytest.raises(TypeError, match="cache_dir=3; give the path of a folder"):
        store_root(True, 3)


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert Request(batch_size=np.int64(8), num_workers=np.int32(0)).batch_size == 8
