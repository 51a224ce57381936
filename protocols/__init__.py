"""The doors: one package for each protocol, with the same file names in each.

Where a door has it, ``adapter`` is where its clients arrive, ``wire`` the shapes that go over the wire, ``errors`` how
the store's errors look there, ``bindings`` where each operation lies. What else it has, its own first lines say.

``http`` is what the doors on HTTP share, ``asyncapi`` what live doors declare for the AsyncAPI document.
"""
