"""Recommendation of which rows of a scored data set to keep: `recommend`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from datasets import Dataset

from hf_prune.data.history import provenance
from hf_prune.data.splits import check_one
from hf_prune.policy import budget
from hf_prune.policy.fresh_rows import check_equal, fresh_rows
from hf_prune.policy.gathering import gather, recorded_evidence, required_labels_to_judge_by, scoring_passes
from hf_prune.policy.recommendation import Recommendation, recommendation
from hf_prune.policy.rules import Rule
from hf_prune.policy.trial import Equal, make_student
from hf_prune.runtime.arguments import check_flag
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import check_alike, in_step, use_device
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import Request, Run
from hf_prune.scoring.scores import score_column
from hf_prune.selection import check_class_balance, count_rows
from hf_prune.selection.classes import PAPER_CLASS_BALANCE


def recommend(
    ds: Dataset,
    metric: str,
    *,
    keep: float | None = None,
    student: Any = None,
    tolerance: float = 0.01,
    class_balance: float | None = None,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    rs2: bool = False,
    equal: Equal = "epochs",
    seed: int = 0,
) -> Recommendation:
    """Say which rows of a scored data set to keep, and how sure that is.

    In each of several folds every rule (an order, and a share of the hardest rows dropped first) is applied to the training
    rows alone, small heads are trained on what it keeps of their embeddings, and judged on all rows of the untouched fold
    with the labels they have. Heads that act as teachers are trained anew in each fold. A rule is chosen on some repeats
    and confirmed on others; a gain over random rows with the same class floor counts if a linear and a two-layer head agree
    in its sign and the interval of the latter is above zero. What holds for such heads need not hold for another student:
    give yours to be asked instead.

    Without ``encoder`` or ``inputs`` the evidence that `score_with` left in the history is read, which is of four fractions.

    Args:
        ds: One split, scored.
        metric: The score column.
        keep: A fraction in (0, 1) as float or a count of rows as int; None recommends the smallest fraction tried at which
            the rows kept are sure to lose at most ``tolerance`` against all rows, and all rows where none is.
        student: A function ``(train_ds, eval_ds) -> accuracy``, or a training command, asked in place of the heads whether
            a rule gains, and what it costs against all rows: three trainings on all rows, and six for each fraction.
            Where no rule gains with heads it is asked about the one for where nothing was tried, see
            `hf_prune.policy.rules.rule_without_evidence`, else about the best by the linear head. A command finds ``rows``
            and ``judged`` in its folder and writes ``result.json``, as for `measure_scaling`.
        tolerance: Loss of accuracy that is accepted, in [0, 1]; 0.01 is one point.
        class_balance: Floor of all rules, a share in [0, 1]; None is the paper's 0.5.
        encoder: Where embeddings come from, as for `score_with`; its cache is used.
        inputs: Arrays by name in their place: ``embeddings`` (n, d), ``labels`` (n,).
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        rs2: Whether to compare with two-layer heads that see another random part of the rows in each epoch.
        equal: What students of that comparison have in common: they see their rows as often, ``"epochs"``, or make as many
            steps as one of all rows, ``"steps"``.
        seed: Decides folds, draws and first weights.

    Returns:
        A `Recommendation`. Gains are differences of accuracy, in [-1, 1].

    Raises:
        ValueError: If there is no evidence and nothing to gather it from; the message says what would do.
        TypeError: If ``ds`` is not one ``Dataset``.

    Example:
        >>> import numpy as np
        >>> from datasets import ClassLabel, Features, Value
        >>> points = np.random.default_rng(0).normal(size=(200, 8)).astype("float32")
        >>> labels = (points[:, 0] > 0).astype(int)
        >>> kinds = Features({"label": ClassLabel(names=["left", "right"]), "difficulty": Value("float64")})
        >>> ds = Dataset.from_dict({"label": labels, "difficulty": -abs(points[:, 0])}, features=kinds)
        >>> advice = recommend(ds, "difficulty", keep=0.5, inputs={"embeddings": points})
        >>> advice.keep, advice.evidence.num_rows, advice.evidence.optimistic
        (0.5, 200, True)

    References:
        Sorscher et al. (2022), arXiv:2206.14486: which end to keep depends on how much data there is. Weighing the ends on
        the data set itself is ours. RS2: Okanovic et al. (2024), arXiv:2305.18424.
    """
    check_one(ds, "recommend")
    column = score_column(ds, metric)
    share = _share(keep, len(ds))
    floor = PAPER_CLASS_BALANCE if class_balance is None else class_balance
    _check(tolerance, floor)
    check_seed(seed)
    _check_rs2(rs2, equal)
    request = Request(
        encoder=encoder,
        inputs=inputs,
        label_column=label_column,
        image_column=image_column,
        run=Run.of(run),
        on_error="skip",
    )
    judge = None
    if encoder is None and "embeddings" not in request.given:
        evidence = None if student is not None or rs2 else recorded_evidence(ds, column)
        if evidence is None:
            required_labels_to_judge_by(ds, request)  # without which an encoder would not help
            raise InputError(
                f"there is no evidence on {column!r} in the history{_missing(student, rs2)}: "
                "pass encoder= or inputs={'embeddings': array} to gather it"
            )
    else:
        keeps = budget.KEEPS if share is None else (share,)
        asked = make_student(ds, student)
        evidence, judge = gather(ds, column, request, keeps, class_balance=floor, seed=seed, student=asked)
    advice = recommendation(evidence, share, scoring_passes(provenance(ds).made_by(ds, column)), tolerance)
    if judge is None:
        return advice
    with in_step("recommend", request.run.device), use_device(request.run.device):
        check_alike({"rs2": rs2, "equal": equal})
        rule = Rule(advice.order, advice.hardest_cutoff)
        return replace(advice, rs2=fresh_rows(judge, rule, advice.keep, equal) if rs2 and advice.keep < 1 else None)


def _share(keep: Any, num_rows: int) -> float | None:
    """Return the kept fraction that a caller means, below 1."""
    if keep is None:
        return None
    share = count_rows(keep, num_rows) / num_rows
    if share >= 1:
        raise InputError(f"keep={keep} keeps all {num_rows} rows; give a fraction below 1, or None")
    return keep if isinstance(keep, float) else share


def _missing(student: Any, rs2: bool) -> str:
    """Say what is not in the history."""
    return " of such a student" if student is not None else " against rs2" if rs2 else ""


def _check_rs2(rs2: Any, equal: Any) -> None:
    check_flag("rs2", rs2)
    check_equal(equal)
    if equal != "epochs" and not rs2:
        raise InputError(f"equal={equal!r} is how students of rs2 are compared: pass rs2=True, too, or leave it out")


def _check(tolerance: Any, class_balance: Any) -> None:
    check_class_balance(class_balance)
    if isinstance(class_balance, Mapping):
        raise InputError("class_balance= is a share here, not counts per class: all rules get the same floor")
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 <= tolerance <= 1:
        raise InputError(f"tolerance={tolerance!r}; give an accuracy in [0, 1], such as 0.01 for one point")
