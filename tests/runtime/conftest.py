"""What one, two and three real processes found, for the tests of what they exchange."""

import pytest


@pytest.fixture(params=(1, 2, 3))
def world(request):
    return request.param


@pytest.fixture
def found(rank_results, world):
    return [result["collectives"] for result in rank_results[world]]
