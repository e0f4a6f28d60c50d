"""The flights of 2013: raw tables, their contract, and one row per flight with what was known an hour before it.

Read `flights.py` first: it joins the tables. `schema.py` is the data contract; `split.py` and `replay.py` divide the
year into past and future, and play the future hour by hour.
"""
