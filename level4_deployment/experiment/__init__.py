"""An experiment compares a challenger with the champion: how flights are split, what is measured, what follows.

Nothing here serves a request or moves an alias: given the same closed days, everything here comes to the same result
on any machine. Read `design` first (the plan of an experiment, and the verdict that its days lead to), then `labels`
(how the days are made of predictions and labels) and `sequential` (the statistics).
"""
