"""A small driver for each door: a person's wishes in the protocol's words, with clients that people use."""
