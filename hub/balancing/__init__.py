"""Dispatch policies: pure rules that say which load to cut when supply and demand do not meet."""
