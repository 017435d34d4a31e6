from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
import transformers

from hf_prune.models.object_parts import atom, attributes, forward_hooks, tensor_parts


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "a", b"a", (1, ("a",)), frozenset({1, 2}), range(3), np.float32(2), torch.float32, ...],
)
def test_plain_values_are_bytes(value):
    assert isinstance(atom(value), bytes)


@pytest.mark.parametrize("value", [[1], {}, (1, []), object(), np.zeros(1), torch.zeros(1), int, len])
def test_whatever_else_is_not(value):
    assert atom(value) is None


def test_plain_values_tell_their_types():
    found = [1, 1.0, True, "1", b"1", (1,), frozenset({1}), np.int64(1), 1j, PurePosixPath("1"), 0.0, -0.0]
    assert len({atom(value) for value in found}) == len(found)


def test_attributes_are_those_that_change_what_an_object_does():
    class Slotted:
        __slots__ = ("a", "b")

    slotted = Slotted()
    slotted.a = 1
    assert attributes(slotted) == {"Slotted.a": 1, "Slotted.b": "no value"}
    assert attributes(slice(3)) == {"slice.start": None, "slice.step": None, "slice.stop": 3}
    layer = torch.nn.Linear(1, 1)
    layer.register_forward_hook(print)
    assert not {"training", "_forward_hooks", "_state_dict_hooks"} & attributes(layer).keys()
    config = transformers.ViTConfig(name_or_path="somewhere", hidden_size=8)
    assert attributes(config)["hidden_size"] == 8
    assert "_name_or_path" not in attributes(config)


def test_hooks_come_in_their_order_with_how_they_are_called():
    layer = torch.nn.Linear(1, 1)
    layer.register_forward_hook(print, with_kwargs=True)
    layer.register_forward_pre_hook(len)
    assert forward_hooks(layer) == [
        ["compiled", False],
        ["_forward_hooks", print, True, False],
        ["_forward_pre_hooks", len, False, False],
    ]


@pytest.mark.parametrize("value", [torch.zeros(2), torch.zeros(2, 2).t(), torch.zeros(()), torch.zeros(0, 3)])
def test_ordinary_tensors_are_read(value):
    kind, dtype, shape, data = tensor_parts(value)
    assert (kind, dtype, shape, len(data)) == ("Tensor", "torch.float32", str(tuple(value.shape)), 4 * value.numel())


def test_tensors_that_lie_in_several_places_or_nowhere_are_not():
    assert tensor_parts(torch.zeros(2).to_sparse()) is None
    assert tensor_parts(torch.zeros(2, device="meta")) is None
    assert tensor_parts(torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8)) is None
