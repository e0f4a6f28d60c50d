"""What level 5 checks each day: pure functions from tables of flights to monitor results; only `window` reads the log.

Read `monitor_result` first, then `window` (a day's flights) and `reference` (what normal days look like), then the
monitors: `data_quality` (the data contract), `labels`, `drift` (with Evidently's distances) and `performance`.
"""
