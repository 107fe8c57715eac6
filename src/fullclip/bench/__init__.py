"""This machine's table: how fast fullclip is here and how right, beside other packages that do the same, in one run.

`measurements` is the table of what is measured, each in a file of its own; `rows` is what comes out.
"""
