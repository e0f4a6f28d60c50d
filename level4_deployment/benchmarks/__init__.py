"""Measurements of level 4; nothing imports them. Read `serving.py` first.

`serving` compares the speed of level 4's service with others, which `services` starts (`bare_fastapi` is one of them);
`ab_error_rates` simulates how often each statistical test of an A/B test is wrong, on the `real_days` of the year.
"""
