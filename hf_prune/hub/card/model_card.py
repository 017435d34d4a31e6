"""Cards of published models, rendered from their records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hf_prune.data.history import CHANGED
from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.facts import model_text
from hf_prune.hub.card.header import card_text
from hf_prune.hub.card.metadata import TAGS, extend, listed, load_card
from hf_prune.hub.card.page import put_section, section_of
from hf_prune.hub.card.sections import code_lines
from hf_prune.hub.card.text import code, names, number, percent, words
from hf_prune.hub.formats import format_of
from hf_prune.metrics import get_metric
from hf_prune.models.recorded import is_public
from hf_prune.pruning.reproduction import reproduction
from hf_prune.runtime.plain_values import python

_OWN_NETWORK = "small_resnet"  # model type of the networks that ship in hf_prune


def prototypes_card(
    config: Mapping[str, Any], shape: Sequence[int], repo_id: str | None = None, existing: str | None = None
) -> str:
    """Write the card of fitted prototypes.

    Args:
        config: Their record, see `hf_prune.hub.models.prototypes.Prototypes`.
        shape: Number of prototypes and of their dimensions.
        repo_id: Repository on the Hub; None for a folder.
        existing: The README.md so far; None where there is none.

    Returns:
        Content of a README.md. It keeps other YAML keys of an existing one, and the text outside our section.

    Raises:
        ValueError: If the existing header is no YAML, or one of the comments around our section is missing.
    """
    encoder, source, metric = config["encoder"], config["source"], get_metric("prototypes")
    made = encoder.get("preprocessing")
    header: dict[str, Any] = {"library_name": "hf_prune", "tags": [*TAGS, "prototypes"]}
    if encoder.get("commit"):
        header["base_model"] = encoder["id"]
    if source.get("repo_id"):
        header["datasets"] = [source["repo_id"]]
    return _page(
        existing,
        header,
        ("prototypes", repo_id.rpartition("/")[2] if repo_id else "Prototypes"),
        config=config,
        shape=shape,
        source=source if source.get("repo_id") else None,
        encoder=model_text(encoder),
        preprocessing=words(made)
        if isinstance(made, Mapping)
        else code("of the function itself" if made is None else made),
        load=_loading(encoder, repo_id),
        limits=metric.limits,
        paper=metric.paper,
    )


def teacher_card(record: Mapping[str, Any], repo_id: str | None = None, existing: str | None = None) -> str:
    """Write the card of a trained model from its ``training.json``; all else is as of `prototypes_card`."""
    model, data, training = record["model"], record["data"], record["training"]
    entry, published = data["entry"], data["published"]
    own = model["model_type"] == _OWN_NETWORK
    header: dict[str, Any] = {"library_name": "hf_prune" if own else "transformers"}
    header |= {"pipeline_tag": "image-classification", "tags": [*TAGS]}
    begun = training["network"] if training else {}
    if begun.get("commit"):
        header["base_model"] = begun["id"]
    used = [place["repo_id"] for place in (published or {}, entry["source"]) if place.get("repo_id")]
    if used:
        header["datasets"] = list(dict.fromkeys(used))
    place = repo_id or "path/to/this/folder"
    return _page(
        existing,
        header,
        ("teacher", repo_id.rpartition("/")[2] if repo_id else "Teacher"),
        record=record,
        model=model,
        data=data,
        entry=entry,
        published=published,
        has_rows=format_of(published or {}).has_rows,
        training=training,
        settings=list(_settings(record)) if training else [],
        rows=code_lines(reproduction(_loaded(data) or entry)),
        load=code_lines(_opening(place, own)),
        use=code_lines(["import hf_prune", "", f'scored = ds.score_with("el2n", teachers={python(place)})']),
    )


def _loaded(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record of a split that is loaded as it was published; None where its rows are not on the Hub."""
    published = data["published"] or {}
    if "repo_id" not in published or not format_of(published).has_rows:
        return None
    source = {name: published[name] for name in ("repo_id", "commit", "split")}
    return {"source": {**source, "known": "given", "config_name": published["config"]}, "steps": [], CHANGED: False}


def _opening(place: str, own: bool) -> Iterator[str]:
    if own:
        yield "import hf_prune.models.small_resnet  # tells transformers of this network"
    yield "from transformers import AutoImageProcessor, AutoModelForImageClassification"
    yield ""
    yield f"model = AutoModelForImageClassification.from_pretrained({python(place)})"
    yield f"processor = AutoImageProcessor.from_pretrained({python(place)})"


def _settings(record: Mapping[str, Any]) -> Iterator[tuple[Markup, Markup]]:
    """Write how a model was trained, as rows of a table."""
    training = record["training"]
    network = training["network"]
    yield Markup("Network"), code(network["name"]) if set(network) == {"name"} else words(network)
    yield Markup("Preprocessing"), words(training["processor"])
    yield Markup("Seed"), code(training["seed"])
    yield Markup("Epochs"), number(training["num_epochs"])
    processes = number(training["num_processes"] or 1)
    batch = Markup("{} images, in each of {} process").format(number(training["batch_size"]), processes)
    yield Markup("Batch"), batch + Markup("es" if training["num_processes"] != 1 else "")
    yield Markup("Learning rate"), code(training["learning_rate"])
    yield Markup("Augmentation"), Markup("shifted and mirrored" if training["augment"] else "none")
    if training["subset"] is not None:
        yield Markup("Rows drawn"), percent(training["subset"])
    if training["arguments"]:
        yield Markup("Arguments of the Trainer"), words(training["arguments"])
    if training["arguments_not_shown"]:
        yield Markup("Given to the Trainer, not shown"), names(training["arguments_not_shown"])
    if test := training["test"]:
        right, rows = test["right"], test["rows"]
        share = Markup("{} of {} rows ({})").format(number(right), number(rows), percent(right, rows))
        yield Markup("Right on a test set, at the end"), share
    if record["model"]["transformers"]:
        yield Markup("transformers"), code(record["model"]["transformers"])


def _page(existing: str | None, header: Mapping[str, Any], about: tuple[str, str], **values: Any) -> str:
    """Put our section onto a page that may exist already; ``about`` is the name of the section, and the title of a new page."""
    name, title = about
    card = load_card(existing)
    # The model is another now: data sets that our section named for the former one leave the header.
    former = section_of(card.text.replace("\r\n", "\n"), name)
    if known := listed(card.data, "datasets"):
        card.data["datasets"] = [data for data in known if f"/datasets/{data})" not in former]
    for key, value in header.items():
        if isinstance(value, list):
            extend(card.data, key, value)
        else:
            card.data[key] = value
    section = environment().get_template(f"{name}.md.jinja").render(**values).strip()
    put_section(card, name, section, title)
    return card_text(card)


def _loading(encoder: Mapping[str, Any], repo_id: str | None) -> Markup:
    """Write the line that opens prototypes; only the reader knows where an encoder is that is not public."""
    own = Markup("" if is_public(encoder) else ", encoder=...")
    return Markup("Prototypes.from_pretrained({}{})").format(python(repo_id or "path/to/this/folder"), own)
