"""Which rows to keep: rules are weighed against random rows on the data at hand, and the evidence is kept."""

from hf_prune.policy.evidence import Comparison, Evidence, KeepEvidence
from hf_prune.policy.recommendation import Recommendation

__all__ = ["Comparison", "Evidence", "KeepEvidence", "Recommendation"]
