"""SunSpec: the chain of models, what each point means, and how a limit is set."""
