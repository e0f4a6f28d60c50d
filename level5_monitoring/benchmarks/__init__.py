"""How good the monitors are: faults injected into the real year, and other detectors on the same flights.

Nothing imports this package. Read `monitors.py` first: it runs all cases, prints the tables and draws the picture.
`backtest` replays days without a server, `baseline_detectors` are the others, `detection_metrics` the arithmetic.
"""
