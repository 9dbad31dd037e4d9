"""`llm-adapter parity`: the same calls on two profiles, several times, and how their replies compare.

`suite` reads the calls, `sides` and `runner` make them, `figures` says what they come to and `thresholds` what is too
far apart; `report` is the whole, which `formats` and `page` write down. Texts are never compared: see `comparison`.
"""
