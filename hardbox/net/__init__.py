"""The broker: the one way out of a sandbox whose network mode is "allow".

Run by: `python3 -m hardbox.net`, a process of the caller's own outside the sandbox. Nothing is imported
here: each file says who runs it.
"""
