"""Runs a notebook over a grid of parameters: the command ``tapecourse sweep``.

`command` starts dask and hands out the runs, `grid` says which runs there are, `worker` does one,
`folder` keeps what came of them, and `interrupts` says when Ctrl-C may come.
"""
