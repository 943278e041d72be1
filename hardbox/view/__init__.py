"""What people look at: reports on a terminal and as a page, and the parts that pages share.

Run by: the Python front; pure. Everything that comes from a job is others' text: escaped in pages,
printable on a terminal.
"""
