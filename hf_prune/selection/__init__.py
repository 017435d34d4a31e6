"""Which rows to keep: exact budgets, seeded ties, class floors and quotas, a reason for every row.

The only place that knows about class balance. It reads scores and never asks how they were made.
"""

from hf_prune.selection.budget import count_rows
from hf_prune.selection.classes import check_class_balance, error_quotas
from hf_prune.selection.orders import ORDERS
from hf_prune.selection.result import REASONS, Selection
from hf_prune.selection.select_rows import select

__all__ = ["ORDERS", "REASONS", "Selection", "check_class_balance", "count_rows", "error_quotas", "select"]
