"""The command line ``tapecourse``.

`command` reads it. `run` does one run of a notebook, and `sweep` many: `grid` says which,
`attempt` does one of them, on a `cluster`, `folder` keeps what came of it, `interrupts` says when
Ctrl-C may come.
`grade` grades submissions: `submissions` finds them, `nbgrader_engine` gives each to nbgrader,
and `nbgrader_steps` is what grading adds to that. `export` writes what is derived from notebooks.
"""
