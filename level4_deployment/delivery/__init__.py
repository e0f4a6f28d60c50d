"""Delivery carries level 3's pipeline on: package a registered version, put it through the gates, submit it.

Read `flow` first (the stages in order), then `gates` (what a version must pass) and `packaging` (how it is made ready);
`splits` is what both know about the trees.
"""
