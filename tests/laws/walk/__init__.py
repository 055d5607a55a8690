"""An explicit model of service, network, reconcilers and outsiders, explored exhaustively.

`world` is the state and the service, with every reading of what is not known about it; `moves` is everybody who acts;
`sight` shows a state to the real decision functions; `scenes` are the roads; `explore` searches and tells stories.
Nothing here is shared with the emulator or with the code that is judged.
"""
