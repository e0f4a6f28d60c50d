"""Prefect: a server on this machine, and the ways in which a training starts.

Read `run_flow.py` first: it runs a flow by hand. `schedule.py` starts trainings by the clock and by events,
and sends such an event.
"""
