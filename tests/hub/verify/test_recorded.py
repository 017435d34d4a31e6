import pytest

from hf_prune.data.history import Step
from hf_prune.data.source import hub_name
from hf_prune.hub.verify import recorded
from hf_prune.hub.verify.recorded import CannotTellError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def pruning(order="hard", **options):
    return Step(kind="prune", metric="s", column="s", order=order, keep=0.5, options=options)


def scoring(metric="prototypes", **options):
    return Step(kind="score", metric=metric, column="s", options=options)


def test_what_orders_and_metrics_declare_is_handed_on():
    assert recorded.pruning_options(pruning("stratified", num_strata=5, hardest_cutoff=0.1)) == {
        "num_strata": 5,
        "hardest_cutoff": 0.1,
        "keep": 0.5,
        "order": "stratified",
        "seed": 0,
    }
    assert recorded.metric_options(scoring(num_prototypes=3, num_iterations=None)) == {"num_prototypes": 3}
    combined = Step(kind="combine", metric="rank_mean", column="s", options={"metrics": ["a", "b"], "weights": None})
    assert recorded.combining_options(combined) == {"metrics": ["a", "b"], "how": "rank_mean"}


@pytest.mark.parametrize(
    "name", ["allow_pickle", "cache_dir", "encoder", "inputs", "revision", "splits", "num_strata"]
)
def test_nothing_else_is(name):
    with pytest.raises(CannotTellError, match=f"is recorded with '{name}', which order 'hard' does not have"):
        recorded.pruning_options(pruning(**{name: "x"}))
    with pytest.raises(CannotTellError, match=f"'{name}', which metric 'prototypes' does not have"):
        recorded.metric_options(scoring(**{name: "x"}))
    combined = Step(kind="combine", metric="rank_mean", column="s", options={name: "x"})
    with pytest.raises(CannotTellError, match=f"'{name}', which combine does not have"):
        recorded.combining_options(combined)


def test_numbers_that_would_take_for_ever():
    for options in (
        {"num_iterations": 10**12},
        {"num_prototypes": 10**10},
        {"num_prototypes": float("inf")},
        {"num_init": 101},
    ):
        with pytest.raises(CannotTellError, match="which no record may ask for"):
            recorded.metric_options(scoring(**options))
    with pytest.raises(CannotTellError, match="num_strata above 1,000,000"):
        recorded.pruning_options(pruning("stratified", num_strata=10**10))
    with pytest.raises(CannotTellError, match="at most 1,000 are trained by its word"):
        recorded.heads_of({"num_heads": 10**9}, scoring())
    with pytest.raises(CannotTellError, match="the setting 'x'"):
        recorded.heads_of({"x": 1}, scoring())
    with pytest.raises(CannotTellError, match="a metric that is not known here"):
        recorded.metric_options(scoring("no such metric"))
    with pytest.raises(CannotTellError, match="combined in a way that is not known here"):
        recorded.combining_options(scoring("x"))


def model(**fields):
    return {"id": "org/name", "kind": "transformers", "commit": COMMIT, "dtype": "float32", **fields}


def test_models_are_named_by_repository_and_commit_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    step = scoring()
    assert recorded.model_names([model()], step) == ["org/name"]
    assert recorded.model_names([model(id="/etc", kind="pixels", commit=None)], step) == ["pixels"]
    assert recorded.model_names([model(commit=None)], step) == []
    assert recorded.prototypes_name(model(), step) == f"org/name@{COMMIT}"
    for odd in (model(id="/etc/x"), model(id="../x"), model(id="~/x"), model(commit="main"), model(id=None)):
        with pytest.raises(CannotTellError, match="is no repository of the Hub and its commit"):
            recorded.model_names([odd], step)
        with pytest.raises(CannotTellError, match="is no repository of the Hub and its commit"):
            recorded.prototypes_name(odd, step)
    with pytest.raises(CannotTellError, match="of several repositories"):
        recorded.model_names([model(), model(commit="f" * 40)], step)
    (tmp_path / "org" / "name").mkdir(parents=True)
    with pytest.raises(CannotTellError, match="a file or folder here is called 'org/name' as well"):
        recorded.model_names([model()], step)
    with pytest.raises(ValueError, match="call this from another folder"):
        hub_name("org/name", COMMIT)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"image_size": 60_000}, "images of 60,000 pixels a side: at most 1,024"),
        ({"image_size": 300, "kind": "pixels"}, "at most 256"),
        ({"image_size": -1}, "cannot be read"),
        ({"dtype": ["float32"]}, "cannot be read"),
        ({"embedding_dtype": 16}, "cannot be read"),
    ],
)
def test_models_are_opened_with_bounds(fields, said):
    with pytest.raises(CannotTellError, match=said):
        recorded.model_settings([model(**fields)], scoring())
    expected = {"revision": COMMIT, "dtype": "float32", "image_size": 224}
    assert recorded.model_settings([model(image_size=224)], scoring()) == expected
    rounded = model(image_size=224, embedding_dtype="float16")
    assert recorded.model_settings([rounded], scoring()) == expected | {"embedding_dtype": "float16"}
