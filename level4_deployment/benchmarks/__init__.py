"""Measurements of level 4; nothing imports them. Read `serving.py` first.

`serving` compares the speed of level 4's service with others (started by `services`, `bare_fastapi` among them, loaded
by `load_client`); `ab_error_rates` simulates how often each statistical test of an A/B test is wrong.
"""
