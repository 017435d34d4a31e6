"""Inputs, quality and effects of the steps of a split, as rows of a card's tables and parts of its sentences."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hf_prune.data.label_spaces import MASK, MULTI_LABEL, OBJECTS, QUANTILES
from hf_prune.hub.card.text import code, digits, number, percent, prose, words
from hf_prune.policy import Evidence
from hf_prune.policy.break_even import weigh_passes
from hf_prune.policy.evidence import Comparison, KeepEvidence
from hf_prune.policy.gathering import passes_of
from hf_prune.policy.rules import RANDOM as RANDOM_RULE
from hf_prune.policy.rules import Rule
from hf_prune.runtime.errors import InputError
from hf_prune.selection.orders import RANDOM, find_order, is_random
from hf_prune.selection.reasons import DUPLICATE, HARDEST, RETURNED, SUSPECT

# Names of figures that a step may hold, as a reader of the card understands them.
_FIGURES = {
    "members": "Members of the ensemble",
    "split_half_spearman": "Spearman correlation between the scores of its two halves",
    "fit": "Training rows that a head gets right",
    "rows_without_label": "Rows without a label, scored as what heads on the others predict",
    "noise_rate": "Estimated share of wrong labels",
    "noise_low": "Share of wrong labels at least",
    "noise_high": "Share of wrong labels at most",
    "suspects_precision": "Estimated share of the noise suspects that are wrong",
    "noise_precision": "Precision of the noise suspects, on labels made wrong for a test",
    "noise_recall": "Recall of the noise suspects, on labels made wrong for a test",
    "published_rows": "Rows published there",
    "matched_rows": "Rows of them found here",
}
# Reasons for which rows were removed before the order was applied, or came back, as a reader of the card understands them.
_REMOVED = {
    DUPLICATE.words: "Dropped as duplicates",
    HARDEST.words: "Cut as the hardest",
    SUSPECT.words: "Cut as noise suspects",
    RETURNED.words: "Cut, but returned to their class",
}


def inputs(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Markup, Markup]]:
    """Write how each input of a metric was made, as rows of a table; equal rows stand there once."""
    yield from dict.fromkeys(_inputs(found))


def _inputs(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Markup, Markup]]:
    for name, made_from in found.items():
        yield from _handed_in(name, made_from)
        if "published" in made_from:
            yield Markup("Taken over from"), _published(made_from["published"])
        if "label_column" in made_from:
            kind = made_from.get("label_space")
            yield (
                Markup("Labels"),
                code(made_from["label_column"]) + (Markup(", ") + label_space({"kind": kind}) if kind else ""),
            )
        yield from _models(made_from)
        if "boxes" in made_from:
            yield Markup("Boxes, matched with queries"), words(made_from["boxes"])
        if "prototypes" in made_from:
            yield Markup("Prototypes, found before"), _prototypes(made_from["prototypes"])
        if "heads" in made_from:
            yield Markup("Heads on the embeddings"), words(made_from["heads"])
        if "dynamics" in made_from:
            yield Markup("Record of ") + code(name), _record(made_from)


def _handed_in(name: str, made_from: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    if "given_sha256" in made_from:
        given = "embeddings" if "heads" in made_from else name  # that heads were trained on
        yield Markup("Input ") + code(given), Markup("handed in, SHA-256 ") + code(made_from["given_sha256"])
    if "target_sha256" in made_from:
        rows = number(made_from["target_rows"]) + Markup(" rows, SHA-256 of their embeddings ")
        yield Markup("Target"), rows + code(made_from["target_sha256"])


def _models(made_from: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    if "encoder" in made_from:
        yield Markup("Encoder"), model_text(made_from["encoder"])
    for argument, who in (("teachers", "Teacher"), ("student", "Student")):
        models = made_from.get(argument, [])
        for place, model in enumerate(models, start=1):
            yield Markup(f"{who} {place}" if len(models) > 1 else who), model_text(model)


def _prototypes(found: Mapping[str, Any]) -> Markup:
    place = code(found["id"]) if found.get("id") else Markup("not published")
    return place + _known(found, {"commit": " at commit {}", "centroids_sha256": ", SHA-256 {}"})


def _published(found: Mapping[str, Any]) -> Markup:
    place = next((found[name] for name in ("shelf", "repo_id", "folder", "file") if name in found), "?")
    texts = {
        "commit": " at commit {}",
        "config": ", configuration {}",
        "split": ", split {}",
        "record_sha256": ", SHA-256 of its record {}",
        "sha256": ", SHA-256 {}",
    }
    return code(place) + _known(found, texts)


def _record(made_from: Mapping[str, Any]) -> Markup:
    found = made_from["dynamics"]
    runs = number(made_from["runs"]) + Markup(" runs" if made_from["runs"] != 1 else " run")
    texts = (code(found["dataset"]), code(found["mode"]), code(made_from["sha256"]))
    return Markup("{} of {} epochs on {}, mode {}, SHA-256 {}").format(runs, number(found["epochs"]), *texts)


def model_text(identity: Mapping[str, Any]) -> Markup:
    """Name a model, with the digests and settings by which it is recognised."""
    texts = {
        "commit": " at commit {}",
        "weights_sha256": ", weights SHA-256 {}",
        "config_sha256": ", config SHA-256 {}",
        "code_sha256": ", code SHA-256 {}",
        "not_cached": ", known by no digest of all it reads ({})",
        "output": ", output {}",
        "image_size": ", image size {}",
        "dtype": ", {}",
        "embedding_dtype": ", embeddings rounded to {}",
    }
    return code(identity["id"]) + _known(identity, texts)


def _known(fields: Mapping[str, Any], texts: Mapping[str, str]) -> Markup:
    """Put the fields that have a value into their texts."""
    parts = [Markup(text).format(code(fields[name])) for name, text in texts.items() if fields.get(name) is not None]
    return Markup("").join(parts)


def figures(found: Mapping[str, float]) -> Iterator[tuple[Markup, Markup]]:
    """Write the figures of a score's quality, as rows of a table."""
    for name, value in found.items():
        yield Markup(_FIGURES[name]) if name in _FIGURES else code(name), digits(value)


