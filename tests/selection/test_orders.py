"""The registry of orders, and what all of them keep to."""

import numpy as np
import pytest

from hf_prune.selection import Reason, list_orders, register_order, select, unregister_order
from hf_prune.selection.orders import get_order, known_reasons
from hf_prune.selection.reasons import BELOW_CUT, HARDEST

ALL = [order.name for order in list_orders()]


@pytest.fixture
def register():
    """Register an order of this test's own, forgotten afterwards."""
    names = set()

    def add(name="last", function=lambda found: np.arange(len(found.rows))[::-1], **declared):
        register_order(name, **({"keeps": "the last rows"} | declared))(function)
        names.add(name)

    yield add
    for name in names & {order.name for order in list_orders()}:
        unregister_order(name)


def test_what_is_declared_is_known(register):
    register(kept=Reason(100, "comes late"), paper="arXiv:0000.00000")
    order = get_order("last")
    assert order in list_orders()
    assert (order.keeps, order.paper, order.options, order.dropped) == (
        "the last rows",
        "arXiv:0000.00000",
        {},
        BELOW_CUT,
    )
    assert select([5, 4, 3], keep=1, order="last").explain()["reason"][:] == ["below the cut"] * 2 + ["comes late"]


def test_without_its_order_a_reason_is_not_known(register):
    register(kept=Reason(100, "comes late"))
    selection = select([5, 4, 3], keep=1, order="last")
    unregister_order("last")
    with pytest.raises(ValueError, match=r"^reason 100 is given by no order that is registered here: import what"):
        selection.reason(2)
    register("last", kept=Reason(100, "comes late"))
    assert selection.reason(2) == "comes late"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"name": "hard"}, "an order called 'hard' is registered already; choose another name"),
        ({"name": "auto"}, "an order called 'auto' is registered already"),
        (
            {"needs": ("images",)},
            r"order 'x' needs 'images'; it can need embeddings, clusters, similarity, confidence",
        ),
        ({"keeps": "{rows}"}, r"order 'x': keeps='\{rows\}' may hold no braces but \{column\}"),
        ({"keeps": "{"}, "may hold no braces"),
        (
            {"kept": Reason(7, "bright")},
            "reason 7 'bright' is taken by 7 'adds diversity', to keep rows: choose another",
        ),
        ({"kept": Reason(100, "duplicate")}, "reason 100 'duplicate' is taken by 18 'duplicate', to drop rows"),
        ({"dropped": HARDEST}, "reason 16 'cut: hardest' is taken by 16 'cut: hardest', to drop rows"),
        ({"dropped": Reason(1, "above the cut")}, "is taken by 1 'above the cut', to keep rows"),
        ({"kept": (Reason(100, "a"), Reason(100, "b"))}, "reason 100 'b' is taken by 100 'a'"),
        ({"kept": Reason(100, "a"), "dropped": Reason(100, "a")}, "reason 100 'a' is taken by 100 'a', to keep rows"),
        ({"kept": Reason(99, "bright")}, r"order 'x': reason 99 'bright'; give a code in \[100, 32767\]"),
        (
            {"function": lambda found, other: (found, other)},
            "order 'x' cannot take 'other': give it the candidates, then options",
        ),
        ({"function": lambda found, *, share: (found, share)}, "cannot take 'share'"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_and_nothing_is_registered(register, declared, message):
    before, reasons = list_orders(), known_reasons()
    with pytest.raises(ValueError, match=message) as caught:
        register(**({"name": "x"} | declared))
    assert "\n" not in str(caught.value)
    assert (list_orders(), known_reasons()) == (before, reasons)


@pytest.mark.parametrize("places", [[0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1], [0.0, 1.0, 2.0], 1])
def test_a_function_must_rank_every_row_once(register, places):
    register(function=lambda _: np.array(places))
    with pytest.raises(ValueError, match=r"^order 'last' did not rank each of 3 rows once: correct its function$"):
        select([1, 2, 3], keep=1, order="last")


def test_a_function_must_declare_its_reasons(register):
    register(function=lambda _: (np.arange(3), np.array([1, 1, 4])))
    with pytest.raises(
        ValueError, match=r"^order 'last' keeps rows for reasons that it does not declare: add them to"
    ):
        select([1, 2, 3], keep=1, order="last")


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(
        TypeError, match=r"^unknown option of an order 'num_stratums'\. Did you mean 'num_strata'\? Known"
    ):
        select([1, 2], keep=1, order="hard", num_stratums=3)


def kept(scores, **options) -> list[int]:
    return select(scores, **options).kept.tolist()


@pytest.mark.parametrize("order", ALL)
def test_every_order_keeps_single_rows_and_all_rows(order):
    arrays = {"embeddings": np.eye(5), "clusters": np.arange(5) % 2, "similarity": np.zeros(5)} | {
        "confidence": np.full(5, 0.5)
    }
    assert len(kept(np.arange(5), keep=1, order=order, **arrays)) == 1
    assert kept(np.arange(5), keep=1.0, order=order, **arrays) == [0, 1, 2, 3, 4]
    assert kept([7.0], keep=1, order=order, embeddings=[[1.0]], clusters=[0], similarity=[0.5], confidence=[0.0]) == [
        0
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "diverse"}, r"^order='diverse' needs embeddings: pass embeddings=$"),
        ({"order": "cluster", "embeddings": np.eye(3)}, r"^order='cluster' needs clusters: pass clusters=$"),
        ({"order": "diverse", "embeddings": np.eye(2)}, r"^embeddings of shape \(2, 2\) .* the 3 rows$"),
        ({"order": "cluster", "embeddings": np.eye(3), "clusters": [0, 1]}, r"^clusters of shape \(2,\) .*3 integers"),
        ({"order": "stratified", "num_strata": 0}, r"^num_strata=0; give a whole number of at least 1$"),
        ({"order": "stratified", "num_strata": 2.0}, "^num_strata=2.0; give a whole number"),
        ({"order": "mixed", "random_share": 1.5}, r"^random_share=1.5; give the share of random rows, in \[0, 1\]$"),
    ],
)
def test_what_an_order_lacks_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        select([1.0, 2.0, 3.0], keep=1, **options)


def test_orders_are_shown_in_one_line_each():
    assert repr(get_order("hard")) == "Order('hard' keeps the rows with the highest …, the hard ones)"
    assert max(len(repr(order)) for order in list_orders()) < 160
