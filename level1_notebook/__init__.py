"""Level 1, the lone notebook: a data scientist trains a model by hand and sends it to an engineer as a file.

Read `flight_delays.ipynb` first, then `run.py`.
"""
