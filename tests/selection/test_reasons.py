"""The reasons of the steps around an order: their codes and words never change."""

from hf_prune.selection.orders import known_reasons


def test_reasons_keep_the_codes_that_were_published():
    found = {reason.code: reason.words for reason in known_reasons()}
    assert [found[code] for code in range(len(found))] == [
        "below the cut",
        "above the cut",
        "class floor",
        "no score",
        "random draw",
        "drawn from its stratum",
        "near the median of its class",
        "adds diversity",
        "above the cut of its cluster",
        "class quota",
        "cut, but returned to its class",
        "not drawn",
        "far from the median of its class",
        "close to a row that was kept",
        "below the cut of its cluster",
        "over the quota of its class",
        "cut: hardest",
        "cut: noise suspect",
        "duplicate",
    ]
