"""Delivery carries level 3's pipeline on: package a registered version, put it through the gates, submit it.

Read `flow` first (the stages in order), then `gates` (what a version must pass) and `packaging` (how it is made ready);
`splits` is what both know about the trees, and `served_features` whether the service computes what was learned.
`from_level3` is `make deliver`: it brings a version of level 3's registry here.
"""