def chosen_rows(step: Mapping[str, Any], changed_scores: Collection[str] = ()) -> Markup:
    """Describe the rows that a pruning kept, as part of a sentence.

    Args:
        step: The pruning.
        changed_scores: Columns whose scores are not those that were made, so that high ones need not be the hard ones.
    """
    column = code(step["column"])
    order = find_order(step["order"])
    if order is None:  # of a version that came later, or not registered here
        return Markup("the rows of the order {}").format(code(step["order"]))
    if step.get("rows_in", 0) - len(step.get("unscored", ())) == step.get("rows_out"):
        return Markup("every row that has a score in {}").format(column)
    if step["column"] in changed_scores and step["order"] != RANDOM:
        return Markup("rows by {}, order {}").format(column, code(step["order"]))
    return Markup(order.keeps).format(column=column)


def label_space(space: Mapping[str, Any]) -> Markup:
    """Say how the column of the classes was read, where it does not hold one class per row."""
    kind = str(space.get("kind"))
    words = {
        MULTI_LABEL: "several classes per row",
        OBJECTS: "the classes of the objects in a row",
        MASK: "the values of the mask of a row",
        QUANTILES: "quantiles of a number, cut at {}",
    }
    edges = space.get("edges")
    return code(kind) + Markup(f": {words[kind]}" if kind in words else "").format(
        code(edges) if isinstance(edges, list) else ""
    )


def pruned_by(step: Mapping[str, Any]) -> Markup:
    """Write ``pruned at random``, or by which column."""
    return Markup("pruned at random") if is_random(step) else Markup("pruned by {}").format(code(step["column"]))


def beginning(split: Mapping[str, Any]) -> Markup:
    """Say how the rows before the first step differ, or may differ, from those of the source; ends a paragraph."""
    loaded = split["loaded"] if isinstance(split.get("loaded"), Mapping) else {}
    same, steps = loaded.get("same"), split["steps"]
    begun = number(steps[0]["rows_in"] if steps else split["rows"])
    if same is False:
        text = " **The rows were changed outside hf_prune {}**: the split that was loaded has {} rows, of which these were {}."
        loaded_rows, when = number(loaded["rows"]), "before the first step" if steps else "after they were loaded"
        taken = Markup("as many in another order, or with other values") if loaded_rows == begun else begun
        return Markup(text).format(when, loaded_rows, taken)
    if same is True or split["source"]["known"] == "local":
        return Markup("")
    return Markup(
        " Whether these {} rows were all rows of a split of the source, in its order, was not recorded."
    ).format(begun)


def break_even(step: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Markup, Markup]]:
    """Say after how many trainings the scores of a pruning have paid, as a row of a table.

    There is none where random rows were kept, as those need no scores or beat the rule, and where it is not known how many
    passes through a model the scores took.

    Args:
        step: The pruning.
        before: The steps before it.
    """
    column, num_rows = step["column"], step.get("rows_in", 0) - len(step.get("unscored", ()))
    made = next((one for one in reversed(before) if one["kind"] == "score" and one["column"] == column), None)
    if made is None or is_random(step) or column in (step.get("changed_scores") or ()):
        return
    passes, kept = passes_of(made.get("inputs", {})), step.get("rows_out", 0)
    if passes and 0 < kept < num_rows and not _loses(step, made, kept / num_rows):
        pays = weigh_passes(passes, kept / num_rows)
        yield Markup("Break-even"), prose(f"{pays}, for a model as large as the scoring one")


