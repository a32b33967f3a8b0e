"""The pure core: bytes in, verdicts out.

Nothing here awaits, reads a clock or the environment, logs, or opens a socket or file (the rules and
dialects that ship with the package are read by the edges and handed in). `pipeline` is the table of
contents; every other module here is either a stage that it calls, or vocabulary that stages share.
"""
