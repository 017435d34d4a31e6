"""A data set's history survives the transforms of `datasets`, and notices rows changed by other means."""

import base64
import hashlib
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetInfo, Image, concatenate_datasets, load_from_disk

from hf_prune import Step, provenance
from hf_prune.data.digests import column_digest, rows_sha256, score_column_digest
from hf_prune.data.history import MARK, check_options, package_versions, parse_history
from tests.helpers.tiny_sets import encode, make_set, noise, set_of_files

ROWS = 12


def start() -> Dataset:
    ds = make_set(noise(ROWS)).add_column(
        "label", [row % 3 for row in range(ROWS)], feature=ClassLabel(names=list("abc"))
    )
    return ds.add_column("note", [f"note {row}" for row in range(ROWS)])


def embeddings() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 4))


@pytest.fixture(scope="module")
def pruned() -> Dataset:
    scored = start().score_with("prototypes", inputs={"embeddings": embeddings()}, num_prototypes=3)
    return scored.prune("prototypes", keep=0.5, order="hard")


def saved(ds: Dataset, folder) -> Dataset:
    ds.save_to_disk(folder)
    return load_from_disk(folder)


def blackened(ds: Dataset) -> Dataset:
    black = {"bytes": encode(np.zeros((4, 4, 3), np.uint8)), "path": None}
    return ds.map(lambda _: {"image": black}, features=ds.features)


