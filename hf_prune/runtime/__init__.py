"""What everything stands on: processes, files that are whole or absent, folders with one owner, seeds, messages."""
