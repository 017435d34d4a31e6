"""Rules of pruning, weighed against random rows on the data set itself, and the evidence on them."""

from hf_prune.policy.evidence import Comparison, Evidence, KeepEvidence
from hf_prune.policy.recommendation import Recommendation

__all__ = ["Comparison", "Evidence", "KeepEvidence", "Recommendation"]
