"""The problem that every level solves: the data, the split, the score, the live stream.

Nothing here is a solution: features and models are born in the levels.
"""
