import numpy as np
import pytest
from datasets import concatenate_datasets

import hf_prune
from hf_prune.cleaning.plots import plot_duplicates
from tests.helpers.tiny_publications import images


@pytest.fixture
def repeated():
    """Twelve images, of which the last two come again; row 12 repeats row 11 with another class."""
    again = images().select([11, 10]).remove_columns("label").add_column("label", [0, 1])
    return concatenate_datasets([images(), again.cast(images().features)])


def test_lines_are_groups_the_least_similar_first(repeated):
    vectors = np.eye(14)
    vectors[3], vectors[8], vectors[9] = vectors[1] + 0.2 * vectors[3], vectors[6], vectors[6]
    found = hf_prune.duplicates(repeated, 0.9, inputs={"embeddings": vectors})
    ax = plot_duplicates(repeated, found)
    captions = [text.get_text() for text in ax.texts]
    assert captions == ["row 1\ndog", "row 3: 0.981\ncat", "row 6\ncat", "row 8: 1.000\nship", "row 9: 1.000\ncat"]
    assert len(ax.images) == 5
    assert len(plot_duplicates(repeated, found, num_groups=1, num_images=2).images) == 2


def test_conflicts_alone(repeated):
    ax = plot_duplicates(repeated, hf_prune.duplicates(repeated), conflicts=True)
    assert [text.get_text() for text in ax.texts] == ["row 11\nship", "row 12: 1.000\ncat"]


def test_what_cannot_be_shown(repeated):
    with pytest.raises(ValueError, match="there are no groups of duplicates to show"):
        plot_duplicates(images(), hf_prune.duplicates(images()))
    with pytest.raises(ValueError, match="the data set has 12 rows, the duplicates are of 14: give that one"):
        plot_duplicates(images(), hf_prune.duplicates(repeated))
