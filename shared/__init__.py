"""The problem that every level solves: the data, the score, and what all levels use to talk to people.

Nothing here is a solution: features and models are born in the levels. Read `data/flights.py` first.
"""
