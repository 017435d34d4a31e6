"""Cards of published models, rendered from their records as those of data sets are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from hf_prune.hub.card_environment import environment
from hf_prune.hub.card_metadata import TAGS
from hf_prune.hub.card_steps import model_text
from hf_prune.hub.card_text import code, python, words
from hf_prune.metrics import get_metric

if TYPE_CHECKING:
    from markupsafe import Markup


def prototypes_card(config: Mapping[str, Any], shape: Sequence[int], repo_id: str | None = None) -> str:
    """Write the card of fitted prototypes.

    Args:
        config: Their record, see `hf_prune.fitted_prototypes.Prototypes`.
        shape: Number of prototypes and of their dimensions.
        repo_id: Repository on the Hub; None for a folder.

    Returns:
        Content of a README.md.
    """
    encoder, source, metric = config["encoder"], config["source"], get_metric("prototypes")
    header: dict[str, Any] = {"library_name": "hf_prune", "tags": [*TAGS, "prototypes"]}
    if encoder.get("commit"):
        header["base_model"] = encoder["id"]
    if source.get("repo_id"):
        header["datasets"] = [source["repo_id"]]
    return _page(
        header,
        "prototypes.md.jinja",
        title=repo_id.rpartition("/")[2] if repo_id else "Prototypes",
        config=config,
        shape=shape,
        source=source if source.get("repo_id") else None,
        encoder=model_text(encoder),
        preprocessing=_preprocessing(encoder.get("preprocessing")),
        load=_loading(encoder, repo_id),
        limits=metric.limits,
        paper=metric.paper,
    )


def _page(header: Mapping[str, Any], template: str, **values: Any) -> str:
    text = yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)
    page = environment().get_template(template).render(**values).strip()
    return f"---\n{text}---\n\n{page}\n"


def _loading(encoder: Mapping[str, Any], repo_id: str | None) -> "Markup":
    """The line that opens prototypes; of an encoder that is none of the Hub the reader knows where it is."""
    from markupsafe import Markup

    own = Markup("") if encoder.get("commit") or encoder["kind"] == "pixels" else Markup(", encoder=...")
    return Markup("Prototypes.from_pretrained({}{})").format(python(repo_id or "path/to/this/folder"), own)


def _preprocessing(found: Any) -> "Markup":
    if isinstance(found, Mapping):
        return words(found)
    return code(found if found is not None else "of the function itself")
