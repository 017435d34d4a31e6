"""What a score was made from and how far it can be trusted, as rows of a card's table."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card.text import code, digits, number, words
from hf_prune.selection.orders import RANDOM, find_order, is_random
from hf_prune.selection.reasons import DUPLICATE, HARDEST, RETURNED, SUSPECT

if TYPE_CHECKING:
    from markupsafe import Markup
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hf_prune.hub.card.text import percent, prose

if TYPE_CHECKING:
    from markupsafe import Markup


# Names of figures that a step may hold, as a reader of the card understands them.
_FIGURES = {
    "members": "Members of the ensemble",
    "split_half_spearman": "Spearman correlation between the scores of its two halves",
    "fit": "Training rows that a head gets right",
    "noise_rate": "Estimated share of wrong labels",
    "noise_precision": "Precision of the noise suspects, on labels made wrong for a test",
    "noise_recall": "Recall of the noise suspects, on labels made wrong for a test",
    "published_rows": "Rows published there",
    "matched_rows": "Rows of them found here",
}
# Reasons of rows that went before the order, or came back, as a reader of the card understands them.
_REMOVED = {
    DUPLICATE.words: "Dropped as duplicates",
    HARDEST.words: "Cut as the hardest",
    SUSPECT.words: "Cut as noise suspects",
    RETURNED.words: "Cut, but returned to their class",
}


def inputs(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple["Markup", "Markup"]]:
    """Write how each input of a metric was made, as rows of a table; what several share is said once."""
    yield from dict.fromkeys(_inputs(found))


def _inputs(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple["Markup", "Markup"]]:
    from markupsafe import Markup

    for name, made_from in found.items():
        if "given_sha256" in made_from:
            given = "embeddings" if "heads" in made_from else name  # that heads were trained on
            yield Markup("Input ") + code(given), Markup("handed in, SHA-256 ") + code(made_from["given_sha256"])
        if "published" in made_from:
            yield Markup("Taken over from"), _published(made_from["published"])
        if "label_column" in made_from:
            yield Markup("Labels"), code(made_from["label_column"])
        yield from _models(made_from)
        if "prototypes" in made_from:
            yield Markup("Prototypes, found before"), _prototypes(made_from["prototypes"])
        if "heads" in made_from:
            yield Markup("Heads on the embeddings"), words(made_from["heads"])
        if "dynamics" in made_from:
            yield Markup("Record of ") + code(name), _record(made_from)


def _models(made_from: Mapping[str, Any]) -> Iterator[tuple["Markup", "Markup"]]:
    from markupsafe import Markup

    if "encoder" in made_from:
        yield Markup("Encoder"), model_text(made_from["encoder"])
    for argument, who in (("teachers", "Teacher"), ("student", "Student")):
        models = made_from.get(argument, [])
        for place, model in enumerate(models, start=1):
            yield Markup(f"{who} {place}" if len(models) > 1 else who), model_text(model)


def _prototypes(found: Mapping[str, Any]) -> "Markup":
    """Where the prototypes are that rows were measured by, and what they are known by."""
    from markupsafe import Markup

    place = code(found["id"]) if found.get("id") else Markup("not published")
    commit = Markup(" at commit {}").format(code(found["commit"])) if found.get("commit") else Markup("")
    return Markup("{}{}, SHA-256 {}").format(place, commit, code(found["centroids_sha256"]))


def _published(found: Mapping[str, Any]) -> "Markup":
    """Where scores or row numbers were published that a step took over."""
    from markupsafe import Markup

    names = ("shelf", "repo_id", "folder", "file")
    said = {
        "commit": " at commit {}",
        "config": ", configuration {}",
        "split": ", split {}",
        "record_sha256": ", SHA-256 of its record {}",
        "sha256": ", SHA-256 {}",
    }
    known = [Markup(text).format(code(found[name])) for name, text in said.items() if found.get(name) is not None]
    return Markup("").join([code(next((found[name] for name in names if name in found), "?")), *known])


def _record(made_from: Mapping[str, Any]) -> "Markup":
    """What is known of the trainings that left a record behind."""
    from markupsafe import Markup

    found = made_from["dynamics"]
    text = "{} of {} epochs on {}, mode {}, SHA-256 {}"
    runs = number(made_from["runs"]) + Markup(" runs" if made_from["runs"] != 1 else " run")
    said = (number(found["epochs"]), code(found["dataset"]), code(found["mode"]), code(made_from["sha256"]))
    return Markup(text).format(runs, *said)


def model_text(identity: Mapping[str, Any]) -> "Markup":
    """Name a model, and say by what it is known again."""
    from markupsafe import Markup

    said = {
        "commit": " at commit {}",
        "weights_sha256": ", weights SHA-256 {}",
        "config_sha256": ", config SHA-256 {}",
        "code_sha256": ", code SHA-256 {}",
        "not_cached": ", known by no digest of all it reads ({})",
        "output": ", output {}",
        "image_size": ", image size {}",
        "dtype": ", {}",
    }
    known = [
        Markup(text).format(code(identity[name])) for name, text in said.items() if identity.get(name) is not None
    ]
    return Markup("").join([code(identity["id"]), *known])


def figures(found: Mapping[str, float]) -> Iterator[tuple["Markup", "Markup"]]:
    """Write what is known of a score's quality, as rows of a table."""
    from markupsafe import Markup

    for name, value in found.items():
        yield Markup(_FIGURES[name]) if name in _FIGURES else code(name), digits(value)


