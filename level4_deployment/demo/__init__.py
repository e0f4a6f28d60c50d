"""What `make level4` shows, and no production platform needs. Read `candidates.py` first.

`candidates` makes models that must not win, `console_view` replays live flights and shows the experiment, `drills` roll
back and kill a worker under load, and `report` prints the evidence and checks what the level claims. `stream` is
`make stream`: a student's own replay, on a platform that runs already.
"""
