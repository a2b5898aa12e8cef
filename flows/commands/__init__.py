"""What the command line does, one idea a module; `nextbest.flows.cli` declares the commands."""
