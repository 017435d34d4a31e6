"""Scores made again as a record says, and cuts by them compared with the published ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.api import score_with
from hf_prune.data.history import Step, provenance
from hf_prune.hub.read.scores import named_rows
from hf_prune.hub.verify.recorded import (
    CannotTellError,
    as_recorded,
    combining_options,
    heads_of,
    metric_options,
    model_names,
    model_settings,
    prototypes_name,
)
from hf_prune.hub.verify.report import Report
from hf_prune.metrics import get_metric
from hf_prune.models.recorded import is_public
from hf_prune.scoring import Run
from hf_prune.scoring.combination import combine
from hf_prune.scoring.from_prototypes import CENTROIDS
from hf_prune.scoring.scores import Scores

# Share of the rows whose fate must be the same on other hardware.
AGREEMENT = 0.999
# How far from the cut a row of another fate may lie, in standard deviations of the published scores.
TOLERANCE = 0.01
_MODELS = ("encoder", "teachers", "student")
# Digests that identify a model which is not on the Hub, beside that of its weights.
_DIGESTS = frozenset({"config_sha256", "code_sha256"})


@dataclass(frozen=True)
class Models:
    """Inputs of the caller that a record cannot name: local models and prototypes, records of trainings, arrays."""

    encoder: Any = None
    teachers: Any = None
    student: Any = None
    dynamics: Any = None
    prototypes: Any = None
    inputs: Mapping[str, Any] | None = None
    batch_size: int = 64
    device: str | None = None


def score_again(ds: Dataset, step: Step, models: Models, subject: str, report: Report) -> Dataset:
    """Repeat a step that made a score column, and return the data set with the column.

    A CannotTellError says where a model, a record or an array is needed that the caller has to give.
    """
    if step.kind == "combine":
        options = combining_options(step)
        with as_recorded(step):
            return combine(ds, column=step.column, **options)
    options = metric_options(step)
    keywords = model_keywords(step, models)
    keywords["run"] = replace(keywords["run"], load_from_cache_file=False)
    if step.unscored:
        keywords["on_error"] = "skip"
    with as_recorded(step):
        scored = score_with(
            ds,
            step.metric,
            column=step.column,
            seed=step.seed,
            **keywords,
            **options,
            evidence=False,
        )
    _compare_models(step, provenance(scored).steps[-1], subject, report)
    if CENTROIDS in get_metric(step.metric).inputs and CENTROIDS not in step.inputs:
        report.note(
            subject,
            f"the prototypes of {step.column!r} were found anew, since the record names none that are published",
        )
    return scored


def model_keywords(step: Step, models: Models) -> dict[str, Any]:
    """Return the arguments that say where the inputs of a step come from; CannotTellError where the caller has to give one."""
    found: dict[str, Any] = {}
    settings: dict[str, Any] = {"batch_size": models.batch_size, "device": models.device}
    for name, made_from in step.inputs.items():
        if "published" in made_from:
            raise CannotTellError(
                f"{step.column!r} was taken over from another publication: rebuild that with rescore"
            )
        if "given_sha256" in made_from:
            array = _needed((models.inputs or {}).get(name), f"inputs={{{name!r}: …}}", step)
            found.setdefault("inputs", {})[name] = array
        if "label_column" in made_from:
            found["label_column"] = made_from["label_column"]
        found |= _trained(made_from, models, step)
        for argument in filter(made_from.__contains__, _MODELS):
            found[argument], opened = _model(argument, made_from[argument], models, step)
            settings |= opened
    with as_recorded(step):
        return found | {"run": Run(**settings)}


def _trained(made_from: Mapping[str, Any], models: Models, step: Step) -> dict[str, Any]:
    """Return the arguments for records of trainings, heads that are trained on the way, and prototypes."""
    found: dict[str, Any] = {}
    if "dynamics" in made_from:
        found["dynamics"] = _needed(models.dynamics, "dynamics", step)
    if "heads" in made_from:
        found["teachers"] = heads_of(made_from["heads"], step)
    if "prototypes" in made_from:
        identity = made_from["prototypes"]
        named = prototypes_name(identity, step) if models.prototypes is None else None
        argument = f"prototypes ({identity.get('id') or 'not published'})"
        found["prototypes"] = named or _needed(models.prototypes, argument, step)
    return found


def _needed(value: Any, argument: str, step: Step) -> Any:
    if value is None:
        raise CannotTellError(f"{step.column!r} was made with {argument} of the publisher's own: give it as well")
    return value


def _model(argument: str, identities: Any, models: Models, step: Step) -> tuple[Any, dict[str, Any]]:
    """Return models, and the settings of `Run` that they were opened with."""
    listed: list[Mapping[str, Any]] = identities if isinstance(identities, list) else [identities]
    given = getattr(models, argument)
    named = model_names(listed, step) if given is None else []
    if given is None and len(named) < len(listed):
        own = next(model.get("id") for model in listed if not is_public(model))
        raise CannotTellError(
            f"{step.column!r} was made with {argument} of the publisher's own ({own}): give {argument}="
        )
    settings = model_settings(listed, step)
    if given is not None:
        settings.pop("revision", None)
        return given, settings
    return (named if isinstance(identities, list) else named[0]), settings


def _compare_models(step: Step, made: Step, subject: str, report: Report) -> None:
    """Report whether the same models, records and arrays were used."""
    models: list[Any] = []
    for name, recorded in step.inputs.items():
        found = made.inputs.get(name, {})
        odd = [key for key, value in recorded.items() if _identity(found.get(key), value) != _identity(value, value)]
        if odd:
            report.differs(subject, f"{step.column!r} was made again with another {odd[0]} than recorded")
            return
        models += [one for value in recorded.values() for one in (value if isinstance(value, list) else [value])]
    own = [model for model in models if isinstance(model, Mapping) and "weights_sha256" in model]
    if without_digest := [model.get("id") for model in own if "not_cached" in model]:
        report.unknown(
            subject, f"{step.column!r} made again, but of {without_digest[0]!r} no digest tells whether it is the same"
        )
        return
    # Of models that are not on the Hub, earlier versions recorded the weights alone.
    what = "models" if all(is_public(model) or _DIGESTS & model.keys() for model in own) else "weights"
    report.same(subject, f"{step.column!r} made again with the recorded {what} and options")


def _identity(model: Any, recorded: Any) -> Any:
    """Return what must be the same of a model; its place may differ, and so may the id of a local one."""
    if isinstance(model, list) and isinstance(recorded, list) and len(model) == len(recorded):
        return [_identity(one, other) for one, other in zip(model, recorded, strict=True)]
    if isinstance(model, Mapping) and "centroids_sha256" in model:
        return model["centroids_sha256"]
    if not isinstance(model, Mapping) or "weights_sha256" not in model or not isinstance(recorded, Mapping):
        return model
    known = ["weights_sha256", "output", "image_size", "dtype", "embedding_dtype", *sorted(_DIGESTS & recorded.keys())]
    if "code_sha256" in recorded:  # of a model of the user's own, whose transform has a digest
        known.append("preprocessing")
    return {name: model.get(name) for name in known} | {
        "commit": None if model["weights_sha256"] else model.get("commit")
    }


def _tolerance(scores: Scores, tolerance: float | None) -> float:
    """Return the tolerance in units of the score; by default a hundredth of the standard deviation of the finite scores."""
    if tolerance is not None:
        return float(tolerance)
    values = scores.compressed()
    values = values[np.isfinite(values)].astype(np.float64)
    return TOLERANCE * float(values.std()) if len(values) else 0.0


def distance_from_cut(
    scores: Scores,
    kept: NDArray[np.bool_],
    order: str | None,
    labels: NDArray[np.int64] | None,
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return how far the scores of some rows lie from where a cut was made.

    The cut is where rows of the other fate begin: among the rows of the same class, whose floor may have moved it, or
    among all rows that were kept for their score, which are those above it for the order ``"hard"``.

    Args:
        scores: Scores of all rows, shape (n,).
        kept: Whether each was kept, shape (n,).
        order: Order of the pruning.
        labels: Class of each row, shape (n,).
        rows: The rows in question, m of them.

    Returns:
        Distances in units of the score, shape (m,); infinite for a row without a score.

    Example:
        >>> scores = np.ma.MaskedArray([0.1, 0.48, 0.5, 0.9])
        >>> distance_from_cut(scores, np.array([False, False, True, True]), "hard", None, np.array([0, 1])).round(
        ...     2
        ... ).tolist()
        [0.4, 0.02]
    """
    values = scores.filled(np.nan).astype(np.float64)
    classes = np.zeros(len(values), dtype=np.int64) if labels is None else labels
    cuts = _common_cut(values, kept, order)
    found = np.full(len(rows), np.inf)
    for place, row in enumerate(rows.tolist()):
        others = values[(classes == classes[row]) & (kept != kept[row])]
        distances = np.abs(np.append(others, cuts) - values[row])
        found[place] = np.min(distances[~np.isnan(distances)], initial=np.inf)
    return found


