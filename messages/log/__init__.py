"""The transparency log as text and proofs: RFC 6962 trees, C2SP notes and tiles. Pure."""
