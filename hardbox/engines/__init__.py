"""Engines: what carries out a plan. One file each; `namespaces.py` is the first.

Run by: the Python front, on the host.
"""