def _common_cut(values: NDArray[np.float64], kept: NDArray[np.bool_], order: str | None) -> NDArray[np.float64]:
    """Return the score from which on rows of every class were kept; none for orders that keep no end."""
    if order not in ("hard", "easy"):
        return np.empty(0)
    sign = 1.0 if order == "hard" else -1.0
    dropped = sign * values[~kept & ~np.isnan(values)]
    highest = dropped.max(initial=-np.inf)  # a floor keeps rows below the cut and drops none above it
    above = sign * values[kept & ~np.isnan(values)]
    above = above[above >= highest]
    return sign * above.min(keepdims=True) if len(above) else np.empty(0)


def compare_kept(
    published: NDArray[np.int64],
    found: NDArray[np.int64],
    near: Sequence[tuple[str, Scores, NDArray[np.bool_], str | None, NDArray[np.int64] | None]],
    tolerance: float | None,
    num_rows: int,
    subject: str,
    report: Report,
) -> None:
    """Report whether two cuts of a source of ``num_rows`` rows agree as well as two machines can be expected to.

    Args:
        published: Row numbers that were published.
        found: Row numbers that the scores made again keep.
        near: For each pruning its column, published scores, whether each row was kept, order and classes.
        tolerance: In units of the score; None takes a hundredth of the standard deviation.
        num_rows: Rows of the source.
        subject: Subject of the findings.
        report: Takes the findings.
    """
    odd = np.setxor1d(published, found)
    share = 1 - len(odd) / num_rows
    if not len(odd):
        report.same(subject, f"all {num_rows:,} rows are kept or dropped as published, with scores made again")
        return
    agreement = f"{share:.4%} of {num_rows:,} rows are kept or dropped as published ({len(odd):,} are not)"
    if share < AGREEMENT:
        report.differs(subject, f"{agreement}, fewer than {AGREEMENT:.1%}")
    else:
        report.same(subject, agreement)
    if not near:
        report.unknown(subject, "no scores were published by which to tell how far those rows lie from the cut")
        return
    excess, limits = np.full(len(odd), np.inf), []
    for column, scores, kept, order, labels in near:
        limit = _tolerance(scores, tolerance)
        limits.append(f"{limit:.3g} ({column!r})")
        excess = np.minimum(excess, distance_from_cut(scores, kept, order, labels, odd) - limit)
    within, far = ", ".join(limits), odd[excess > 0]
    if len(far):
        report.differs(subject, f"{named_rows(far, len(odd), 'of these rows')} lie further than {within} from the cut")
    else:
        report.same(subject, f"each of these rows lies within {within} of the cut")
