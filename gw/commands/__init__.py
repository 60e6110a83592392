"""One module per subcommand, imported when that subcommand runs."""