# Transforms that leave the rows as they are, and those after which they are other rows.
SAME = {
    "nothing": lambda ds: ds,
    "add_column": lambda ds: ds.add_column("more", list(range(len(ds)))),
    "rename an unrelated column": lambda ds: ds.rename_column("note", "remark"),
    "rename every column": lambda ds: ds.rename_columns({"image": "img", "label": "y", "note": "remark"}),
    "remove a column": lambda ds: ds.remove_columns(["note", "prototypes"]),
    "select_columns": lambda ds: ds.select_columns(["image"]),
    "rename one, remove one": lambda ds: ds.remove_columns("note").rename_column("label", "y"),
    "rename one, add one": lambda ds: ds.rename_column("label", "y").add_column("more", list(range(len(ds)))),
    "flatten_indices": lambda ds: ds.flatten_indices(),
    "with_format": lambda ds: ds.with_format("numpy", columns=["label"]),
    "with_transform": lambda ds: ds.with_transform(lambda batch: {"x": [0] * len(batch["label"])}),
    "select all": lambda ds: ds.select(range(len(ds))),
    "Image(decode=False)": lambda ds: ds.cast_column("image", Image(decode=False)),
    "filter nothing away": lambda ds: ds.filter(lambda _: True),
}
OTHER = {
    "filter": lambda ds: ds.filter(lambda row: row["label"] != 1),
    "shuffle": lambda ds: ds.shuffle(seed=1),
    "sort": lambda ds: ds.sort("prototypes"),
    "select fewer": lambda ds: ds.select(range(len(ds) - 1)),
    "select others": lambda ds: ds.select([0, *range(len(ds) - 1)]),
    "concatenate itself": lambda ds: concatenate_datasets([ds, ds]),
    "concatenate the start": lambda ds: concatenate_datasets([ds.remove_columns("prototypes"), start()]),
    "map on images": blackened,
    "map on images and rename": lambda ds: blackened(ds).rename_column("image", "img"),
    "map on labels": lambda ds: ds.map(lambda _: {"label": 0}),
    "change the scores": lambda ds: ds.map(lambda _: {"prototypes": 0.0}),
    "other scores under the name": lambda ds: ds.remove_columns("prototypes").add_column(
        "prototypes", [0.5] * len(ds)
    ),
    "remove all that was covered": lambda ds: ds.select_columns(["prototypes"]),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_raise_no_alarm(pruned, name):
    changed = SAME[name](pruned)
    assert provenance(changed).steps == provenance(pruned).steps
    assert not provenance(changed).changed_since(changed)


@pytest.mark.parametrize("name", OTHER)
def test_other_rows_are_noticed_and_the_history_survives(pruned, name):
    changed = OTHER[name](pruned)
    assert provenance(changed).steps == provenance(pruned).steps
    assert provenance(changed).changed_since(changed)


def test_the_disk_changes_nothing(pruned, tmp_path):
    loaded = saved(pruned, tmp_path)
    assert provenance(loaded) == provenance(pruned)
    assert not provenance(loaded).changed_since(loaded)


def test_images_given_by_path_may_be_saved_into_the_table(tmp_path):
    ds = set_of_files(tmp_path, noise(ROWS)).score_with("random").prune("random", keep=7, order="hard")
    assert not provenance(ds).changed_since(ds)
    loaded = saved(ds, tmp_path / "saved")
    assert not provenance(loaded).changed_since(loaded)
    kept = provenance(ds).source_rows()
    (tmp_path / f"{kept[3]}.png").write_bytes(noise(1, seed=9)[0] + b"longer")
    assert provenance(ds).changed_since(ds)
    assert not provenance(loaded).changed_since(loaded)


def test_the_data_sets_before_a_step_are_left_as_they_were():
    ds = start()
    scored = ds.score_with("random")
    scored.prune("random", keep=3, order="hard")
    assert provenance(ds).steps == ()
    assert [step.kind for step in provenance(scored).steps] == ["score"]


def test_a_step_says_what_was_done(pruned):
    score, prune = provenance(pruned).steps
    assert (score.kind, score.metric, score.column, score.seed) == ("score", "prototypes", "prototypes", 0)
    assert score.options == {"num_prototypes": 3, "num_iterations": 100, "num_init": 1, "algorithm": "auto"}
    assert (score.rows_in, score.rows_out, prune.rows_in, prune.rows_out) == (ROWS, ROWS, ROWS, 6)
    assert (score.parents, prune.parents) == ((), (score.id,))
    assert (prune.keep, prune.order, prune.class_balance, prune.label_column) == (0.5, "hard", 0.5, "label")
    assert score.versions == package_versions()
    assert score.columns == prune.columns == ("image", "label", "note")
    assert provenance(pruned).score_step("prototypes") == score
    assert provenance(pruned).score_step("el2n") is None
    assert not score.changed_before | prune.changed_before


def test_the_kept_rows_can_be_found_in_the_source(pruned):
    again = pruned.prune("prototypes", keep=2, order="easy")
    rows = provenance(again).source_rows()
    assert [start()[int(row)]["note"] for row in rows] == again["note"][:]
    assert provenance(pruned).steps[1].rows_sha256 == rows_sha256(provenance(pruned).source_rows())
    assert provenance(start()).source_rows() is None


def test_a_change_between_two_steps_is_written_down(pruned):
    again = pruned.shuffle(seed=3).prune("prototypes", keep=2, order="hard")
    assert [step.changed_before for step in provenance(again).steps] == [False, False, True]
    assert not provenance(again).changed_since(again)
    assert provenance(again).source_rows() is None


def test_two_histories_in_one_set_have_two_heads():
    first, second = (start().score_with("random", seed=seed).prune("random", keep=3, order="hard") for seed in (0, 1))
    both = concatenate_datasets([first, second])
    history = provenance(both)
    assert len(history.steps) == 4
    assert {head.id for head in history.heads} == {provenance(ds).steps[-1].id for ds in (first, second)}
    assert history.changed_since(both)
    assert history.source_rows() is None
    joined = both.prune("random", keep=2, order="hard")
    assert set(provenance(joined).steps[-1].parents) == {head.id for head in history.heads}
    assert provenance(joined).steps[-1].changed_before


def test_the_users_description_is_kept_beside_the_steps():
    ds = start()
    ds.info.description = "Pictures of noise.\nTwo lines."
    scored = ds.score_with("random")
    assert scored.info.description.partition(MARK)[0] == "Pictures of noise.\nTwo lines.\n"
    assert len(provenance(scored).steps) == 1
    assert "\n".join(scored.info.description.splitlines()[:2]) == "Pictures of noise.\nTwo lines."


def test_the_classes_keep_their_order_in_the_record():
    ds = Dataset.from_dict({"label": [10, 9, 2, 2, 10], "score": [1, 2, 3, 4, 5]})
    pruned = ds.prune("score", keep=4, order="hard", label_column="label", class_balance=0.5)
    assert list(provenance(pruned).steps[0].class_counts.items()) == [("2", [2, 2]), ("9", [1, 1]), ("10", [2, 1])]


def described(text: str) -> Dataset:
    return Dataset.from_dict({"x": [1]}, info=DatasetInfo(description=text))


def line_of(step: Step, **changes) -> str:
    return MARK + json.dumps(step.to_dict() | changes)


def resealed(step: Step, **changes) -> str:
    """A line whose id fits what it holds, as somebody would write who reads this file."""
    content = {name: value for name, value in (step.to_dict() | changes).items() if name != "id"}
    return MARK + json.dumps(
        content | {"id": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"rows_in": 999},
        {"keep": 0.9},
        {"metric": "el2n"},
        {"id": "0" * 16},
        {"digest": "x"},
        {"class_counts": {}},
        {"new": 1},
    ],
)
def test_an_edited_line_is_damaged(pruned, changes):
    step = provenance(pruned).steps[1]
    assert parse_history(line_of(step)).steps == (step,)
    assert parse_history(resealed(step)).steps == (step,)
    history = parse_history(line_of(step, **changes))
    assert (history.steps, history.damaged) == ((), 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": 5},
        {"columns": [["a"]]},
        {"parents": [{}]},
        {"rows": 7},
        {"rows_in": "x"},
        {"class_counts": [1]},
        {"seed": None},
    ],
)
def test_a_line_with_the_wrong_types_is_damaged_even_if_its_id_fits(pruned, changes):
    history = parse_history(resealed(provenance(pruned).steps[1], **changes))
    assert (history.steps, history.damaged) == ((), 1)


