"""Market contracts: pure rules that turn one slot's energy into who trades what at which price."""