def _loses(step: Mapping[str, Any], made: Mapping[str, Any], share: float) -> bool:
    """Whether random rows did better than those of the rule where both were tried."""
    try:
        evidence = Evidence.from_dict(step.get("evidence") or made["evidence"])
        rule = Rule(step["order"], float(step["options"].get("hardest_cutoff", 0.0)))
    except (KeyError, TypeError, ValueError):  # nobody tried, or not a rule of those that are weighed
        return False
    gain = evidence.gain_of(rule, share)
    return gain is not None and gain.over_random.high < 0


def settings(options: Mapping[str, Any]) -> Markup:
    """Write the options of a pruning; values for every class are only counted."""
    short = {name: value for name, value in options.items() if not isinstance(value, Mapping)}
    long = [
        Markup("{} for {} classes, in provenance.json").format(code(name), number(len(value)))
        for name, value in options.items()
        if isinstance(value, Mapping)
    ]
    return Markup(", ").join(([words(short)] if short else []) + long)


def removed(reasons: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    """Write how many rows were removed before the order was applied, as rows of a table."""
    for reason, text in _REMOVED.items():
        if reason in reasons.get("counts", {}):
            yield Markup(text), number(reasons["counts"][reason]) + Markup(" rows")


def evidence_facts(found: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    """Say what was trained on how many rows, as rows of a table."""
    facts: dict[str, tuple[str, Callable[[Any], Markup]]] = {
        "metric": ("Scores", code),
        "student": ("Trained", prose),
        "num_rows": ("Rows judged", _count),
        "sample": ("A sample of", _sample),
        "rows_per_class": ("Rows per class", _digits),
        "noise_rate": ("Estimated share of wrong labels", _share),
        "noise_low": ("Share of wrong labels at least", _share),
        "noise_high": ("Share of wrong labels at most", _share),
        "class_balance": ("Class floor of every rule", code),
        "seed": ("Seed of folds and draws", code),
    }
    for name, (title, write) in facts.items():
        if found.get(name) is not None:
            yield Markup(title), write(found[name])
    if found.get("optimistic") is True:
        yield (
            Markup("Optimistic"),
            Markup("yes: the scores had seen the labels that they were judged by, so a gain had to be twice as sure"),
        )


def _sample(sample: Any) -> Markup:
    of = sample if isinstance(sample, Mapping) else {}
    return _count(of.get("of_rows")) + Markup(" rows, ") + _count(of.get("of_classes")) + Markup(" classes")


def evidence_table(found: Mapping[str, Any]) -> Iterator[list[Markup]]:
    """List every comparison, what was confirmed first: kept fraction, rule, what it was compared with, gain, interval."""
    for kept in _mappings(found.get("keeps")):
        share = _share(kept.get("keep"))
        yield [share, _rule(kept), Markup("random rows, on other repeats"), *_gain(kept)]
        for over_all in _mappings([kept.get("against_all")]):
            yield [share, _rule(over_all), Markup("all rows, on other repeats"), *_points_of(over_all)]
    for kept in _mappings(found.get("keeps")):
        for tried in _mappings(kept.get("candidates")):
            head = Markup("random rows, {}").format(prose(str(tried.get("head", ""))))
            yield [_share(kept.get("keep")), _rule(tried), head, *_gain(tried)]


def _mappings(values: Any) -> Iterable[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list | tuple) else []


def _rule(found: Mapping[str, Any]) -> Markup:
    order, cutoff = found.get("order"), _as_number(found.get("hardest_cutoff"))
    rule = Markup("random rows") if order == RANDOM else code(order)
    return rule + Markup(", the hardest {} cut first").format(percent(cutoff)) if cutoff else rule


def _gain(found: Mapping[str, Any]) -> list[Markup]:
    """Write gain and interval; random rows, with which all others are compared, have none."""
    if found.get("order") == RANDOM and not found.get("hardest_cutoff"):
        return [Markup("none was sure"), Markup("")]
    return _points_of(found)


def _points_of(found: Mapping[str, Any]) -> list[Markup]:
    ends = (_points(found.get(end)) for end in ("low", "high"))
    return [_points(found.get("gain")), Markup("{} to {}").format(*ends)]


def _count(value: Any) -> Markup:
    return number(value) if isinstance(value, int) else code(value)


def _numeric(write: Callable[[float], Markup]) -> Callable[[Any], Markup]:
    """Make a writer of values that should be numbers; any other value is shown as it is."""
    return lambda value: code(value) if (found := _as_number(value)) is None else write(found)


_share, _digits = _numeric(percent), _numeric(digits)
_points = _numeric(lambda gain: Markup(f"{100 * gain:+.1f}"))  # percentage points, such as +1.2


def _as_number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def in_short(split: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    """Say in at most nine lines what a reader wants to know first, as rows of a table; nothing of rows that were changed."""
    steps = split["steps"]
    if split["changed outside hf_prune"] or not steps:
        return
    made = [step for step in steps if step["kind"] != "prune"]
    if made:
        yield Markup("Scored by"), Markup("; ").join(dict.fromkeys(map(_made_by, made)))
    prunings = [step for step in steps if step["kind"] == "prune"]
    if prunings:
        yield from _cut_in_short(split, prunings[-1])
    if split["class_counts"]:
        name, before, after = min(split["class_counts"]["classes"], key=lambda counts: counts[2] / max(counts[1], 1))
        kept = Markup("{}: {} of {} rows").format(code(name), number(after), number(before))
        yield from [(Markup("Class that lost most"), kept)] if prunings else []


def _made_by(step: Mapping[str, Any]) -> Markup:
    """Name a metric and the models behind it, without their digests."""
    models = [
        code(model["id"])
        for source in step.get("inputs", {}).values()
        for model in (*[source[name] for name in ("encoder",) if name in source], *source.get("teachers", ()))
        if "id" in model
    ]
    heads = [Markup("small heads")] if any("heads" in source for source in step.get("inputs", {}).values()) else []
    by = Markup(", ").join([*heads, *dict.fromkeys(models)])
    return code(step["metric"]) + (Markup(" with {}").format(by) if by else Markup(""))


def _cut_in_short(split: Mapping[str, Any], step: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    kept, before = step["rows_out"], step["rows_in"]
    changed = split.get("scores changed outside hf_prune", ())
    yield Markup("Kept"), Markup("{} of {} rows ({})").format(number(kept), number(before), percent(kept, before))
    yield Markup("Which"), chosen_rows(step, changed)
    yield from removed(step.get("reasons") or {})
    found = _last_evidence(split, changed)
    if found is None:
        yield Markup("Gain over random rows"), Markup("not measured")
        return
    cutoff = _as_number((step.get("options") or {}).get("hardest_cutoff", 0.0))
    rule = Rule(str(step["order"]), cutoff or 0.0)
    share = kept / max(before - len(step.get("unscored", ())), 1)
    gain = None if cutoff is None or share >= 1 else found.gain_of(rule, share)
    nearest = found.nearest(share)
    over_all = None if gain is None else gain.against_all
    if gain is not None:
        yield Markup("Gain over random rows"), _worth(found, gain.over_random, gain.keep, gain.is_confirmed)
    elif rule == RANDOM_RULE:
        yield Markup("Gain over random rows"), Markup("these are random rows: no rule was sure to beat them")
        over_all = nearest.against_all if nearest is not None and nearest.rule == rule else None
    else:
        yield Markup("Gain over random rows"), Markup("not measured for this rule")
    if over_all is not None and nearest is not None:
        yield Markup("Against all rows"), _worth(found, over_all, nearest.keep)
    if found.noise_rate is not None:
        ends = [end for end in (found.noise_low, found.noise_high) if end is not None]
        between = Markup(", {} to {}").format(*map(_share, ends)) if len(ends) == 2 else ""
        yield Markup("Labels that look wrong"), Markup("about {}{}").format(_share(found.noise_rate), between)


def _worth(evidence: Evidence, found: Comparison | KeepEvidence, keep: float, is_confirmed: bool = True) -> Markup:
    gain, ends = _points_of({"gain": found.gain, "low": found.low, "high": found.high})
    sure = "" if is_confirmed else ", not confirmed on other repeats"
    # A rule that was not confirmed was tried by heads alone, and earlier versions asked them about all rows.
    by_heads = evidence.is_by_heads or (isinstance(found, Comparison) and found.is_by_head)
    trained = Markup("small heads on embeddings") if by_heads else prose(evidence.student)
    return Markup("{} points of accuracy (90 %: {}) at {}{}, {}").format(gain, ends, percent(keep), sure, trained)


def _last_evidence(split: Mapping[str, Any], changed: Collection[str]) -> Evidence | None:
    """Return the evidence of the last step that has some, of scores that are as they were made; None where none can be read."""
    for step in reversed(split["steps"]):
        if step.get("evidence") and (step["kind"] == "prune" or step["column"] not in changed):
            try:
                found = Evidence.from_dict(step["evidence"])
            except InputError:  # of another version, or edited: its table shows what is there
                return None
            return found if all(0 < (_as_number(tried.keep) or 0) <= 1 for tried in found.keeps) else None
    return None
