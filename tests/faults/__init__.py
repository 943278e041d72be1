"""Set-up faults: kills, failing calls and older kernels at every point of a launch.

Run by: pytest. A sample by default; HARDBOX_FAULTS=all (`make faults`) makes every one happen.
"""
