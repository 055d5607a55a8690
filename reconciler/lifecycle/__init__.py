"""What to do next, one file per kind: `next_step(wanted, live, context) -> Step`.

Level-triggered and pure: the answer comes from what is, never from what was done before, so a pass may be killed
anywhere. `predict` says what an object will look like after an action, and `outwait` after a wait; folding the three
gives the road that a plan shows, so that the forecast and the execution cannot disagree.
"""
