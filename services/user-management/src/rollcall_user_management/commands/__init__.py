"""Commands: validate, decide, admit, append, acknowledge."""