def chosen_rows(step: Mapping[str, Any], changed_scores: Collection[str] = ()) -> "Markup":
    """Say which rows a pruning kept, as part of a sentence.

    Args:
        step: The pruning.
        changed_scores: Columns whose scores are not those that were made, so that high ones need not be the hard ones.
    """
    from markupsafe import Markup

    column = code(step["column"])
    order = find_order(step["order"])
    if order is None:  # of a version that came later, or not registered here
        return Markup("the rows of the order {}").format(code(step["order"]))
    if step.get("rows_in", 0) - len(step.get("unscored", ())) == step.get("rows_out"):
        return Markup("every row that has a score in {}").format(column)
    if step["column"] in changed_scores and step["order"] != RANDOM:
        return Markup("rows by {}, order {}").format(column, code(step["order"]))
    return Markup(order.keeps).format(column=column)


def pruned_by(step: Mapping[str, Any]) -> "Markup":
    """Say by what rows were pruned: by a column, unless its scores had no say."""
    from markupsafe import Markup

    return Markup("pruned at random") if is_random(step) else Markup("pruned by {}").format(code(step["column"]))


def beginning(split: Mapping[str, Any]) -> "Markup":
    """Say in what the rows before the first step are, or may be, other ones than those of the source; ends a paragraph."""
    from markupsafe import Markup

    loaded, steps = split.get("loaded"), split["steps"]
    begun = number(steps[0]["rows_in"] if steps else split["rows"])
    if isinstance(loaded, Mapping) and loaded.get("same") is True:
        return Markup("")
    if isinstance(loaded, Mapping) and loaded.get("same") is False:
        text = " **The rows were changed outside hf_prune {}**: the split that was loaded has {} rows, of which these were {}."
        same = loaded["rows"] == (steps[0]["rows_in"] if steps else split["rows"])
        taken = Markup("as many in another order, or with other values") if same else begun
        return Markup(text).format(
            "before the first step" if steps else "after they were loaded", number(loaded["rows"]), taken
        )
    if split["source"]["known"] == "local":
        return Markup("")
    return Markup(
        " Whether these {} rows were all rows of a split of the source, in its order, was not recorded."
    ).format(begun)


def settings(options: Mapping[str, Any]) -> "Markup":
    """Write the options of a pruning; of values for every class only how many there are."""
    from markupsafe import Markup

    short = {name: value for name, value in options.items() if not isinstance(value, Mapping)}
    long = [
        Markup("{} for {} classes, in provenance.json").format(code(name), number(len(value)))
        for name, value in options.items()
        if isinstance(value, Mapping)
    ]
    return Markup(", ").join(([words(short)] if short else []) + long)


def removed(reasons: Mapping[str, Any]) -> Iterator[tuple["Markup", "Markup"]]:
    """Write how many rows went before the order, as rows of a table."""
    from markupsafe import Markup

    for reason, text in _REMOVED.items():
        if reason in reasons.get("counts", {}):
            yield Markup(text), number(reasons["counts"][reason]) + Markup(" rows")


_RANDOM = "random"


def evidence_facts(found: Mapping[str, Any]) -> Iterator[tuple["Markup", "Markup"]]:
    """Say what was trained on how many rows, as rows of a table."""
    from markupsafe import Markup

    facts = {
        "metric": ("Scores", code),
        "student": ("Trained", prose),
        "num_rows": ("Rows judged", _count),
        "rows_per_class": ("Rows per class", _digits),
        "noise_rate": ("Estimated share of wrong labels", _share),
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


def evidence_rows(found: Mapping[str, Any]) -> Iterator[list["Markup"]]:
    """Say what was found for each kept fraction: fraction, rule, gain, interval."""
    for kept in _mappings(found.get("keeps")):
        yield [_share(kept.get("keep")), _rule(kept), *_gain(kept)]


def evidence_candidates(found: Mapping[str, Any]) -> Iterator[list["Markup"]]:
    """Every rule that was tried: fraction, rule, what was trained, gain, interval."""
    for kept in _mappings(found.get("keeps")):
        for tried in _mappings(kept.get("candidates")):
            yield [_share(kept.get("keep")), _rule(tried), prose(str(tried.get("head", ""))), *_gain(tried)]


def _mappings(values: Any) -> Iterable[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list | tuple) else []


def _rule(found: Mapping[str, Any]) -> "Markup":
    from markupsafe import Markup

    order = found.get("order")
    said = Markup("random rows") if order == _RANDOM else code(order)
    cutoff = _as_number(found.get("hardest_cutoff"))
    return said + Markup(", the hardest {} cut first").format(percent(cutoff)) if cutoff else said


def _gain(found: Mapping[str, Any]) -> list["Markup"]:
    """Gain and interval; of random rows, which are what is compared with, none."""
    from markupsafe import Markup

    if found.get("order") == _RANDOM and not found.get("hardest_cutoff"):
        return [Markup("none was sure"), Markup("")]
    return [
        _points(found.get("gain")),
        Markup("{} to {}").format(*(_points(found.get(end)) for end in ("low", "high"))),
    ]


def _points(value: Any) -> "Markup":
    """Write a difference of accuracies in percentage points, such as ``+1.2``."""
    from markupsafe import Markup

    number = _as_number(value)
    return code(value) if number is None else Markup(f"{100 * number:+.1f}")


def _share(value: Any) -> "Markup":
    number = _as_number(value)
    return code(value) if number is None else percent(number)


def _digits(value: Any) -> "Markup":
    return code(value) if _as_number(value) is None else digits(value)


def _count(value: Any) -> "Markup":
    return number(value) if isinstance(value, int) else code(value)


def _as_number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None
