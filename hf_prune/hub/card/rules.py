"""Licences and classes of size as the Hub's documentation lists them.

Sources, as of November 2026: huggingface.co/docs/hub/repositories-licenses, and datasetcard.md of
github.com/huggingface/hub-docs.
"""

_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda
cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 lgpl-lr isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++
osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl deepfloyd-if-license llama2 llama3 llama3.1 llama3.2 llama3.3
llama4 gemma apple-ascl apple-amlr h-research intel-research openmdw-1.0 openmdw-1.1 grok2-community
fair-noncommercial-research-license unknown other
"""
LICENSES = frozenset(_LICENSES.split())
# One class for every number of digits from three on.
_SIZES = "n<1K 1K<n<10K 10K<n<100K 100K<n<1M 1M<n<10M 10M<n<100M 100M<n<1B 1B<n<10B 10B<n<100B 100B<n<1T n>1T"
SIZES = _SIZES.split()


def size_category(rows: int) -> str:
    """Return the Hub's class of a number of rows.

    Example:
        >>> size_category(999), size_category(1000), size_category(10**13)
        ('n<1K', '1K<n<10K', 'n>1T')
    """
    return SIZES[min(max(len(str(rows)) - 3, 0), len(SIZES) - 1)]
