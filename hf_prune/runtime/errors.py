"""Errors that answer what the user gave: one line with what was given, what is allowed and what to do."""


class UserError(Exception):
    """An error that is the user's to mend; any other that leaves the package is a defect of it.

    Each kind is also the built-in error that callers expect, so ``except ValueError`` goes on to catch an `InputError`.
    The command line shows it as one line. A metric or an order of your own raises one of these for that; whatever else it
    raises keeps its traceback.
    """


class InputError(UserError, ValueError):
    """A value that cannot be used."""


class InputTypeError(UserError, TypeError):
    """A value of a type that cannot be used."""


class StateError(UserError, RuntimeError):
    """A call that does not fit what was done before it."""


class MissingPackageError(UserError, ImportError):
    """A package that is not installed and is needed for what was asked."""


for _kind in (UserError, InputError, InputTypeError, StateError, MissingPackageError):
    _kind.__module__ = "hf_prune"  # the short name, under which they are public, is the one that tracebacks show
