"""What is asked to be published, checked before any work is done."""

from datasets import Dataset, DatasetDict

from hf_prune.data.history import provenance
from hf_prune.data.splits import check_dataset
from hf_prune.hub.layout import DEFAULT, ROW_NUMBERS, ROWS, check_names, cut_name
from hf_prune.hub.publish.publication import Publication
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn

# The rows of a cut; the same and the scores of all rows of the source; or these scores and the numbers of the kept rows.
SPLIT, WITH_SCORES, WITHOUT_ROWS = "split", "scores", "rows"
WHAT = (SPLIT, WITH_SCORES, WITHOUT_ROWS)


def prepare(
    ds: Dataset | DatasetDict,
    *,
    config_name: str | None,
    split: str | None,
    what: str = SPLIT,
    scores: Dataset | DatasetDict | None = None,
    data_dir: str | None = None,
    set_default: bool | None = None,
    repo_id: str | None = None,
) -> Publication:
    """Say what is published of a data set itself.

    Raises:
        TypeError: If ``ds`` is not a ``Dataset`` or ``DatasetDict``.
        ValueError: If a name cannot be published, there are no rows, splits differ in their columns, or ``what`` needs
            scores that are not given.
    """
    check_what(what)
    if what != SPLIT and scores is None:
        raise InputError(f"what={what!r} publishes the score of every row: pass scores=, the data set before prune")
    splits, left_out = _splits(ds, split)
    config_name = cut_name(splits) if config_name is None else config_name
    data_dir = data_dir or ("data" if config_name == DEFAULT else config_name)
    check_names(config_name, data_dir, splits)
    cut = {name: rows for name, rows in splits.items() if _is_pruned(rows)}
    if what == WITHOUT_ROWS and cut:
        splits = cut
    return Publication(
        splits=splits,
        left_out=left_out,
        whole=isinstance(ds, DatasetDict),
        config_name=config_name,
        data_dir=data_dir,
        set_default=set_default,
        is_cut=bool(cut),
        holds=ROW_NUMBERS if what == WITHOUT_ROWS else ROWS,
        repo_id=repo_id,
    )


def check_what(what: str, where: str = "what") -> None:
    """Raise a one-line ValueError if there is no such choice of what is published."""
    if what not in WHAT:
        raise InputError(f"{where}={what!r}: give one of {', '.join(WHAT)}")


def _is_pruned(rows: Dataset) -> bool:
    return any(step.kind == "prune" for step in provenance(rows).steps)


def _splits(ds: Dataset | DatasetDict, split: str | None) -> tuple[dict[str, Dataset], tuple[str, ...]]:
    check_dataset(ds, "publishing")
    if isinstance(ds, Dataset):
        # A slice such as "train[:2000]" is published under the name of its split.
        name = split or str(ds.split or "train").partition("[")[0]
        found = {name: ds}
    elif split is not None:
        raise InputError(f"split={split!r} names the split of a single Dataset: pass ds[{split!r}], or leave it out")
    else:
        found = {str(name): rows for name, rows in ds.items()}
    left_out = tuple(name for name, rows in found.items() if len(rows) == 0)
    splits = {name: rows for name, rows in found.items() if len(rows)}
    if not splits:
        raise InputError("there are no rows to publish, and an empty split cannot be loaded")
    first = next(iter(splits))
    for name, rows in splits.items():
        if rows.features != splits[first].features:
            odd = sorted(set(rows.column_names) ^ set(splits[first].column_names)) or "same names, other types"
            raise InputError(
                f"splits {first!r} and {name!r} differ in their columns ({odd}): one configuration cannot hold both; "
                "drop the score columns, or publish them under different config_name="
            )
    if left_out:
        warn(f"left out because empty, and an empty split cannot be loaded: {list(left_out)}", stacklevel=4)
    return splits, left_out
