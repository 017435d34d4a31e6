import pytest

from hf_prune.metrics import get_metric, list_metrics, register_metric, unregister_metric
from hf_prune.metrics.registry import check_option_names
from hf_prune.runtime.names import UnknownNameError, unknown_name

PAPER_NAMES = {
    "self-supervised-prototypes": "prototypes",
    "supervised-prototypes": "supervised_prototypes",
    "EL2N": "el2n",
    "memorization": "memorization",
    "influence-max": "influence_max",
    "influence-sum-abs": "influence_sum_abs",
    "forgetting": "forgetting",
    "DDD": "ddd",
    "active-learning": "active_learning",
    "random": "random",
}


@pytest.fixture
def brightness():
    """A metric of a user's own, forgotten afterwards."""

    @register_metric("brightness", aliases=("luminance",), default_options={"window": lambda rows: rows // 10})
    def brightness(embeddings, labels=None, *, gain=1.0, window=None):
        """Mean of the row.

        More text.
        """
        return gain * embeddings.mean(axis=1)

    yield brightness
    unregister_metric("brightness")


@pytest.mark.parametrize(("alias", "name"), PAPER_NAMES.items())
def test_the_names_of_the_score_files_are_aliases(alias, name):
    assert get_metric(alias).name == name


def test_inputs_and_options_come_from_the_signature(brightness):
    metric = get_metric("brightness")
    assert metric.function is brightness
    assert (metric.inputs, metric.optional_inputs) == (("embeddings", "labels"), ("labels",))
    assert metric.options == {"gain": 1.0, "window": None}
    assert metric.summary == "Mean of the row."
    assert get_metric("luminance") is metric
    assert metric in list_metrics()


def test_options_are_the_callers_then_the_defaults_then_found_from_the_rows(brightness):
    metric = get_metric("brightness")
    assert metric.resolve_options({}, 50) == {"gain": 1.0, "window": 5}
    assert metric.resolve_options({"gain": 2, "window": 3}, 50) == {"gain": 2, "window": 3}


def test_an_unknown_option_names_the_nearest(brightness):
    check_option_names([get_metric("brightness")], ["gain"])
    with pytest.raises(
        TypeError, match=r"^unknown option of metric 'brightness' 'gian'\. Did you mean 'gain'\? Known"
    ):
        check_option_names([get_metric("brightness")], ["gian"])


def test_an_unknown_metric_names_the_nearest_in_one_plain_line():
    with pytest.raises(UnknownNameError) as caught:
        get_metric("el2m")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("unknown metric 'el2m'. Did you mean 'el2n'? Known: active_learning, aum, ")


def test_nothing_near_and_nothing_known():
    assert unknown_name("metric", "xyz", []) == "unknown metric 'xyz'. Known: none"


@pytest.mark.parametrize("names", [{"name": "brightness"}, {"name": "luminance"}, {"name": "x", "aliases": ("el2n",)}])
def test_a_taken_name_is_refused_and_nothing_is_registered(brightness, names):
    with pytest.raises(ValueError, match="is registered already; choose another name"):
        register_metric(**names)(lambda rows: rows)
    assert get_metric("brightness").function is brightness
    with pytest.raises(UnknownNameError):
        get_metric("x")


def test_an_unregistered_name_and_its_aliases_are_free_again():
    for _ in range(2):
        register_metric("passing", aliases=("also-passing",))(lambda rows: rows)
        unregister_metric("also-passing")
    with pytest.raises(UnknownNameError):
        get_metric("passing")


OTHER_KINDS = (
    lambda embeddings, /: embeddings,
    lambda *arrays: arrays,
    lambda embeddings, **options: (embeddings, options),
)


@pytest.mark.parametrize("function", OTHER_KINDS)
def test_a_parameter_that_is_neither_input_nor_option_is_refused(function):
    with pytest.raises(ValueError, match=r"^metric 'odd' cannot take '\w+': give it named inputs, then options after"):
        register_metric("odd")(function)
    with pytest.raises(UnknownNameError):
        get_metric("odd")


def test_every_metric_says_what_it_is():
    for metric in list_metrics():
        assert metric.summary.endswith(".")
        assert metric.cost
        assert metric.paper is None or metric.paper.startswith("arXiv:")
        assert (metric.axis == "none") == metric.baseline


def test_a_metric_is_shown_in_few_words():
    assert repr(get_metric("el2n")) == "Metric('el2n' from probs, labels, errors, ord=2, epoch=None)"
