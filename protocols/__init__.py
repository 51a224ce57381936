"""The doors: one package for each protocol, with the same file names in each."""
