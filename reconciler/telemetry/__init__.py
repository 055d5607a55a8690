"""What a controller tells the outside: metrics that are scraped, notifications that are sent, traces that are exported.

Each part is an Observer of the controller: it is told of every status, event and request, and asks for nothing.
"""
