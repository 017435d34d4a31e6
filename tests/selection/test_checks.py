import numpy as np
import pytest

from hf_prune.selection.checks import check_arrays


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 2)), np.ones((3, 2), dtype=int)])
def test_embeddings_are_one_vector_of_floats_per_row(values):
    with pytest.raises(ValueError, match="give one vector of floats for each of the 3 rows"):
        check_arrays(3, embeddings=values)


def test_labels_are_integers_and_all_negative_ones_are_one_class():
    assert check_arrays(3, labels=[3, -5, -1]).labels.tolist() == [3, -1, -1]
    with pytest.raises(ValueError, match=r"labels of shape \(2,\) and type float64; give 2 integers, one per row"):
        check_arrays(2, labels=[0.5, 1.0])
