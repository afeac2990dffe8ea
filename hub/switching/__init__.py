"""From live samples to a moving contact: view, decision, lease."""
