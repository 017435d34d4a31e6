"""Rows that several modules of these tests cluster."""

import pytest
from sklearn.datasets import load_digits

from tests.helpers.rank_jobs import unit


@pytest.fixture(scope="package")
def digits():
    return unit(load_digits().data[::3] + 0.1)  # 599 rows
