import warnings

import pytest

from hf_prune.models.recorded import check_same_encoder

RECORDED = {"kind": "torch", "id": "Net", "commit": None, "weights_sha256": "a", "dtype": "float32"}


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        ({"code_sha256": "c"}, {"code_sha256": "d"}),
        ({"config_sha256": "c"}, {"config_sha256": "d"}),
        ({"code": "c"}, {"code_sha256": "c", "weights_sha256": "b"}),
    ],
)
def test_an_encoder_that_differs_in_anything_recorded_is_refused(recorded, found):
    with pytest.raises(ValueError, match="encoder 'Net' is not the one that these prototypes were made by"):
        check_same_encoder(RECORDED | found, RECORDED | recorded)


@pytest.mark.parametrize(
    ("recorded", "found", "reason"),
    [
        ({"not_cached": "no digest: f"}, {"not_cached": "no digest: f"}, "no digest: f"),
        ({"code": "c", "preprocessing": "p"}, {"code_sha256": "d", "preprocessing": "q"}, "an earlier version"),
    ],
)
def test_where_it_cannot_be_told_there_is_a_warning(recorded, found, reason):
    with pytest.warns(UserWarning, match=f"whether encoder 'Net' is the one .* cannot be told: .*{reason}"):
        check_same_encoder(RECORDED | found, RECORDED | recorded)


def test_the_same_encoder_is_taken_wherever_it_lies():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_same_encoder(RECORDED | {"id": "Other"}, RECORDED)
