"""The nine months that `make level5` plays: real flights with three faults put in, and a turn of the loop each night.

`replay_year.py` plays them and `story.py` prints what happens; `faulty_year.py` puts the three faults into the tables,
`fault_injection.py` has all faults, and `year_record.py` keeps what the page reads. Read `replay_year.py` first.
"""
