"""The corpus under other launchers.  Run by: `make compare`."""
