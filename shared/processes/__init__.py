"""Processes: who is at work in a level's state, what a command starts, and how all of it ends with the command.

Read `children` first.
"""
