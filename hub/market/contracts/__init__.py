"""The market contracts, one file each; what two of them need lies a floor above."""
