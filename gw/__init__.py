"""The command line of gw: the whole platform on one machine without containers, and its tools."""
