"""How good detection is: captures with labels in, figures out. `icsight evaluate` prints them.

`datasets` reads what a data set names, `labels` the labels of others, `observation` runs detection over a capture and keeps what
the figures need, `matching` says which alert is about which event, `metrics` counts, `report` prints.
"""
