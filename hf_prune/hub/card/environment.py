"""The environment that card templates are rendered in, with every filter that they may use."""

import functools
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card.facts import (
    beginning,
    chosen_rows,
    evidence_candidates,
    evidence_facts,
    evidence_rows,
    figures,
    inputs,
    pruned_by,
    removed,
    settings,
)
from hf_prune.hub.card.text import (
    code,
    commit_link,
    dataset_link,
    digits,
    heading,
    moment,
    most_cut,
    names,
    number,
    percent,
    picture,
    prose,
    verbatim,
    versions,
    words,
)
from hf_prune.runtime.errors import InputTypeError

if TYPE_CHECKING:
    import jinja2
import re
from typing import TYPE_CHECKING

from hf_prune.hub.card.text import python

if TYPE_CHECKING:
    from markupsafe import Markup


_PAPERS = {
    "2206.14486": """\
  title = {Beyond neural scaling laws: beating power law scaling via data pruning},
  author = {Sorscher, Ben and Geirhos, Robert and Shekhar, Shashank and Ganguli, Surya and Morcos, Ari S.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
""",
    "2107.07075": """\
  title = {Deep Learning on a Data Diet: Finding Important Examples Early in Training},
  author = {Paul, Mansheej and Ganguli, Surya and Dziugaite, Gintare Karolina},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
""",
    "1812.05159": """\
  title = {An Empirical Study of Example Forgetting during Deep Neural Network Learning},
  author = {Toneva, Mariya and Sordoni, Alessandro and Tachet des Combes, Remi and Trischler, Adam and Bengio, Yoshua and Gordon, Geoffrey J.},
  booktitle = {International Conference on Learning Representations},
  year = {2019},
""",
    "2008.03703": """\
  title = {What Neural Networks Memorize and Why: Discovering the Long Tail via Influence Estimation},
  author = {Feldman, Vitaly and Zhang, Chiyuan},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020},
""",
    "2009.10795": """\
  title = {Dataset Cartography: Mapping and Diagnosing Datasets with Training Dynamics},
  author = {Swayamdipta, Swabha and Schwartz, Roy and Lourie, Nicholas and Wang, Yizhong and Hajishirzi, Hannaneh and Smith, Noah A. and Choi, Yejin},
  booktitle = {Conference on Empirical Methods in Natural Language Processing},
  year = {2020},
""",
    "2001.10528": """\
  title = {Identifying Mislabeled Data using the Area Under the Margin Ranking},
  author = {Pleiss, Geoff and Zhang, Tianyi and Elenberg, Ethan R. and Weinberger, Kilian Q.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020},
""",
    "2110.05922": """\
  title = {Trivial or Impossible -- dichotomous data difficulty masks model differences (on ImageNet and beyond)},
  author = {Meding, Kristof and Schulze Buschoff, Luca M. and Geirhos, Robert and Wichmann, Felix A.},
  booktitle = {International Conference on Learning Representations},
  year = {2022},
""",
    "1906.11829": """\
  title = {Selection via Proxy: Efficient Data Selection for Deep Learning},
  author = {Coleman, Cody and Yeh, Christopher and Mussmann, Stephen and Mirzasoleiman, Baharan and Bailis, Peter and Liang, Percy and Leskovec, Jure and Zaharia, Matei},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
""",
    "2206.07137": """\
  title = {Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet Learnt},
  author = {Mindermann, S{\\"o}ren and Brauner, Jan and Razzak, Muhammed and Sharma, Mrinank and Kirsch, Andreas and Xu, Winnie and H{\\"o}ltgen, Benedikt and Gomez, Aidan N. and Morisot, Adrien and Farquhar, Sebastian and Gal, Yarin},
  booktitle = {International Conference on Machine Learning},
  year = {2022},
""",
    "2311.13613": """\
  title = {Spanning Training Progress: Temporal Dual-Depth Scoring (TDDS) for Enhanced Dataset Pruning},
  author = {Zhang, Xin and Du, Jiawei and Li, Yunsong and Xie, Weiying and Zhou, Joey Tianyi},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2024},
""",
}
# Those that are cited by their number on arXiv alone.
_PREPRINTS = {
    "1905.12737": """\
  title = {Training Data Subset Search with Ensemble Active Learning},
  author = {Chitta, Kashyap and Alvarez, Jose M. and Haussmann, Elmar and Farabet, Clement},
  year = {2019},
""",
    "2306.05175": """\
  title = {Large-scale Dataset Pruning with Dynamic Uncertainty},
  author = {He, Muyang and Yang, Shuo and Huang, Tiejun and Zhao, Bo},
  year = {2023},
""",
}


def bibtex(reference: str) -> "Markup":
    """Write a reference such as ``arXiv:2206.14486`` as a BibTeX entry."""
    from markupsafe import Markup

    match = re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", reference)
    if match is None:
        return Markup("% ") + python(reference)
    kind = "inproceedings" if match[1] in _PAPERS else "misc"
    known = _PAPERS.get(match[1]) or _PREPRINTS.get(match[1], "")
    return Markup(f"@{kind}{{arxiv-{match[1]},\n{known}  eprint = {{{match[1]}}},\n  archivePrefix = {{arXiv}}\n}}")


_FILTERS = (
    code,
    number,
    percent,
    digits,
    words,
    names,
    versions,
    heading,
    moment,
    most_cut,
    inputs,
    figures,
    beginning,
    chosen_rows,
    pruned_by,
    settings,
    removed,
    bibtex,
    dataset_link,
    commit_link,
    prose,
    verbatim,
    picture,
    evidence_facts,
    evidence_rows,
    evidence_candidates,
)


@functools.cache
def environment() -> "jinja2.Environment":
    """Return the Jinja environment of the card templates, which ship in the package."""
    import jinja2
    from markupsafe import Markup

    def only_escaped(value: Any) -> Any:
        if isinstance(value, int | Markup) and not isinstance(value, bool):
            return value
        raise InputTypeError(f"a card template prints {value!r} without a filter that makes it safe")

    folder = files("hf_prune.hub.card") / "templates"
    found = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        finalize=only_escaped,
        autoescape=True,  # what `finalize` lets through is marked as safe, macros included
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {make.__name__: make for make in _FILTERS}
    return found
