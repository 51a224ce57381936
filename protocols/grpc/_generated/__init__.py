"""Made from proto/ by `make contracts`; never written by hand."""
