import collections
import dataclasses
import enum
import functools
import importlib
import logging
import operator
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hf_prune.models.object_digest import NoDigestError, object_digest

ROOT = Path(__file__).resolve().parents[2]
HELPERS = """
SCALE = 1
TABLE = {"a": [1, 2]}
def inner(x): return x * SCALE
def outer(x): return inner(x)
class Kept:
    step = 1
    def __call__(self, x): return x + self.step
    def load_weights(self, path): return open(path).read()
"""


def module_of(source=HELPERS, name="helpers_of_a_digest", **changes):
    """A module of the user's own, made anew, with other values of some of its names."""
    module = types.ModuleType(name)
    exec(source, vars(module))
    vars(module).update(changes)
    sys.modules[name] = module
    return module


def function(source, **names):
    """The function f of a piece of code that is in no file, which finds some names around it."""
    exec(source, names)
    return names["f"]


class Part(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = scale
        self.register_buffer("shift", torch.zeros(2), persistent=False)

    def forward(self, x):
        return self.linear(x) * self.scale + self.shift

    def read(self, path):
        self.load_state_dict(torch.load(path))


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.part = Part()
        self.lock, self.pattern, self.log = threading.RLock(), re.compile("a+"), logging.getLogger("a")
        self.cells = collections.defaultdict(list, {"a": [1]})

    def forward(self, x):
        return self.part(x)


def whole(change=None):
    model = Whole()
    if change is not None:
        change(model)
    return model


def test_equal_objects_have_equal_digests():
    assert object_digest(whole()) == object_digest(whole())
    assert object_digest(module_of().outer) == object_digest(module_of().outer)
    assert object_digest(np.sin) == object_digest(np.sin) != object_digest(np.cos)


class Scaled(np.ndarray):
    pass


def scaled(value):
    found = np.zeros(2).view(Scaled)
    found.scale = value
    return found


CHANGES = {
    "a list called hooks": lambda model: setattr(model, "my_hooks", [1]),
    "a name": lambda model: setattr(model, "name_or_path", "b"),
    "an attribute of a child": lambda model: setattr(model.part, "scale", 2.0),
    "its type": lambda model: setattr(model.part, "scale", 1),
    "a weight": lambda model: model.part.linear.weight.data.add_(1),
    "a buffer that no state dict holds": lambda model: model.part.shift.add_(1),
    "a member of a container": lambda model: model.cells["a"].append(2),
    "an array": lambda model: setattr(model, "table", np.arange(3)),
    "a module in a list": lambda model: setattr(model, "more", [nn.Linear(1, 1)]),
    "a hook": lambda model: model.part.register_forward_hook(lambda *values: values[-1] * 2),
    "a method of the instance": lambda model: setattr(
        model.part, "forward", types.MethodType(lambda _, x: x, model.part)
    ),
    "another class": lambda model: setattr(
        model.part, "__class__", type("Part", (Part,), {"forward": lambda _, x: x})
    ),
    "a pattern": lambda model: setattr(model, "pattern", re.compile("b+")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_module_can_read_changes_its_digest(change):
    assert object_digest(whole(CHANGES[change])) != object_digest(whole())


def test_what_changes_nothing_leaves_the_digest():
    model, before = whole(), object_digest(whole())
    model.train()(torch.zeros(1, 2)).sum().backward()
    model.requires_grad_(False).eval()
    handle = model.register_forward_hook(lambda *_: None)
    handle.remove()
    assert object_digest(model) == before


def test_two_hooks_are_known_by_their_order_not_by_their_numbers():
    def hooked(number):
        model = whole()
        for _ in range(number):
            model.register_forward_hook(print).remove()
        model.register_forward_hook(max)
        return model

    assert object_digest(hooked(0)) == object_digest(hooked(3))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a constant behind two functions", {"SCALE": 2}),
        ("a constant of another type", {"SCALE": 1.0}),
        ("the code of a helper", {"inner": lambda x: x}),
    ],
)
def test_helpers_and_their_constants_belong_to_a_function(name, changes):
    assert object_digest(module_of(**changes).outer) != object_digest(module_of().outer)


def test_a_module_of_ones_own_is_known_by_what_is_used_of_it():
    uses = "def f(x): return helpers.inner(x) + helpers.TABLE['a'][0]"

    def digest(**changes):
        return object_digest(function(uses, helpers=module_of(**changes)))

    assert digest() == digest(unused=3)
    assert len({digest(), digest(SCALE=2), digest(TABLE={"a": [1, 3]}), digest(inner=abs)}) == 4
    imports = "def f(x):\n    import helpers_of_a_digest as h\n    return h.inner(x)"
    module_of()
    before = object_digest(function(imports))
    module_of(SCALE=2)
    assert object_digest(function(imports)) != before
    takes = "def f(x):\n    from helpers_of_a_digest import inner\n    return inner(x)"
    module_of()
    before = object_digest(function(takes))
    module_of(SCALE=2)
    assert object_digest(function(takes)) != before


def test_defaults_closures_arguments_and_attributes_belong_to_a_function():
    def make(step, *, default=1, keyword=2):
        def inner(x, a=default, *, b=keyword):
            return x + step + a + b

        return inner

    def marked(value):
        found = make(1)
        found.mark = value
        return found

    wrapped = [functools.wraps(len)(make(step)) for step in (1, 2)]
    found = [make(1), make(2), make(1, default=2), make(1, keyword=3), marked(1), marked(2), *wrapped]
    found += [functools.partial(make(1), 2), functools.partial(make(1), 3), functools.partial(make(1), a=3)]
    found += [
        functools.lru_cache(make(1)),
        functools.lru_cache(make(2)),
        operator.itemgetter(1),
        operator.itemgetter(2),
    ]
    assert len({object_digest(value) for value in found}) == len(found)


def test_code_that_is_in_no_file_is_read_as_well():
    texts = [
        "x + 1",
        "x + 2",
        "x + True",
        "x + 1.0",
        "x in {1, 2}",
        "x in {1, 3}",
        "[y for y in x]",
        "[-y for y in x]",
    ]
    assert len({object_digest(function(f"f = lambda x: {text}")) for text in texts}) == len(texts)
    assert object_digest(function("f = lambda x: x")) == object_digest(function("\n\n# a comment\nf = lambda x: x"))


def test_an_edited_class_is_another_one():
    def made(body, **members):
        names = {"nn": nn, "torch": torch}
        exec(f"class Net(nn.Module):\n    width = 1\n    def forward(self, x):\n        {body}", names)
        for name, value in members.items():
            setattr(names["Net"], name, value)
        return names["Net"]()

    found = [made("return x"), made("return -x"), made("return x", width=2), made("return x", more=lambda _: 1)]
    found += [made("return x", more=property(lambda _: 1)), made("return x", more=staticmethod(lambda: 1))]
    assert len({object_digest(model) for model in found}) == len(found)


class Colour(enum.Enum):
    RED = 1


class Other(enum.Enum):
    RED = 2


@dataclasses.dataclass
class Options:
    width: int = 1
    parts: list = dataclasses.field(default_factory=list)


class Slots:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


class Listed(list):
    pass


RECURSIVE = [1]
RECURSIVE.append(RECURSIVE)
VALUES = [
    *(
        None,
        True,
        1,
        1.0,
        1j,
        "1",
        b"1",
        (1,),
        [1],
        {1},
        frozenset({1}),
        {"a": 1},
        {"a": 2},
        {1: "a"},
        ((1,),),
        RECURSIVE,
    ),
    *(Colour.RED, Other.RED, Options(), Options(2), Options(1, [1]), Slots(1), Slots(2), Listed([1]), Colour, Other),
    *(np.float32(1), np.float64(1), np.zeros(2), np.zeros(2, int), np.zeros((1, 2)), torch.zeros(2), torch.ones(2)),
    *(np.dtype("f4"), torch.float32, torch.device("cpu"), Path("a"), range(3), slice(3), {"a": 1, "b": 2}, Options),
    *({"b": 2, "a": 1}, collections.OrderedDict(a=1), collections.deque([1]), nn.Parameter(torch.zeros(2)), Listed),
    *(scaled(1), scaled(2), np.ma.MaskedArray([1, 2], [True, False]), np.ma.MaskedArray([1, 2], [False, True])),
    *(property(len), property(len, max), property(len, None, max)),
    *(float("nan"), -0.0, 0.0, torch.zeros(2, dtype=torch.int64), {(1, "a")}, {(1, "b")}),
]


def test_values_of_all_kinds_are_told_apart():
    digests = [object_digest(value) for value in VALUES]
    assert len(set(digests)) == len(VALUES)
    assert digests == [object_digest(value) for value in VALUES]


class Running:
    def __init__(self):
        self.numbers = (number for number in range(3))


UNTOLD = {
    "a generator": (Running(), "Running.numbers cannot be read"),
    "a file": (function("def f(x): return open('a').read()"), r"f reads what lies outside \(open\)"),
    "a model by name": (function("def f(x): return torch.load('a')(x)", torch=torch), "f reads what lies outside"),
    "the environment": (function("def f(x): return os.environ['A']", os=importlib.import_module("os")), "environ"),
    "code as text": (function("def f(x): return eval('x')"), r"reads what lies outside \(eval\)"),
    "names as text": (function("def f(x): return globals()['x']"), r"reads what lies outside \(globals\)"),
    "a module as a value": (function("def f(x): return vars(helpers)", helpers=module_of()), "passes the module"),
    "a compiled function of one's own": (np.frompyfunc(abs, 1, 1), "cannot be read"),
    "weights that are not there": (nn.Linear(1, 1, device="meta"), "bytes cannot be read"),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_where_it_cannot_be_told_there_is_no_digest(name):
    value, reason = UNTOLD[name]
    with pytest.raises(NoDigestError, match=reason) as caught:
        object_digest(value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_a_scripted_module_has_no_digest_and_a_compiled_one_that_of_its_module():
    with pytest.raises(NoDigestError, match="is a scripted module"):
        object_digest(torch.jit.script(nn.Linear(1, 1)))
    made = [torch.compile(whole(change)) for change in (None, None, CHANGES["a weight"])]
    digests = [object_digest(model) for model in made]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0] != object_digest(whole())


def test_what_no_call_reaches_may_read_files():
    kept = module_of().Kept
    assert object_digest(kept()) == object_digest(module_of().Kept())
    assert object_digest(Part())  # its read is called by nobody
    slower = HELPERS.replace("open(path).read()", "open(path).read(1)")
    assert object_digest(module_of(slower).Kept()) != object_digest(kept()), "its code counts all the same"
    called = HELPERS.replace("return x + self.step", "return self.load_weights(x)")
    with pytest.raises(NoDigestError, match="load_weights reads what lies outside"):
        object_digest(module_of(called).Kept())


def test_a_method_put_into_an_installed_class_is_seen(monkeypatch):
    before = object_digest(nn.Linear(1, 1, bias=False).requires_grad_(False).__class__)
    monkeypatch.setattr(nn.Linear, "forward", lambda _, x: x)
    assert object_digest(nn.Linear) != before


def test_an_attention_that_somebody_registered_is_read():
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from tests.helpers.tiny_models import build, config_of

    def digest(attention):
        ALL_ATTENTION_FUNCTIONS.register("of_a_test", attention)
        return object_digest(model)

    model = build(config_of("vit"))
    model.config._attn_implementation_internal = "of_a_test"
    try:
        assert digest(lambda *_: 1) != digest(lambda *_: 2)
    finally:
        del ALL_ATTENTION_FUNCTIONS._global_mapping["of_a_test"]


SCRIPT = """
import collections, functools, re
from hf_prune.models.object_digest import object_digest
TABLE = {"a": {1, 2, "three"}, "b": frozenset({"x", "y", "z"})}
def helper(x): return x in {"p", "q", "r"} or TABLE["a"]
class Transform:
    names = {"one", "two", "three"}
    def __init__(self): self.pattern, self.counts = re.compile("a"), collections.Counter("abc")
    def __call__(self, image): return helper(image)
print(object_digest(functools.partial(Transform(), 1)))
"""


def test_the_digest_is_the_same_in_every_process(capsys):
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    exec(SCRIPT, {"__name__": "__main__"})
    assert capsys.readouterr().out == done.stdout
