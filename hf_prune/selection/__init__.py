"""Selection of rows: exact budgets, seeded ties, class floors and quotas, a reason for every row.

Class balance is decided here alone. Scores are read, however they were made.
"""

from hf_prune.selection import by_embedding, by_neighbours, by_score, by_target  # noqa: F401 - their orders are registered
from hf_prune.selection.budget import count_rows
from hf_prune.selection.candidates import Candidates
from hf_prune.selection.classes import check_class_balance, error_quotas
from hf_prune.selection.orders import Order, list_orders, register_order, unregister_order
from hf_prune.selection.reasons import Reason
from hf_prune.selection.result import Selection
from hf_prune.selection.select_rows import select

__all__ = [
    "Candidates",
    "Order",
    "Reason",
    "Selection",
    "check_class_balance",
    "count_rows",
    "error_quotas",
    "list_orders",
    "register_order",
    "select",
    "unregister_order",
]
