"""An order that somebody adds in one file: pruned by, explained, published, verified and made again."""

import numpy as np
import pytest
from datasets import Dataset

import hf_prune
from hf_prune import Reason, register_order, unregister_order
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.verify import verify
from hf_prune.workflows.recipe import load_recipe, run_recipe
from tests.helpers.tiny_publications import images, scored

SPREAD, CLOSE = Reason(100, "far along the ranking"), Reason(101, "beside a row that was kept")


@pytest.fixture
def every():
    @register_order("every", keeps="every {{n}}th row by {column}", kept=SPREAD, dropped=CLOSE)
    def every(candidates, *, stride: int = 2):
        """Rank every so many rows first, from the hardest.

        Args:
            candidates: The rows.
            stride: Distance along the ranking.
        """
        hardest = candidates.ascending[::-1]
        return np.concatenate([hardest[start::stride] for start in range(stride)])

    yield "every"
    if "every" in {order.name for order in hf_prune.list_orders()}:
        unregister_order("every")


def test_it_prunes_explains_publishes_and_is_made_again(every, tmp_path):
    ds = scored(images(12))
    kept, selection = ds.prune("prototypes", keep=4, order=every, stride=3, class_balance=0, return_selection=True)
    ranking = np.argsort(ds["prototypes"])[::-1]
    assert selection.kept.tolist() == sorted(ranking[::3].tolist())
    assert hf_prune.provenance(kept).steps[-1].options == {"stride": 3}
    reasons = hf_prune.explain(ds, kept)["reason"][:]
    assert [reasons[row] for row in ranking[:3]] == [SPREAD.words, CLOSE.words, CLOSE.words]
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "every {n}th row by `prototypes`" in card
    assert 'ds.prune("prototypes", keep=4, order="every"' in card
    assert "stride=3" in card
    assert verify(folder).exit_code == 0
    report = rebuild(folder, tmp_path / "again", source=images(12))
    assert report.exit_code == 0, str(report)
    assert "pruned by 'prototypes' again with the recorded settings" in str(report)


def test_where_it_is_not_registered_this_cannot_be_told(every, tmp_path):
    ds = scored(images(12))
    kept = ds.prune("prototypes", keep=4, order=every)
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    unregister_order(every)
    said = "is not registered here: import what registers it"
    for report, line in (
        (
            verify(folder),
            "README.md: it names the order 'every', which is not registered here: import what registers it",
        ),
        (rebuild(folder, tmp_path / "again", source=images(12)), f"those of the record (the order 'every' {said})"),
    ):
        assert report.exit_code == 2, str(report)
        assert [line in str(finding) for finding in report if finding.outcome == "cannot tell"] == [True]
    assert hf_prune.explain(ds, kept)["kept"][:].count(True) == 4
    with pytest.raises(ValueError, match=r"^order='every'; give one of 'auto', 'balanced', 'beta', 'cluster', "):
        ds.prune("prototypes", keep=4, order=every)


def test_recipes_take_its_options(every, tmp_path):
    Dataset.from_dict({"s": range(9)}).save_to_disk(tmp_path / "data")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"dataset: {{path: {tmp_path / 'data'}}}\nprune: {{metric: s, keep: 3, order: every, stride: 3}}\n"
    )
    assert run_recipe(load_recipe(recipe))["s"][:] == [2, 5, 8]
    with pytest.raises(ValueError, match=r"prune\.stride='x' is text; give a whole number"):
        load_recipe(recipe, ["prune.stride=x"])
