"""The keeper of a job's network: modes "allow" (the broker) and "bridge" (engines "veth" and "pasta").

Run by: `python3 -m hardbox.net`, a process of the caller's own outside the sandbox. Nothing is imported
here: each file says who runs it.
"""
