"""The command line: one file per verb, and no decisions.

Run by: the caller, through cli/main.py.
"""
