"""Folders that one process at a time writes to, whole or not at all, whatever ends it.

A folder is taken with `owned`: a lock that dies with its process, and with it whatever an earlier owner left half done is
finished or taken away. What replaces its content is written aside and put in place by `OwnedFolder.commit`.
"""

from hf_prune.runtime.folders.lock import FolderInUseError, is_ours
from hf_prune.runtime.folders.ownership import OwnedFolder, owned, recover
from hf_prune.runtime.folders.signals import unwound_by_signals
from hf_prune.runtime.folders.temporary import temporary_folder

__all__ = [
    "FolderInUseError",
    "OwnedFolder",
    "is_ours",
    "owned",
    "recover",
    "temporary_folder",
    "unwound_by_signals",
]