@pytest.mark.parametrize("text", ["{", "[]", "5", "null", '{"kind": "score"}', "[" * 100_000, '{"a":' * 100_000])
def test_a_line_that_is_no_step_is_damaged(text):
    ds = described(f"{MARK}{text}")
    assert provenance(ds).damaged == 1
    scored = ds.score_with("random")
    assert len(provenance(scored).steps) == 1
    assert provenance(scored).damaged == 1
    assert provenance(scored).changed_since(scored)


def test_a_record_whose_row_list_is_a_bomb_is_refused(pruned):
    bomb = base64.b64encode(zlib.compress(bytes(2**26))).decode()
    history = parse_history(resealed(provenance(pruned).steps[1], rows=bomb, parents=[]))
    with pytest.raises(ValueError, match=f"does not cover {ROWS} rows"):
        history.source_rows()


def test_steps_go_through_dicts(pruned):
    for step in provenance(pruned).steps:
        assert Step.from_dict(json.loads(json.dumps(step.to_dict()))) == step
        assert Step.from_dict(step.to_dict()) == step


@pytest.mark.parametrize("value", [float("inf"), float("nan"), [float("inf")], object(), np.zeros(2), {1, 2}])
def test_an_option_that_cannot_be_recorded_says_what_can(value):
    with pytest.raises(ValueError, match=r"option gain=.* cannot be recorded .*; give a finite number") as caught:
        check_options({"gain": value})
    assert "\n" not in str(caught.value)


def test_numpy_numbers_are_recorded_as_numbers():
    ds = Dataset.from_dict({"score": [1.0, 2.0, 3.0, 4.0]})
    pruned = ds.prune("score", keep=np.int64(3), order="hard", seed=np.int64(2))
    pruned = pruned.prune("score", keep=np.float32(0.5), order="hard")
    assert [step.keep for step in provenance(pruned).steps] == [3, 0.5]
    assert provenance(pruned).steps[0].seed == 2
    check_options({"gain": np.float32(2), "window": [np.int8(1)]})


def flipped(ds: Dataset, column: str = "prototypes") -> Dataset:
    return ds.map(lambda row: {column: None if row[column] is None else -row[column]})


@pytest.fixture(scope="module")
def scored() -> Dataset:
    return start().score_with("prototypes", inputs={"embeddings": embeddings()}, num_prototypes=3)


def test_scores_that_were_changed_are_noticed_and_written_down(scored):
    changed = flipped(scored)
    history = provenance(changed)
    assert history.changed_scores(changed) == ("prototypes",)
    assert history.changed_since(changed)
    assert not history.rows_changed(changed)
    with pytest.warns(UserWarning, match="column 'prototypes' does not hold the scores that hf_prune left in it"):
        kept = changed.prune("prototypes", keep=4, order="hard")
    last = provenance(kept).steps[-1]
    assert (last.changed_scores, last.changed_before) == (("prototypes",), False)
    assert provenance(kept).altered == ("prototypes",)
    assert not provenance(kept).changed_since(kept)  # since the pruning
    assert provenance(kept).source_rows() is not None
    assert provenance(kept.prune("prototypes", keep=2, order="hard")).altered == ("prototypes",)


