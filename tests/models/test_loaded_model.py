import pytest
import torch

from hf_prune.models.load import load_encoder
from hf_prune.models.loaded_model import (
    LoadedModel,
    default_device,
    kept_open,
    resolve_dtype,
    with_embedding_dtype,
    with_first_output,
)
from hf_prune.runtime.processes import check_device
from tests.helpers.tiny_sets import make_model


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_named_dtype_is_taken_as_it_is(name):
    assert resolve_dtype(name, "cpu") is getattr(torch, name)
    assert resolve_dtype(name, None) is getattr(torch, name)


def test_auto_follows_the_instructions_of_the_processor():
    flags = torch.cpu.get_capabilities()
    native = flags.get("avx512_bf16", False) or flags.get("amx_tile", False)
    assert resolve_dtype("auto", "cpu") is (torch.bfloat16 if native else torch.float32)
    assert resolve_dtype("auto", torch.device("meta")) is torch.float32
    assert resolve_dtype("auto", None) is resolve_dtype("auto", default_device())


@pytest.mark.gpu
def test_auto_is_bfloat16_where_the_gpu_computes_in_it():
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    assert resolve_dtype("auto", "cuda") is (torch.bfloat16 if native else torch.float32)


def test_an_unknown_dtype_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="dtype='fp32' is not known; give one of 'auto', 'float32', 'bfloat16', 'float16'"
    ):
        resolve_dtype("fp32", "cpu")


def test_open_and_close_pair_up():
    events = []

    def load(device):
        events.append("open")
        return (lambda batch: batch), lambda: events.append("close")

    model = LoadedModel({}, None, cacheable=True, collate=torch.stack, load=load)
    model.close()
    model.open(torch.device("cpu"))
    model.open(torch.device("cpu"))
    model.close()
    model.close()
    assert events == ["open", "close", "open", "close"]
    with model:
        model.open(torch.device("cpu"))
    assert events[-2:] == ["open", "close"]


@pytest.mark.parametrize(
    ("device", "kind", "message"),
    [
        (
            "cuda:99",
            ValueError,
            r"device='cuda:99' is not among those that torch finds here \(.*cpu:0.*\): give one of these",
        ),
        (torch.device("cpu", 3), ValueError, r"device='cpu:3' is not among those that torch finds here \(.*cpu:0"),
        ("gpu", ValueError, "device='gpu' is none; give one such as 'cuda:1' or 'cpu', or leave it out"),
        (0.5, ValueError, "device=0.5; give a device such as"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(device, kind, message):
    with pytest.raises(kind, match=message) as caught:
        check_device(device)
    assert "\n" not in str(caught.value)
    with pytest.raises(kind, match=message):
        load_encoder("no/such-model", device=device)


def test_a_device_that_is_there_is_taken():
    for device in (None, "cpu", "cpu:0", torch.device("meta"), default_device()):
        check_device(device)


def test_the_first_output_is_shown_once():
    seen = []
    model = LoadedModel({}, None, True, torch.stack, lambda _: ((lambda batch: batch), lambda: seen.append("closed")))
    with with_first_output(model, seen.append) as shown:
        forward = shown.open(torch.device("cpu"))
        assert [forward(number) for number in range(3)] == [0, 1, 2]
        assert forward.model is None
    assert seen == [0, "closed"]


def test_a_model_that_is_kept_open_is_loaded_once_and_released_at_the_end():
    events = []

    def load(device):
        events.append("open")
        return (lambda batch: batch), lambda: events.append("release")

    with kept_open(LoadedModel({"id": "own"}, None, True, lambda images: images, load)) as model:
        assert load_encoder(model) is model
        for _ in range(2):
            with model:
                assert model.open(torch.device("cpu"))(3) == 3
        assert events == ["open"]
    assert events == ["open", "release"]


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_embeddings_are_rounded_and_the_identity_tells(name):
    model = make_model()
    rounded = with_embedding_dtype(model, name)
    assert rounded.identity == {"id": "projection", "embedding_dtype": name}
    batch = torch.rand(3, 48, generator=torch.Generator().manual_seed(0))
    expected = model.open(torch.device("cpu"))(batch).to(getattr(torch, name))
    assert torch.equal(rounded.open(torch.device("cpu"))(batch), expected)
    again = with_embedding_dtype(rounded, name)  # as a model is that is lent from pass to pass
    assert torch.equal(again.open(torch.device("cpu"))(batch), expected)


def test_other_formats_of_embeddings_are_refused():
    assert with_embedding_dtype(make_model(), None).identity == {"id": "projection"}
    with pytest.raises(
        ValueError, match=r"^embedding_dtype='float32'; give 'float16' or 'bfloat16', or leave it out$"
    ):
        with_embedding_dtype(make_model(), "float32")
