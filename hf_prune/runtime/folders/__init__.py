"""Folders that one process at a time writes to, completely or not at all, whatever ends it.

`owned` locks a folder until its process ends, and finishes or removes what an earlier owner left half done. New content is
written aside and put in place by `OwnedFolder.commit`.
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
