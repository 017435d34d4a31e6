from hf_prune.data import history
from hf_prune.hub.split import Split
from tests.helpers.tiny_publications import images, pruned, scored


def test_rows_with_the_scored_ones_that_they_were_pruned_from():
    whole = scored(images())
    kept = whole.prune("prototypes", keep=6, order="hard").prune("prototypes", keep=3, order="easy")
    split = Split.read(kept, whole)
    assert [step.kind for step in split.history.steps] == ["score", "prune", "prune"]
    assert [(step.rows_out, step.order) for step in split.prunings] == [(6, "hard"), (3, "easy")]
    assert split.rows is kept
    assert split.scored is not None
    assert split.scored.rows is whole
    assert [step.kind for step in split.scored.history.steps] == ["score"]
    assert (split.scored.prunings, split.scored.scored) == ([], None)


def test_rows_without_a_history_have_no_scored_ones():
    split = Split.read(images(), scored(images()))
    assert (split.history.steps, split.prunings, split.scored) == ((), [], None)
    assert Split.read(pruned(images())).scored is None


def test_a_history_is_read_once(monkeypatch):
    kept, parsed = pruned(images()), []
    parse = history.parse_history
    monkeypatch.setattr(history, "parse_history", lambda text: parsed.append(text) or parse(text))
    split = Split.read(kept)
    assert len(split.prunings) == len(split.history.steps) - 1 == len(split.prunings)
    assert len(parsed) == 1
