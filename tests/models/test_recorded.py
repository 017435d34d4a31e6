import dataclasses
import pickle
import warnings

import pytest
import torch

from hf_prune.models import load
from hf_prune.models.recorded import check_same_encoder, recorded_model

RECORDED = {"kind": "torch", "id": "Net", "commit": None, "weights_sha256": "a", "dtype": "float32"}


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        ({"code_sha256": "c"}, {"code_sha256": "d"}),
        ({"config_sha256": "c"}, {"config_sha256": "d"}),
        ({"code": "c"}, {"code_sha256": "c", "weights_sha256": "b"}),
        ({"embedding_dtype": "float16"}, {}),
        ({}, {"embedding_dtype": "float16"}),
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


OPENED = {"is_teacher": False, "allow_pickle": False, "device": "cpu"}
PUBLIC = {"kind": "transformers", "id": "me/net", "commit": "a" * 40, "dtype": "float32", "image_size": None}


def test_a_public_model_is_opened_as_it_is_recorded():
    pixels = load.load_encoder("pixels", image_size=3)
    model = recorded_model(pixels.identity, **OPENED)
    assert (model.identity, model.cacheable) == (pixels.identity, True)
    assert model.open(torch.device("cpu"))(torch.ones(1, 27)).shape == (1, 27)


@pytest.mark.parametrize(("is_teacher", "function"), [(False, "load_encoder"), (True, "load_teacher")])
def test_what_the_record_does_not_say_the_caller_does(monkeypatch, is_teacher, function):
    asked = []
    found = dataclasses.replace(load.load_encoder("pixels"), identity=PUBLIC)
    monkeypatch.setattr(load, function, lambda name, **options: asked.append((name, options)) or found)
    assert recorded_model(PUBLIC, is_teacher=is_teacher, allow_pickle=True, device="cpu") is found
    known = {"revision": "a" * 40, "dtype": "float32"}
    assert asked == [("me/net", known | {"allow_pickle": True, "device": "cpu"})]


def unreachable(*_, **__):
    raise OSError("no network")


def another(*_, **__):
    return dataclasses.replace(load.load_pixels(None), identity=PUBLIC | {"dtype": "bfloat16"})


@pytest.mark.parametrize(
    ("identity", "opens", "said"),
    [
        (RECORDED, None, "'Net' is none of the Hub, and its results are not all in the cache"),
        (PUBLIC, unreachable, r"'me/net' cannot be opened \(OSError: no network\), and its results"),
        (
            PUBLIC,
            another,
            r"cannot be opened \(InputError: encoder 'me/net' is not the one that the scores were made by",
        ),
    ],
)
def test_a_model_that_cannot_be_opened_is_known_by_its_record(monkeypatch, identity, opens, said):
    if opens is not None:
        monkeypatch.setattr(load, "load_encoder", opens)
    model = recorded_model(identity, **OPENED)
    assert (model.identity, model.cacheable) == (identity, True)
    pickle.dumps(model.collate)  # a worker may decode the images first
    with pytest.raises(ValueError, match=said):
        model.open(torch.device("cpu"))


def test_results_that_no_identity_tells_apart_are_read_from_nowhere():
    assert not recorded_model(RECORDED | {"not_cached": "no digest"}, **OPENED).cacheable


def test_a_damaged_record_is_refused():
    with pytest.raises(ValueError, match="a record asks for images of 9,000 pixels a side"):
        recorded_model(PUBLIC | {"image_size": 9000}, **OPENED)
