"""The registry of orders, and what all of them keep to."""

import numpy as np
import pytest

from hf_prune.selection import list_orders, select


def kept(scores, **options) -> list[int]:
    return select(scores, **options).kept.tolist()


@pytest.mark.parametrize("order", [order.name for order in list_orders()])
def test_every_order_keeps_single_rows_and_all_rows(order):
    arrays = {"embeddings": np.eye(5), "clusters": np.arange(5) % 2}
    assert len(kept(np.arange(5), keep=1, order=order, **arrays)) == 1
    assert kept(np.arange(5), keep=1.0, order=order, **arrays) == [0, 1, 2, 3, 4]
    assert kept([7.0], keep=1, order=order, embeddings=[[1.0]], clusters=[0]) == [0]


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