def test_scores_made_again_are_those_of_their_step(scored):
    again = flipped(scored).score_with("random", column="prototypes", overwrite=True)
    assert provenance(again).altered == ()
    assert provenance(again).made_by(again, "prototypes").metric == "random"


def test_the_scores_of_other_rows_are_other_scores_and_not_changed_ones(scored):
    for ds in (scored.shuffle(seed=1), scored.select(range(5))):
        assert provenance(ds).changed_scores(ds) == ()
        assert provenance(ds).rows_changed(ds)
        assert provenance(ds).made_by(ds, "prototypes") is None  # nobody knows whether these are the scores it made


def test_a_column_of_the_users_own_is_watched_as_well():
    ds = start().add_column("mine", [float(row) for row in range(ROWS)])
    kept = ds.prune("mine", keep=6, order="hard")
    assert not provenance(kept).changed_since(kept)
    assert provenance(flipped(kept, "mine")).changed_scores(flipped(kept, "mine")) == ("mine",)
    assert provenance(kept).whole_scores_digest("mine") == score_column_digest(ds, "mine")
    assert provenance(kept.remove_columns("mine")).changed_since(kept.remove_columns("mine")) is False


def test_who_made_a_column_is_known_while_it_holds_what_was_made(scored):
    step = provenance(scored).steps[0]
    more = scored.score_with("random").add_column("more", [0] * ROWS)
    kept = more.prune("random", keep=6, order="hard")
    assert provenance(kept).made_by(kept, "prototypes") == step
    assert provenance(kept).made_by(kept, "more") is None
    assert provenance(kept).made_by(flipped(kept), "prototypes") is None
    without = kept.remove_columns("prototypes")
    assert provenance(without).changed_scores(without) == ()
    put_back = without.add_column("prototypes", kept["prototypes"][:], feature=kept.features["prototypes"])
    assert provenance(put_back).made_by(put_back, "prototypes") == step


def without_digests(ds: Dataset, *names: str) -> Dataset:
    """The same data set as an earlier version left it."""
    ds = ds.select(range(len(ds)))
    lines, parents = [], ()
    for step in provenance(ds).steps:
        old = replace(step, **dict.fromkeys(names), parents=parents, id="")
        old = replace(old, digest="-".join(column_digest(ds, name) for name in old.columns))
        old = replace(old, id=old.content_id())
        lines.append(MARK + json.dumps(old.to_dict()))
        parents = (old.id,)
    ds.info.description = "\n".join(lines)
    return ds


def test_steps_of_earlier_versions_say_nothing_of_scores_and_still_tell_rows(scored):
    old = without_digests(scored, "scores", "loaded")
    assert len(provenance(old).steps) == 1
    assert provenance(old).damaged == 0
    assert not provenance(old).changed_since(old)
    changed = flipped(old)
    assert provenance(changed).changed_scores(changed) == ()  # it cannot be told
    assert provenance(old.shuffle(seed=1)).rows_changed(old.shuffle(seed=1))
    kept = old.prune("prototypes", keep=5, order="hard")
    assert not provenance(kept).changed_since(kept)
    assert provenance(flipped(kept)).changed_scores(flipped(kept)) == ("prototypes",)


def test_a_change_of_one_row_of_many_is_noticed():
    rows = 3000
    texts = [f"text {row:04d}" for row in range(rows)]
    ds = Dataset.from_dict({"text": texts, "s": list(range(rows))}).prune("s", keep=rows, order="hard")
    texts[1230], texts[1231] = texts[1231], texts[1230]  # of one length, and not among the rows of a sample
    assert column_digest(ds, "text") == column_digest(ds.remove_columns("text").add_column("text", texts), "text")
    changed = ds.remove_columns("text").add_column("text", texts)
    assert provenance(changed).rows_changed(changed)


def test_a_history_is_shown_by_its_steps():
    from tests.helpers.report_sets import cut, scored_set

    found = provenance(cut(scored_set()))
    assert repr(found) == (
        "History(score el2n → el2n; score el2n two → el2n two; prune by el2n, order hard, keep 0.5: 30 of 60 rows)"
    )
    assert len(repr(found.steps)) < 400
    page = found._repr_html_()
    assert page.count("<tr>") == 4
    assert page.count("<svg") == 1
    assert "ord=2" in page
