"""The second kernel: system and attack tests in a virtual machine with Debian's cloud kernel.

Run by: `make vm-test` (python3 -m vm). docs/testing.md says how the parts fit together.
"""
