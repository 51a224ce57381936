"""The composition root: everything that joins the store, the doors and the world outside."""
