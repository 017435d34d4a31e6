import pytest
import torch

from hf_prune.models.loaded import LoadedModel, default_device, resolve_dtype


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
