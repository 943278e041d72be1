"""Attacks on the sandbox, as data and probes, each with its control outside.

Run by: pytest. `check.py` is the vocabulary, `corpus/` the data, `probes/` the attacker's
hand in C, `world.py` what is watched from outside, `ledger.py` the table at the end.
"""
