"""A backtest of retraining policies: the loop beside calendars, on the same flights, in a simulated year.

`models.py` trains in the simulated year and `simulation.py` plays a policy's nights; `calendars.py` has the calendars,
and `comparison.py` says what each policy was worth. Read `calendars.py` first.
"""
