"""What the tests share: callers, the installed program, sandboxes that are watched from outside.

Run by: pytest (pyproject.toml puts tests/ on the path).
"""
